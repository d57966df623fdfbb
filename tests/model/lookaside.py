"""A model of one lookaside list: a LIFO of blocks, its counters and its adaptive depth."""

from __future__ import annotations

from dataclasses import dataclass, field

INITIAL_DEPTH = 4
LARGEST_DEPTH = 256


@dataclass
class Idle:
    """The idle blocks, last freed on top.

    Which blocks a trim gives back to the pool is nobody's promise, so after one the survivors
    are known only as members of a bag under whatever is pushed later.
    """

    stack: list[int] = field(default_factory=list)
    bag: set[int] = field(default_factory=set)
    bagged: int = 0

    def __len__(self) -> int:
        return len(self.stack) + self.bagged

    def push(self, block: int) -> None:
        """Put a freed block on top."""
        self.bag.discard(block)
        self.stack.append(block)

    def pop(self, block: int) -> bool:
        """Take the top; whether ``block`` is what the rule allows to come out."""
        if self.stack:
            return self.stack.pop() == block
        self.bagged -= 1
        if block not in self.bag:
            return False
        self.bag.remove(block)
        return True

    def trim(self, count: int) -> None:
        """Forget ``count`` blocks, the pool chooses which."""
        self.bag.update(self.stack)
        self.bagged = len(self) - count
        self.stack.clear()

    def clear(self) -> int:
        """Give every idle block back; how many there were."""
        count = len(self)
        self.trim(count)
        self.bag.clear()
        return count


@dataclass
class Lookaside:
    """The list itself, in blocks known by address."""

    maximum_depth: int = LARGEST_DEPTH
    idle: Idle = field(default_factory=Idle)
    allocations: int = 0
    misses: int = 0
    frees: int = 0
    free_misses: int = 0
    low_water: int = 0
    misses_at_tick: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        self.depth = self.floor

    @property
    def floor(self) -> int:
        """The depth a list starts with and never falls below."""
        return min(INITIAL_DEPTH, self.maximum_depth)

    @property
    def outstanding(self) -> int:
        """Blocks handed out and not yet back."""
        return self.allocations - self.frees

    @property
    def hit_rate(self) -> float:
        """Hits as a share of all allocations; a fresh list has had none."""
        return (self.allocations - self.misses) / self.allocations if self.allocations else 0.0

    def will_miss(self) -> bool:
        """Whether the next allocation has to go to the pool."""
        return not self.idle

    def allocate(self, block: int) -> bool:
        """Count an allocation that returned ``block``; whether that block was allowed."""
        self.allocations += 1
        if self.will_miss():
            self.misses += 1
            return True
        allowed = self.idle.pop(block)
        self.low_water = min(self.low_water, len(self.idle))
        return allowed

    def refuse(self) -> None:
        """Count an allocation whose block the pool could not give."""
        self.allocations += 1
        self.misses += 1

    def free(self, block: int) -> None:
        """Take a block back: onto the stack while there is room, to the pool otherwise."""
        self.frees += 1
        if len(self.idle) >= self.depth:
            self.free_misses += 1
        else:
            self.idle.push(block)

    def flush(self) -> None:
        """Give every idle block back to the pool."""
        self.idle.clear()
        self.low_water = 0

    def rebalance(self) -> None:
        """One tick: misses deepen the list, what was idle all the time makes it shallower."""
        misses = self.misses - self.misses_at_tick
        if misses:
            self.depth = min(self.depth + min(misses, self.depth), self.maximum_depth)
        elif self.low_water:
            self.depth = max(self.depth - (self.low_water + 1) // 2, self.floor)
            surplus = len(self.idle) - self.depth
            if surplus > 0:
                self.idle.trim(surplus)
        self.misses_at_tick = self.misses
        self.low_water = len(self.idle)

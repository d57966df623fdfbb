"""Frozen records of what pools and lists count; derived figures are computed, never stored."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class LookasideStatistics:
    """What one lookaside list counted since it was made.

    Attributes:
        depth: how many blocks may lie idle now.
        maximum_depth: the most that `depth` may become.
        idle: how many lie idle now.
        allocations: times a block was asked for.
        misses: of these, times no idle block was there.
        frees: times a block came back.
        free_misses: of these, times the list was full and the block went to the pool.
        failures: of the misses, times the pool had none either.

    >>> LookasideStatistics(4, 256, 3, 10, 4, 9, 0, 0).hit_rate
    0.6
    """

    depth: int
    maximum_depth: int
    idle: int
    allocations: int
    misses: int
    frees: int
    free_misses: int
    failures: int

    @property
    def hits(self) -> int:
        """Allocations that an idle block served."""
        return self.allocations - self.misses

    @property
    def hit_rate(self) -> float:
        """Hits by allocations, 0.0 to 1.0; 0.0 before the first."""
        return self.hits / self.allocations if self.allocations else 0.0

    @property
    def outstanding(self) -> int:
        """Blocks that are out now."""
        return self.allocations - self.failures - self.frees


@dataclass(frozen=True, slots=True)
class TagStatistics:
    """What was allocated with one tag from one pool type.

    Attributes:
        tag: 1 to 4 characters in display order.
        pool: the pool type's number: 512 non-paged, 1 paged.
        allocations: blocks handed out, those of lookaside lists included.
        frees: blocks that were freed or whose object was destroyed; bytes that an open view still
            shows are counted as `stale_blocks` until it is released.
        hits: of the allocations, those that an idle block of a list served.
        bytes: bytes out now, at the sizes asked for.
        peak_bytes: the most bytes that were out at once.

    >>> TagStatistics("Capt", 512, 10, 8, 6, 8192, 16384).outstanding
    2
    """

    tag: str
    pool: int
    allocations: int
    frees: int
    hits: int
    bytes: int
    peak_bytes: int

    @property
    def outstanding(self) -> int:
        """Blocks that are out now: the `Diff` column of poolmon."""
        return self.allocations - self.frees

    @property
    def per_allocation(self) -> float:
        """Bytes by outstanding blocks; 0.0 when none is out."""
        return self.bytes / self.outstanding if self.outstanding else 0.0


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a domain counted: totals, and one record a tag and pool type.

    Attributes:
        limit: the hard limit in bytes, or None.
        bytes: bytes out now, at the sizes asked for.
        idle_bytes: bytes that lie idle in lookaside lists.
        charged_bytes: what counts against the limit: bytes out and idle.
        peak_charged_bytes: the most of these at once.
        mapped_bytes: address space taken from the system.
        locked_bytes: of the non-paged bytes, those the system keeps resident.
        unlocked_bytes: of the non-paged bytes, those it refused to lock.
        lists: lookaside lists of the domain.
        stale_blocks: blocks whose object is gone while a view of them is open.
        stale_events: times that happened.
        dropped_blocks: local buffers dropped without free().
        failures: allocations refused.
        allocation_points: allocations from the pool, failed ones included.
        tags: records in the order of their tags.

    >>> import membuf
    >>> with membuf.Domain() as domain:
    ...     memory = membuf.Memory(100, parent=domain)
    ...     domain.statistics().bytes, domain.statistics().outstanding
    (100, 1)
    """

    limit: int | None
    bytes: int
    idle_bytes: int
    charged_bytes: int
    peak_charged_bytes: int
    mapped_bytes: int
    locked_bytes: int
    unlocked_bytes: int
    lists: int
    stale_blocks: int
    stale_events: int
    dropped_blocks: int
    failures: int
    allocation_points: int
    tags: tuple[TagStatistics, ...]

    @property
    def allocations(self) -> int:
        """Blocks handed out under all tags."""
        return sum(record.allocations for record in self.tags)

    @property
    def frees(self) -> int:
        """Blocks that came back under all tags."""
        return sum(record.frees for record in self.tags)

    @property
    def outstanding(self) -> int:
        """Blocks that are out now."""
        return self.allocations - self.frees

    def tag(self, tag: str, pool: int | None = None) -> TagStatistics | None:
        """The record of a tag, of one pool type or of the first that has it; None if unused."""
        for record in self.tags:
            if record.tag == tag and pool in (None, record.pool):
                return record
        return None


def pool_statistics(figures: dict[str, Any], tags: list[tuple[Any, ...]]) -> PoolStatistics:
    """The record for what the native domain counted."""
    records = tuple(sorted((TagStatistics(*row) for row in tags), key=lambda r: (r.tag, r.pool)))
    own = {field.name for field in fields(PoolStatistics)}
    known = {name: value for name, value in figures.items() if name in own}
    known |= {
        "limit": figures["limit"] or None,
        "bytes": sum(record.bytes for record in records),
        "tags": records,
    }
    return PoolStatistics(**known)

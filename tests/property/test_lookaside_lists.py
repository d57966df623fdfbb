"""Random traffic through a lookaside list, compared with the model block by block."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import membuf
from tests.model.lookaside import Lookaside

WHICH = st.integers(0, 1000)
SIZES = st.sampled_from((1, 17, 64, 4095, 4096, 5000, 65536))
DEPTHS = st.sampled_from((1, 3, 4, 5, 16, 256))
POOLS = st.sampled_from((membuf.PAGED, membuf.NONPAGED))
ALWAYS = ("depth", "maximum_depth", "allocations", "misses", "hit_rate")
SETTLED = ("frees", "free_misses", "outstanding")


class Stale(NamedTuple):
    """A view that outlived its memory object, and the bytes it has to go on showing."""

    address: int
    view: memoryview
    expected: bytes


class LookasideTraffic(RuleBasedStateMachine):
    """One list; ``live`` memories, ``held`` ones (deleted, but referenced), and stale views."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[membuf.Memory] = []
        self.held: list[membuf.Memory] = []
        self.stale: list[Stale] = []
        self.stamps: dict[int, bytes] = {}
        # The domain never balances by itself here: the model knows only explicit ticks.
        self.domain = membuf.Domain(tag="Test", auto_rebalance=False)
        self.domain.__enter__()

    @initialize(size=SIZES, depth=DEPTHS, pool=POOLS)
    def create(self, size: int, depth: int, pool: membuf.pool.PoolType) -> None:
        """A fresh list: nothing idle, depth 4, all counters zero."""
        self.list = membuf.LookasideList(size, tag="Look", pool=pool, maximum_depth=depth)
        self.model = Lookaside(depth)

    def teardown(self) -> None:
        """Give everything back; the domain warns at its exit if anything is left."""
        for stale in self.stale:
            stale.view.release()
        for memory in self.held:
            memory.dereference("held")
        for memory in self.live:
            memory.delete()
        self.list.delete()
        self.domain.__exit__(None, None, None)

    @rule()
    def allocate(self) -> None:
        """What comes out is the block last freed, or a new one where none is idle."""
        memory = self.list.allocate()
        assert memory.size == self.list.size
        assert self.model.allocate(memory.address), "not the block that was freed last"
        assert memory.address not in self.stamps, "a block in use was handed out again"
        self.stamps[memory.address] = stamp = bytes([len(self.stamps) % 255 + 1]) * memory.size
        memory.copy_from(stamp)
        self.live.append(memory)

    @precondition(lambda self: self.live)
    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        """The block comes back at once."""
        memory = self.live.pop(which % len(self.live))
        self.give_back(memory.address)
        memory.delete()

    @precondition(lambda self: self.live)
    @rule(which=WHICH)
    def delete_referenced(self, which: int) -> None:
        """The block stays out until the last reference goes."""
        memory = self.live.pop(which % len(self.live))
        memory.reference("held")
        memory.delete()
        self.held.append(memory)

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def dereference(self, which: int) -> None:
        """The last reference gives the block back."""
        memory = self.held.pop(which % len(self.held))
        self.give_back(memory.address)
        memory.dereference("held")

    @precondition(lambda self: self.live)
    @rule(which=WHICH)
    def delete_viewed(self, which: int) -> None:
        """The object goes, its block is set aside for the view."""
        memory = self.live.pop(which % len(self.live))
        view = memoryview(memory)
        self.stale.append(Stale(memory.address, view, self.stamps[memory.address]))
        memory.delete()

    @precondition(lambda self: self.stale)
    @rule(which=WHICH)
    def release(self, which: int) -> None:
        """Only the last view lets the block go home."""
        stale = self.stale.pop(which % len(self.stale))
        stale.view.release()
        self.give_back(stale.address)

    def give_back(self, address: int) -> None:
        """Tell the model that a block comes home."""
        del self.stamps[address]
        self.model.free(address)

    @rule()
    def rebalance(self) -> None:
        """One tick of the adaptive depth."""
        self.list.rebalance()
        self.model.rebalance()

    @rule()
    def flush(self) -> None:
        """All idle blocks go back to the pool; blocks in use and the list stay as they are."""
        self.list.flush()
        self.model.flush()

    @invariant()
    def counters_agree(self) -> None:
        """Counted as the framework counts; a set-aside block is neither idle nor handed out."""
        real = self.list.statistics()
        names = ALWAYS if self.stale else ALWAYS + SETTLED
        assert {name: getattr(real, name) for name in names} == {
            name: getattr(self.model, name) for name in names
        }
        assert real.idle == len(self.model.idle)

    @invariant()
    def bytes_are_their_owners(self) -> None:
        """No block is shared: every owner and every view reads what was written for it."""
        for memory in self.live + self.held:
            assert memory.buffer == self.stamps[memory.address]
        for stale in self.stale:
            assert stale.view == stale.expected


LookasideTraffic.TestCase.settings = settings(stateful_step_count=60)
TestLookasideTraffic = LookasideTraffic.TestCase

"""Random allocations in a limited domain, compared with the model's accounts, tag by tag."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import membuf
from tests.model.pool import LimitReachedError, Pool

PAGE = 4096
WHICH = st.integers(0, 1000)
TAGS = st.sampled_from(("Aaaa", "Bb", "c", "~1"))
POOLS = st.sampled_from((membuf.PAGED, membuf.NONPAGED))
SIZES = st.sampled_from((1, 16, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 600 * PAGE))
LIMITS = st.sampled_from((None, 1, PAGE, 8 * PAGE, 1000 * PAGE))

Owned = membuf.Memory | membuf.pool.Block


class PoolAccounting(RuleBasedStateMachine):
    """Blocks and memory objects under four tags and one limit."""

    def __init__(self) -> None:
        super().__init__()
        self.owned: list[Owned] = []
        self.model = Pool()

    @initialize(limit=LIMITS)
    def open_domain(self, limit: int | None) -> None:
        """A domain of its own, so that nothing else is counted."""
        self.model.limit = limit
        self.domain = membuf.Domain(tag="Dflt", limit=limit)
        self.domain.__enter__()

    def teardown(self) -> None:
        """Everything goes back; the domain warns at its exit if anything is left."""
        while self.owned:
            self.free(0)
        self.domain.__exit__(None, None, None)

    @rule(size=SIZES, tag=TAGS, pool=POOLS)
    def allocate_block(self, size: int, tag: str, pool: membuf.pool.PoolType) -> None:
        """A block for local use."""
        self.allocate(lambda: membuf.pool.allocate(size, tag=tag, pool=pool), tag, pool, size)

    @rule(size=SIZES, tag=TAGS, pool=POOLS)
    def create_memory(self, size: int, tag: str, pool: membuf.pool.PoolType) -> None:
        """A memory object's block is charged like any other."""
        self.allocate(lambda: membuf.Memory(size, tag=tag, pool=pool), tag, pool, size)

    def allocate(
        self, make: Callable[[], Owned], tag: str, pool: membuf.pool.PoolType, size: int
    ) -> None:
        """Make it where the model allows it, or fail where the model fails."""
        try:
            self.model.allocate(tag, int(pool), size)
        except LimitReachedError:
            self.refused(make)
            return
        self.owned.append(make())

    def refused(self, make: Callable[[], Owned]) -> None:
        """The limit raises a MemoryError that is one of ours."""
        with pytest.raises(membuf.InsufficientResourcesError):
            make()

    @precondition(lambda self: self.owned)
    @rule(which=WHICH)
    def free(self, which: int) -> None:
        """Free a block, delete a memory object."""
        owned = self.owned.pop(which % len(self.owned))
        self.model.free(owned.tag, int(owned.pool), owned.size)
        if isinstance(owned, membuf.Memory):
            owned.delete()
        else:
            membuf.pool.free(owned, tag=owned.tag)

    @rule()
    def trim(self) -> None:
        """Giving empty slabs back to the system changes no account."""
        membuf.pool.trim()

    @invariant()
    def accounts_agree(self) -> None:
        """One record per tag and pool type that was ever used."""
        records = {
            (record.tag, int(record.pool)): record
            for record in membuf.pool.statistics().tags
            if record.allocations
        }
        assert set(records) == set(self.model.accounts)
        for key, account in self.model.accounts.items():
            record = records[key]
            assert (record.allocations, record.frees) == (account.allocations, account.frees)
            assert (record.bytes, record.peak_bytes) == (account.bytes, account.peak_bytes)
            assert record.outstanding == account.outstanding


PoolAccounting.TestCase.settings = settings(stateful_step_count=40)
TestPoolAccounting = PoolAccounting.TestCase

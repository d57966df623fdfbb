"""The adaptive depth: the rule, its floor and its cap, by hand and by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import membuf


@pytest.fixture
def domain() -> Iterator[membuf.Domain]:
    """A domain that leaves the depth to rebalance()."""
    with membuf.Domain(tag="Dpth", auto_rebalance=False) as made:
        yield made


@pytest.fixture
def pages(domain: membuf.Domain) -> Iterator[membuf.LookasideList]:
    with membuf.LookasideList(64) as made:
        yield made


def take(pages: membuf.LookasideList, count: int) -> list[membuf.Memory]:
    return [pages.allocate() for _ in range(count)]


def give(memories: list[membuf.Memory]) -> None:
    for memory in memories:
        memory.delete()


@pytest.fixture
def deep(domain: membuf.Domain) -> Iterator[membuf.LookasideList]:
    """A list at its maximum depth, 16, full of idle blocks, at the beginning of a tick."""
    with membuf.LookasideList(64, maximum_depth=16) as made:
        for _ in range(3):
            give(take(made, 32))
            made.rebalance()
        give(take(made, 16))
        made.rebalance()
        assert (made.statistics().depth, made.statistics().idle) == (16, 16)
        yield made


def test_a_quiet_tick_changes_nothing(pages: membuf.LookasideList) -> None:
    before = pages.statistics()
    pages.rebalance()
    assert pages.statistics() == before


@pytest.mark.parametrize(("misses", "depth"), [(1, 5), (3, 7), (4, 8), (100, 8)])
def test_misses_deepen_by_at_most_doubling(
    pages: membuf.LookasideList, misses: int, depth: int
) -> None:
    give(take(pages, misses))
    pages.rebalance()
    assert pages.statistics().depth == depth


def test_misses_of_the_last_tick_count_once(pages: membuf.LookasideList) -> None:
    give(take(pages, 3))
    pages.rebalance()
    depth = pages.statistics().depth
    pages.rebalance()
    assert pages.statistics().depth <= depth


def test_depth_never_passes_the_maximum(domain: membuf.Domain) -> None:
    with membuf.LookasideList(64, maximum_depth=10) as pages:
        for _ in range(6):
            give(take(pages, 40))
            pages.rebalance()
            assert pages.statistics().depth <= 10
        assert pages.statistics().depth == 10


def test_the_cap_is_256(pages: membuf.LookasideList) -> None:
    depths = []
    for _ in range(10):
        give(take(pages, 600))
        pages.rebalance()
        depths.append(pages.statistics().depth)
    assert depths == sorted(depths)
    assert depths[-1] == 256


def test_blocks_idle_all_through_a_tick_make_it_shallower(deep: membuf.LookasideList) -> None:
    deep.rebalance()
    assert (deep.statistics().depth, deep.statistics().idle) == (8, 8)


@pytest.mark.parametrize(("taken", "depth"), [(14, 15), (13, 14), (12, 14), (1, 8), (16, 16)])
def test_half_of_what_was_idle_all_the_time_goes(
    deep: membuf.LookasideList, taken: int, depth: int
) -> None:
    give(take(deep, taken))
    deep.rebalance()
    assert deep.statistics().depth == depth


def test_depth_never_falls_below_four(deep: membuf.LookasideList) -> None:
    for _ in range(10):
        deep.rebalance()
    assert (deep.statistics().depth, deep.statistics().idle) == (4, 4)


def test_demand_without_misses_keeps_the_depth(deep: membuf.LookasideList) -> None:
    for _ in range(5):
        give(take(deep, 16))
        deep.rebalance()
    assert deep.statistics().depth == 16


def test_balancing_by_itself_happens_within_two_seconds() -> None:
    """At most once a second, inside a miss: demand alone deepens the list."""
    with membuf.Domain(tag="Auto"), membuf.LookasideList(64) as pages:
        end = time.monotonic() + 10
        while pages.statistics().depth == 4 and time.monotonic() < end:
            give(take(pages, 8))
            time.sleep(0.05)
        assert pages.statistics().depth > 4


def test_without_the_automatic_tick_it_stays(pages: membuf.LookasideList) -> None:
    end = time.monotonic() + 1.3
    while time.monotonic() < end:
        give(take(pages, 8))
        time.sleep(0.05)
    assert pages.statistics().depth == 4

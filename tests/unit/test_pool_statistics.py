"""Accounts by tag and pool, totals, limits and trim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import membuf

PAGE = 4096


def record(tag: str, pool: membuf.pool.PoolType = membuf.NONPAGED) -> object:
    """The account of one tag."""
    return next(
        entry for entry in membuf.pool.statistics().tags if entry.tag == tag and entry.pool == pool
    )


@pytest.fixture(autouse=True)
def domain():
    """Every test in a domain of its own."""
    with membuf.Domain(tag="Test") as made:
        yield made


def test_a_fresh_domain_has_no_accounts() -> None:
    assert tuple(membuf.pool.statistics().tags) == ()


def test_an_account_per_tag_and_pool() -> None:
    blocks = [
        membuf.pool.allocate(size, tag=tag, pool=pool)
        for size, tag, pool in (
            (100, "Aaaa", membuf.PAGED),
            (50, "Aaaa", membuf.PAGED),
            (30, "Aaaa", membuf.NONPAGED),
            (PAGE, "Bbbb", membuf.PAGED),
        )
    ]
    assert {(entry.tag, entry.pool) for entry in membuf.pool.statistics().tags} == {
        ("Aaaa", membuf.PAGED),
        ("Aaaa", membuf.NONPAGED),
        ("Bbbb", membuf.PAGED),
    }
    account = record("Aaaa", membuf.PAGED)
    assert (account.allocations, account.frees, account.outstanding) == (2, 0, 2)
    assert (account.bytes, account.peak_bytes) == (150, 150)
    blocks[0].free()
    account = record("Aaaa", membuf.PAGED)
    assert (account.allocations, account.frees, account.outstanding) == (2, 1, 1)
    assert (account.bytes, account.peak_bytes) == (50, 150)
    for block in blocks[1:]:
        block.free()


def test_counters_only_grow_and_peaks_stay() -> None:
    for _ in range(5):
        membuf.pool.allocate(10, tag="Grow").free()
    account = record("Grow")
    assert (account.allocations, account.frees, account.outstanding) == (5, 5, 0)
    assert (account.bytes, account.peak_bytes) == (0, 10)


def test_tags_are_case_sensitive() -> None:
    for tag in ("Io", "io"):
        membuf.pool.allocate(10, tag=tag).free()
    assert len(tuple(membuf.pool.statistics().tags)) == 2


def test_memories_and_blocks_share_an_account() -> None:
    memory = membuf.Memory(100, tag="Both")
    block = membuf.pool.allocate(50, tag="Both")
    assert record("Both").bytes == 150
    memory.delete()
    block.free()


def test_preallocated_memory_is_on_no_account() -> None:
    with membuf.Memory.preallocated(bytearray(64), tag="None"):
        assert tuple(membuf.pool.statistics().tags) == ()


def test_statistics_are_frozen() -> None:
    figures = membuf.pool.statistics()
    with pytest.raises(AttributeError):
        figures.tags = ()
    membuf.pool.allocate(10, tag="Frzn").free()
    with pytest.raises(AttributeError):
        record("Frzn").bytes = 5


def test_a_failed_allocation_is_on_no_account_but_counted_as_a_failure() -> None:
    with pytest.raises(membuf.MembufError):
        membuf.pool.allocate(2**60, tag="Fail")
    figures = membuf.pool.statistics()
    assert (figures.allocations, figures.frees, figures.bytes) == (0, 0, 0)
    assert figures.failures == 1


def test_the_limit_raises_and_leaves_everything() -> None:
    membuf.pool.set_limit(10 * PAGE)
    blocks = [membuf.pool.allocate(PAGE, tag="Limt") for _ in range(10)]
    before = membuf.pool.statistics()
    for make in (
        lambda: membuf.pool.allocate(1, tag="Limt"),
        lambda: membuf.Memory(PAGE, tag="Limt"),
        lambda: membuf.LookasideList(PAGE, tag="Limt").allocate(),
    ):
        with pytest.raises(membuf.InsufficientResourcesError) as caught:
            make()
        assert isinstance(caught.value, MemoryError)
        assert "limit" in str(caught.value)
    assert membuf.pool.statistics().tags == before.tags
    blocks.pop().free()
    blocks.append(membuf.pool.allocate(PAGE, tag="Limt"))
    membuf.pool.set_limit(None)
    blocks.append(membuf.pool.allocate(PAGE, tag="Limt"))
    for block in blocks:
        block.free()


def test_a_limit_below_what_is_held_stops_new_allocations_only() -> None:
    block = membuf.pool.allocate(10 * PAGE)
    membuf.pool.set_limit(PAGE)
    with pytest.raises(membuf.InsufficientResourcesError):
        membuf.pool.allocate(1)
    block[0] = 1
    block.free()
    membuf.pool.allocate(PAGE).free()


@pytest.mark.parametrize("wrong", [-1, -(2**70)])
def test_a_limit_is_not_negative(wrong: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.pool.set_limit(wrong)


@pytest.mark.parametrize("wrong", [2.7, True, "64KiB", np.float64(1)])
def test_a_limit_is_an_integer(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.pool.set_limit(wrong)


def test_numpy_integers_are_limits() -> None:
    membuf.pool.set_limit(np.int64(PAGE))
    with pytest.raises(membuf.InsufficientResourcesError):
        membuf.pool.allocate(PAGE + 1)


def test_a_failing_miss_gives_the_object_back() -> None:
    pages = membuf.LookasideList(PAGE)
    first = pages.allocate()
    membuf.pool.set_limit(PAGE)
    with pytest.raises(membuf.InsufficientResourcesError):
        pages.allocate()
    figures = pages.statistics()
    assert figures.outstanding == 1
    assert figures.idle == 0
    first.delete()
    pages.allocate().delete()
    pages.delete()


def test_trim_gives_memory_back_to_the_system() -> None:
    mebibyte = 1 << 20
    blocks = [membuf.pool.allocate(mebibyte, pool=membuf.PAGED) for _ in range(32)]
    for block in blocks:
        block[:] = b"\x01" * mebibyte
    held = resident()
    for block in blocks:
        block.free()
    membuf.pool.trim()
    assert held - resident() > 30 * mebibyte
    membuf.pool.allocate(64).free()


def test_trim_leaves_what_is_in_use() -> None:
    kept = [membuf.Memory(size, zero=True) for size in (64, PAGE, 3 << 20)]
    view = membuf.Memory(PAGE, zero=True).buffer
    membuf.pool.trim()
    assert all(memory.buffer == bytes(memory.size) for memory in kept)
    assert view == bytes(PAGE)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

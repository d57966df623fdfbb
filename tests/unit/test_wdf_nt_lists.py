"""The kernel's own lookaside lists: over the core's, and over the caller's allocator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import membuf
import membuf.verifier
from membuf import wdf
from membuf.base.status import Status

OLDER = {
    "NPaged": (wdf.NPAGED_LOOKASIDE_LIST, wdf.NonPagedPoolNx),
    "Paged": (wdf.PAGED_LOOKASIDE_LIST, wdf.PagedPool),
}


@pytest.fixture(autouse=True)
def domain() -> Iterator[membuf.Domain]:
    with membuf.Domain(auto_rebalance=False) as own:
        yield own


def initialize(
    allocate: Any = None,
    free: Any = None,
    pool: int = wdf.PagedPool,
    flags: int = 0,
    size: int = 64,
    tag: Any = b"Page",
    depth: int = 0,
) -> tuple[Status, wdf.LOOKASIDE_LIST_EX]:
    lookaside = wdf.LOOKASIDE_LIST_EX()
    arguments = (allocate, free, pool, flags, size, tag, depth)
    return wdf.ExInitializeLookasideListEx(lookaside, *arguments), lookaside


def fresh(**arguments: Any) -> wdf.LOOKASIDE_LIST_EX:
    status, lookaside = initialize(**arguments)
    assert status == wdf.STATUS_SUCCESS
    return lookaside


@pytest.mark.parametrize("depth", [0, 77])
def test_a_fresh_list_whatever_depth_was_asked_for(depth: int) -> None:
    now = fresh(depth=depth).L
    assert (now.Depth, now.MaximumDepth, now.ListDepth) == (4, 256, 0)
    assert (now.TotalAllocates, now.AllocateMisses, now.TotalFrees, now.FreeMisses) == (0, 0, 0, 0)
    assert (now.Type, now.Size, now.Tag) == (wdf.PagedPool, 64, int(membuf.Tag(b"Page")))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"pool": 2}, wdf.STATUS_INVALID_PARAMETER_4),
        ({"pool": 3}, wdf.STATUS_INVALID_PARAMETER_4),
        ({"pool": 32}, wdf.STATUS_INVALID_PARAMETER_4),
        ({"pool": 2, "flags": 4}, wdf.STATUS_INVALID_PARAMETER_4),
        ({"flags": 3}, wdf.STATUS_INVALID_PARAMETER_5),
        ({"flags": 4}, wdf.STATUS_INVALID_PARAMETER_5),
        ({"flags": 2}, wdf.STATUS_INVALID_PARAMETER_5),
        ({"flags": 2, "allocate": lambda *_: None}, wdf.STATUS_SUCCESS),
        ({"flags": 1}, wdf.STATUS_SUCCESS),
        ({"size": 7}, wdf.STATUS_INVALID_PARAMETER),
        ({"size": 8}, wdf.STATUS_SUCCESS),
        ({"size": 2**32}, wdf.STATUS_INVALID_PARAMETER),
        ({"pool": wdf.NonPagedPoolNx}, wdf.STATUS_SUCCESS),
        ({"pool": wdf.NonPagedPool}, wdf.STATUS_SUCCESS),
    ],
)
def test_what_initialize_answers(arguments: dict[str, Any], status: Status) -> None:
    answer, lookaside = initialize(**arguments)
    assert answer == status
    assert (lookaside.state is not None) == (status == wdf.STATUS_SUCCESS)


@pytest.mark.parametrize(("tag", "p1"), [(0, 0x9B), (b"BIG", 0x9C), (b"....", 0x9D)])
def test_a_bad_tag_stops(tag: Any, p1: int) -> None:
    with pytest.raises(membuf.BugCheck) as caught:
        initialize(tag=tag)
    assert (caught.value.code, caught.value.p1) == (0xC2, p1)


def test_entries_come_back_last_in_first_out_and_are_counted() -> None:
    lookaside = fresh()
    entries = [wdf.ExAllocateFromLookasideListEx(lookaside) for _ in range(6)]
    addresses = [entry.address for entry in entries]
    for entry in entries:
        wdf.ExFreeToLookasideListEx(lookaside, entry)
    now = lookaside.L
    assert (now.TotalAllocates, now.AllocateMisses) == (6, 6)
    assert (now.TotalFrees, now.FreeMisses, now.ListDepth) == (6, 2, 4)
    again = [wdf.ExAllocateFromLookasideListEx(lookaside) for _ in range(4)]
    assert [entry.address for entry in again] == addresses[3::-1]
    for entry in again:
        wdf.ExFreeToLookasideListEx(lookaside, entry)
    wdf.ExDeleteLookasideListEx(lookaside)


def test_an_entry_is_a_buffer_of_its_size() -> None:
    lookaside = fresh(size=100)
    entry = wdf.ExAllocateFromLookasideListEx(lookaside)
    entry[0:3] = b"abc"
    assert (bytes(entry[:3]), len(entry), entry.address % 16) == (b"abc", 100, 0)
    wdf.ExFreeToLookasideListEx(lookaside, entry)


def test_an_entry_may_be_freed_by_its_address() -> None:
    lookaside = fresh()
    entry = wdf.ExAllocateFromLookasideListEx(lookaside)
    wdf.ExFreeToLookasideListEx(lookaside, entry.address)
    assert lookaside.L.ListDepth == 1


def test_a_pointer_does_not_show_the_next_life_of_its_block() -> None:
    lookaside = fresh()
    first = wdf.ExAllocateFromLookasideListEx(lookaside)
    wdf.ExFreeToLookasideListEx(lookaside, first)
    second = wdf.ExAllocateFromLookasideListEx(lookaside)
    second[0] = 0x41
    with pytest.raises(BufferError):
        first[0]
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.ExFreeToLookasideListEx(lookaside, first)
    assert (caught.value.code, caught.value.p1) == (0xC2, 7)
    assert second[0] == 0x41
    wdf.ExFreeToLookasideListEx(lookaside, second)


def test_what_is_no_entry_is_refused() -> None:
    lookaside, other = fresh(), fresh()
    foreign = wdf.ExAllocateFromLookasideListEx(other)
    for entry in (foreign, None, 0x1234, bytearray(64)):
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.ExFreeToLookasideListEx(lookaside, entry)
        assert (caught.value.code, caught.value.p1) == (0xC2, 0x46)
    assert lookaside.L.TotalFrees == 0
    wdf.ExFreeToLookasideListEx(other, foreign)


def test_flush_and_delete_free_what_lies_idle(domain: membuf.Domain) -> None:
    lookaside = fresh()
    for _ in range(2):
        wdf.ExFreeToLookasideListEx(lookaside, wdf.ExAllocateFromLookasideListEx(lookaside))
        assert domain.statistics().idle_bytes == 64
        wdf.ExFlushLookasideListEx(lookaside)
        assert (lookaside.L.ListDepth, domain.statistics().idle_bytes) == (0, 0)
    wdf.ExFreeToLookasideListEx(lookaside, wdf.ExAllocateFromLookasideListEx(lookaside))
    wdf.ExDeleteLookasideListEx(lookaside)
    assert domain.statistics().idle_bytes == 0


def test_a_list_is_used_between_its_initialization_and_its_deletion() -> None:
    lookaside = wdf.LOOKASIDE_LIST_EX()
    calls: list[Callable[[Any], Any]] = [
        wdf.ExAllocateFromLookasideListEx,
        wdf.ExFlushLookasideListEx,
        wdf.ExDeleteLookasideListEx,
        lambda it: wdf.ExFreeToLookasideListEx(it, None),
        lambda it: it.L,
    ]
    for call in calls:
        with pytest.raises(membuf.InvalidParameterError):
            call(lookaside)
    arguments = (None, None, wdf.PagedPool, 0, 64, b"Page", 0)
    assert wdf.ExInitializeLookasideListEx(lookaside, *arguments) == wdf.STATUS_SUCCESS
    with pytest.raises(membuf.InvalidParameterError):
        wdf.ExInitializeLookasideListEx(lookaside, *arguments)
    wdf.ExDeleteLookasideListEx(lookaside)
    assert wdf.ExInitializeLookasideListEx(lookaside, *arguments) == wdf.STATUS_SUCCESS


@pytest.mark.parametrize(("flags", "raises"), [(0, False), (1, True)])
def test_failure_is_null_or_raises(flags: int, raises: bool) -> None:
    lookaside = fresh(flags=flags)
    with membuf.verifier.faults(after=1):
        if raises:
            with pytest.raises(membuf.InsufficientResourcesError):
                wdf.ExAllocateFromLookasideListEx(lookaside)
        else:
            assert wdf.ExAllocateFromLookasideListEx(lookaside) is None


def test_the_callers_own_allocator_serves_misses_and_takes_what_is_too_much() -> None:
    made: list[Any] = []
    freed: list[Any] = []

    def allocate(pool: int, size: int, tag: int, lookaside: Any) -> bytearray:
        made.append((pool, size, tag, lookaside))
        return bytearray(size)

    lookaside = fresh(allocate=allocate, free=lambda entry, it: freed.append((entry, it)), flags=2)
    entries = [wdf.ExAllocateFromLookasideListEx(lookaside) for _ in range(6)]
    assert made == [(wdf.PagedPool, 64, int(membuf.Tag(b"Page")), lookaside)] * 6
    for entry in entries:
        wdf.ExFreeToLookasideListEx(lookaside, entry)
    assert [entry for entry, _ in freed] == entries[4:]
    assert freed[0][1] is lookaside
    now = lookaside.L
    assert (now.Depth, now.ListDepth, now.FreeMisses) == (4, 4, 2)
    assert wdf.ExAllocateFromLookasideListEx(lookaside) is entries[3]
    wdf.ExDeleteLookasideListEx(lookaside)
    assert [id(entry) for entry, _ in freed[2:]] == [id(entries[i]) for i in (2, 1, 0)]


def test_an_allocator_of_ones_own_may_fail() -> None:
    lookaside = fresh(allocate=lambda *_: None, flags=2)
    assert wdf.ExAllocateFromLookasideListEx(lookaside) is None
    assert lookaside.L.AllocateMisses == 1
    raising = fresh(allocate=lambda *_: None, flags=1)
    with pytest.raises(membuf.InsufficientResourcesError):
        wdf.ExAllocateFromLookasideListEx(raising)


def test_one_callback_alone_goes_with_the_pools_other_half(domain: membuf.Domain) -> None:
    lookaside = fresh(
        allocate=lambda pool, size, tag, _: wdf.ExAllocatePoolWithTag(pool, size, tag)
    )
    entry = wdf.ExAllocateFromLookasideListEx(lookaside)
    wdf.ExFreeToLookasideListEx(lookaside, entry)
    assert domain.statistics().outstanding == 1
    wdf.ExDeleteLookasideListEx(lookaside)
    assert domain.statistics().outstanding == 0


@pytest.mark.parametrize("kind", OLDER)
def test_the_older_pair(kind: str, domain: membuf.Domain) -> None:
    storage, pool = OLDER[kind]
    lookaside = storage()
    getattr(wdf, f"ExInitialize{kind}LookasideList")(lookaside, None, None, 0, 64, b"Page", 9)
    assert (lookaside.L.Type, lookaside.L.Depth) == (pool, 4)
    entry = getattr(wdf, f"ExAllocateFrom{kind}LookasideList")(lookaside)
    assert [record.pool for record in domain.statistics().tags] == [int(pool)]
    getattr(wdf, f"ExFreeTo{kind}LookasideList")(lookaside, entry)
    assert lookaside.L.ListDepth == 1
    getattr(wdf, f"ExDelete{kind}LookasideList")(lookaside)
    assert lookaside.state is None


@pytest.mark.parametrize("kind", OLDER)
def test_the_older_pair_raises_on_failure_if_asked(kind: str) -> None:
    lookaside = OLDER[kind][0]()
    raising = wdf.POOL_RAISE_IF_ALLOCATION_FAILURE
    getattr(wdf, f"ExInitialize{kind}LookasideList")(lookaside, None, None, raising, 64, b"Page", 0)
    with membuf.verifier.faults(after=1), pytest.raises(membuf.InsufficientResourcesError):
        getattr(wdf, f"ExAllocateFrom{kind}LookasideList")(lookaside)


@pytest.mark.parametrize("kind", OLDER)
def test_the_older_pair_refuses_a_size_that_c_leaves_undefined(kind: str) -> None:
    initialize_older = getattr(wdf, f"ExInitialize{kind}LookasideList")
    for size in (7, 2**32):
        with pytest.raises(membuf.InvalidParameterError, match=str(size)):
            initialize_older(OLDER[kind][0](), None, None, 0, size, b"Page", 0)


@pytest.mark.parametrize("kind", OLDER)
def test_the_older_callbacks_do_not_get_the_list(kind: str) -> None:
    seen: list[Any] = []

    def allocate(*plan: int) -> bytearray:
        seen.append(plan)
        return bytearray(64)

    lookaside = OLDER[kind][0]()
    getattr(wdf, f"ExInitialize{kind}LookasideList")(
        lookaside, allocate, seen.append, 0, 64, b"Page", 0
    )
    entry = getattr(wdf, f"ExAllocateFrom{kind}LookasideList")(lookaside)
    getattr(wdf, f"ExFreeTo{kind}LookasideList")(lookaside, entry)
    getattr(wdf, f"ExDelete{kind}LookasideList")(lookaside)
    assert seen == [(OLDER[kind][1], 64, int(membuf.Tag(b"Page"))), entry]

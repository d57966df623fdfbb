"""Page spans, counted ranges, parts and chains against the obvious way to compute them."""

from __future__ import annotations

import mmap

from hypothesis import given
from hypothesis import strategies as st

import membuf
from membuf.mdl import (
    PAGE_SIZE,
    byte_offset,
    bytes_to_pages,
    page_align,
    round_to_pages,
    span_pages,
)
from membuf.mdl.runs import Runs
from membuf.mdl.vectors import batches

ADDRESSES = st.integers(0, 2**48)
SIZES = st.integers(1, 2**20)
RANGES = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda r: (r[0], r[0] + r[1]))
PAGES = mmap.mmap(-1, 64 * PAGE_SIZE)


@given(ADDRESSES, SIZES)
def test_a_span_counts_the_pages_touched(address: int, size: int) -> None:
    last = (address + size - 1) // PAGE_SIZE
    assert span_pages(address, size) == last - address // PAGE_SIZE + 1
    assert page_align(address) + byte_offset(address) == address
    assert round_to_pages(size) == bytes_to_pages(size) * PAGE_SIZE >= size


@given(st.lists(RANGES, max_size=12), st.data())
def test_counts_over_ranges_are_those_of_a_counter_a_unit(
    ranges: list[tuple[int, int]], data: st.DataObject
) -> None:
    runs, counts = Runs(), [0] * 50
    for start, end in ranges:
        fresh = {unit for run in runs.add(start, end) for unit in range(run.start, run.end)}
        assert fresh == {unit for unit in range(start, end) if not counts[unit]}
        for unit in range(start, end):
            counts[unit] += 1
    for start, end in data.draw(st.permutations(ranges)):
        empty = {unit for run in runs.remove(start, end) for unit in range(run.start, run.end)}
        for unit in range(start, end):
            counts[unit] -= 1
        assert empty == {unit for unit in range(start, end) if not counts[unit]}
        held = {u: run.count for run in runs for u in range(run.start, run.end)}
        assert held == {unit: count for unit, count in enumerate(counts) if count}
    assert list(runs) == []


@given(st.integers(0, 5000), st.integers(1, 100_000), st.data())
def test_a_part_of_a_part_is_a_part(offset: int, length: int, data: st.DataObject) -> None:
    with membuf.Mdl(PAGES, offset, length) as mdl:
        mdl.lock()
        first = data.draw(st.integers(0, length - 1))
        count = data.draw(st.integers(0, length - first))
        part = mdl.partial(first, count)
        assert part.byte_count == (count or length - first)
        inner_first = data.draw(st.integers(0, part.byte_count - 1))
        inner = part.partial(inner_first)
        assert inner.address == mdl.address + first + inner_first
        assert inner.page_count == span_pages(inner.address, inner.byte_count)
        assert inner.guarantees == mdl.guarantees


@given(st.lists(SIZES.map(lambda size: size % 1000 + 1), min_size=1, max_size=8))
def test_a_chain_is_all_its_bytes_in_order(sizes: list[int]) -> None:
    head, *rest = [membuf.Mdl(bytearray(bytes([n]) * size)) for n, size in enumerate(sizes)]
    for mdl in rest:
        head.chain(mdl)
    assert [link.byte_count for link in head.walk()] == sizes
    joined = b"".join(head.iovecs())
    assert joined == b"".join(bytes([n]) * size for n, size in enumerate(sizes))


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 6), st.integers(1, 40))
def test_batches_keep_every_byte_and_both_limits(sizes: list[int], buffers: int, size: int) -> None:
    vectors = [memoryview(bytes([n]) * count) for n, count in enumerate(sizes)]
    split = batches(vectors, buffers, size)
    assert b"".join(part for batch in split for part in batch) == b"".join(vectors)
    assert all(0 < len(batch) <= buffers for batch in split)
    assert all(sum(map(len, batch)) <= size for batch in split)

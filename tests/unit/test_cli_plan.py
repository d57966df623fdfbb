"""Which parts of a source are moved, and in which pieces."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from membuf.bus import Extent
from membuf.cli.copying.plan import TRIP_SIZE, Crewing, aligned, crewing, pieces

BORDERS = st.sets(st.integers(1, 1 << 20), max_size=12)
BLOCKS = st.sampled_from([512, 1000, 4096, 65536, 1 << 20])


def extents_between(start: int, borders: set[int], *, data_first: bool) -> list[Extent]:
    """Extents from `start` over all borders, data and holes in turn."""
    found: list[Extent] = []
    for border in sorted(borders):
        found.append(Extent(start, border, data_first ^ (len(found) % 2 == 1)))
        start += border
    return found


@given(st.integers(0, 9999), BORDERS, st.booleans(), BLOCKS)
def test_pieces_cover_the_data_and_nothing_else(
    start: int, borders: set[int], data_first: bool, block_size: int
) -> None:
    trip = crewing(block_size, 8, ring=False).trip
    extents = extents_between(start, borders, data_first=data_first)
    cut = list(pieces(extents, block_size, trip))
    covered: list[tuple[int, int]] = []
    for offset, length in cut:
        if covered and covered[-1][1] == offset:
            covered[-1] = (covered[-1][0], offset + length)
        else:
            covered.append((offset, offset + length))
    assert covered == [(e.offset, e.offset + e.length) for e in extents if e.data]


@given(st.integers(0, 9999), BORDERS, BLOCKS)
def test_a_piece_is_whole_blocks_or_less_than_one(
    start: int, borders: set[int], block_size: int
) -> None:
    trip = crewing(block_size, 8, ring=True).trip
    for _, length in pieces(extents_between(start, borders, data_first=True), block_size, trip):
        assert 0 < length <= trip
        assert length < block_size or length % block_size == 0


def test_small_blocks_are_carried_together_and_large_ones_are_not() -> None:
    assert crewing(512, 8, ring=False) == Crewing(8, TRIP_SIZE)
    assert crewing(100_000, 8, ring=False) == Crewing(8, 200_000)
    assert crewing(TRIP_SIZE * 8, 3, ring=False) == Crewing(3, TRIP_SIZE * 8)


def test_a_ring_is_shared_by_two_halves() -> None:
    assert crewing(1 << 20, 8, ring=True) == Crewing(2, 4 << 20)
    assert crewing(1 << 20, 1, ring=True) == Crewing(1, 1 << 20)
    assert crewing(512, 8, ring=True) == Crewing(2, TRIP_SIZE)


@given(st.integers(0, 9999), BORDERS, st.booleans(), st.sampled_from([1, 512, 4096]))
def test_aligned_extents_have_no_gap_and_lose_no_data(
    start: int, borders: set[int], data_first: bool, alignment: int
) -> None:
    extents = extents_between(start, borders, data_first=data_first)
    end = start + sum(borders)
    moved = aligned(extents, alignment, end)
    at = start
    for extent in moved:
        assert extent.offset == at
        assert extent.length > 0
        at += extent.length
        assert at % alignment == 0 or at == end
    assert at == end or not extents
    for left, right in itertools.pairwise(moved):
        assert left.data != right.data
    holes = [e for e in moved if not e.data]
    for extent in extents:
        for hole in holes:
            assert not extent.data or (
                hole.offset + hole.length <= extent.offset
                or extent.offset + extent.length <= hole.offset
            )


def test_a_source_without_holes_is_one_extent() -> None:
    assert aligned([Extent(0, 5000, data=True)], 4096, 5000) == [Extent(0, 5000, data=True)]

"""Which parts of a source of known size are moved, and in which pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from membuf.base.alignment import align_down, align_up
from membuf.bus import Extent

TRIP_SIZE: Final = 256 * 1024
"""Blocks smaller than this share a call: what a call costs is paid once for so many bytes."""

HOLE_GRAIN: Final = 4096
"""Zeros are looked for in steps of this many bytes: no file system has smaller holes."""


class Piece(NamedTuple):
    """The part of a source that one thread carries at once.

    Attributes:
        offset, length: in bytes; the length is a whole number of blocks, or less than one.
    """

    offset: int
    length: int


class Crewing(NamedTuple):
    """How a queue depth is made of threads and of what each carries.

    Attributes:
        threads: how many carry at once.
        trip: the most bytes that one carries: whole blocks.
    """

    threads: int
    trip: int


def crewing(block_size: int, queue_depth: int, *, ring: bool) -> Crewing:
    """How many threads carry how much.

    Without a ring each request has a thread of its own. With one, two threads have half of the
    requests each on it, so that one half is read while the other is written.

    >>> crewing(1 << 20, 8, ring=False), crewing(4096, 8, ring=False)
    (Crewing(threads=8, trip=1048576), Crewing(threads=8, trip=262144))
    >>> crewing(1 << 20, 8, ring=True)
    Crewing(threads=2, trip=4194304)
    """
    least = max(1, TRIP_SIZE // block_size)
    if ring:
        return Crewing(min(2, queue_depth), block_size * max(least, queue_depth // 2))
    return Crewing(queue_depth, block_size * least)


def aligned(extents: Iterable[Extent], alignment: int, end: int) -> list[Extent]:
    """The extents with their borders moved to multiples of `alignment`, data growing over holes.

    Args:
        extents: without gaps, in order.
        alignment: a power of two.
        end: where the last extent ends, aligned or not.

    >>> aligned([Extent(0, 100, False), Extent(100, 412, True), Extent(512, 88, False)], 256, 600)
    [Extent(offset=0, length=512, data=True), Extent(offset=512, length=88, data=False)]
    """
    moved: list[Extent] = []
    done = 0
    for number, extent in enumerate(extents):
        if number == 0:
            done = extent.offset
        stop = extent.offset + extent.length
        if stop < end:
            moved_stop = align_up if extent.data else align_down
            stop = min(moved_stop(stop, alignment), end)
        if stop <= done:
            continue
        if moved and moved[-1].data == extent.data:
            done = moved.pop().offset
        moved.append(Extent(done, stop - done, extent.data))
        done = stop
    return moved


def pieces(extents: Iterable[Extent], block_size: int, trip: int) -> Iterator[Piece]:
    """Cut the data among the extents into pieces: whole blocks, `trip` bytes at most, or a rest.

    >>> list(pieces([Extent(0, 4096, False), Extent(4096, 10000, True)], 4096, 65536))
    [Piece(offset=4096, length=8192), Piece(offset=12288, length=1808)]
    """
    for extent in extents:
        start, end = extent.offset, extent.offset + extent.length
        while extent.data and start < end:
            length = min(end - start, trip)
            if length > block_size:
                length -= length % block_size
            yield Piece(start, length)
            start += length

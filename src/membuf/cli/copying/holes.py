"""The holes of a source, made in a destination before its data comes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final

from membuf.base.alignment import align_down
from membuf.bus import Extent
from membuf.cli.copying.crew import Crew
from membuf.cli.copying.destination import Destination
from membuf.cli.copying.job import Watcher

AT_ONCE: Final = 128 << 20
"""The most bytes of one request to make zeros: it may have to write them."""


class Holes:
    """Makes holes, and finds what has to be written in place of those that cannot be made.

    Args:
        destination: where they are to be.
        threads: how many make them at once, where that takes requests.
        watcher: is told how it gets on.

    Attributes:
        made: those that are made, from the start of the copy.
        begun: whether the destination was changed.
    """

    def __init__(self, destination: Destination, threads: int, watcher: Watcher) -> None:
        self.made: list[Extent] = []
        self.begun = False
        self._destination = destination
        self._threads = threads
        self._watcher = watcher
        self._lock = threading.Lock()

    def make(self, extents: Iterable[Extent], start: int) -> list[Extent]:
        """Make what are holes among the extents of a source; the others, which are to be written.

        Args:
            extents: of the source.
            start: where the copy begins in it.
        """
        data = [extent for extent in extents if extent.data]
        holes = [extent for extent in extents if not extent.data]
        if not self._destination.is_disk:
            return sorted([*data, *(hole for hole in holes if not self._made(hole, start))])
        waiting = iter(list(self._requests(holes)))
        failed: list[Extent] = []

        def make_next() -> bool:
            with self._lock:
                hole = next(waiting, None)
            if hole is None:
                return False
            made = self._made(hole, start)
            with self._lock:
                self._watcher.advance(hole.length)
                failed.extend([] if made else [hole])
            return True

        if holes:
            self.begun = True
            self._watcher.begin("zeroing", sum(hole.length for hole in holes))
            cancel = self._destination.target.purge
            Crew(self._watcher, lambda: cancel(wait=False)).run(self._threads, make_next)
        return sorted([*data, *failed])

    def _made(self, hole: Extent, start: int) -> bool:
        made = self._destination.make_hole(hole.offset - start, hole.length)
        if made:
            with self._lock:
                self.made.append(Extent(hole.offset - start, hole.length, data=False))
        return made

    def _requests(self, holes: Iterable[Extent]) -> Iterator[Extent]:
        """The holes in parts; a last one that is no whole block is apart."""
        block = self._destination.limits.offset
        for hole in holes:
            here, end = hole.offset, hole.offset + hole.length
            whole = align_down(end, block)
            while here < whole:
                length = min(whole - here, AT_ONCE)
                yield Extent(here, length, data=False)
                here += length
            if here < end:
                yield Extent(here, end - here, data=False)

"""The reading side of a copy: loads filled from a source, in its order."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from membuf.base.alignment import align_up
from membuf.base.errors import MembufError
from membuf.bus import Extent
from membuf.cli.copying import transfer
from membuf.cli.copying.load import Load
from membuf.cli.copying.plan import pieces
from membuf.cli.copying.source import Source
from membuf.pool import LookasideList


class Reader(Protocol):
    """Hands out loads that are filled; any number of threads may ask at once.

    Attributes:
        total: bytes of the source, as far as they are known.
    """

    total: int

    def next(self) -> Load | None:
        """The next load, filled; None when there is none."""
        ...


class PieceReader:
    """Reads the data among a source's extents, many pieces at once.

    Args:
        source: what is read.
        extents: its data and its holes.
        blocks: the list that the memory comes from.
        trip: bytes of a load at most.
    """

    def __init__(
        self, source: Source, extents: Iterable[Extent], blocks: LookasideList, trip: int
    ) -> None:
        self.total = source.size
        self._source = source
        self._blocks = blocks
        self._pieces = enumerate(pieces(extents, blocks.size, trip))
        self._alignment = source.limits.offset
        self._lock = threading.Lock()

    def next(self) -> Load | None:
        """The next piece of the plan, filled."""
        with self._lock:
            ticket, piece = next(self._pieces, (0, None))
        if piece is None:
            return None
        load = Load(self._blocks, piece.offset - self._source.start, piece.length, ticket)
        try:
            self._fill(load, piece.offset)
        except BaseException:
            load.close()
            raise
        return load

    def _fill(self, load: Load, offset: int) -> None:
        # Direct I/O reads whole blocks of the device, also where the file ends inside one.
        length = align_up(load.length, self._alignment)
        try:
            count = transfer.read(self._source.target, load, 0, length, offset)
        except (OSError, MembufError, ExceptionGroup) as error:
            raise self._source.failure(error, offset) from error
        if count < load.length:
            raise self._source.ended_early(offset + count)


class StreamReader:
    """Reads a source that ends where it ends, one read after the other.

    Args:
        source: what is read.
        blocks: the list that the memory comes from.
        whole: read on until a block is full, as a destination with block sizes needs it; else what
            has arrived is passed on at once.
    """

    def __init__(self, source: Source, blocks: LookasideList, *, whole: bool) -> None:
        self.total = 0
        self._source = source
        self._blocks = blocks
        self._whole = whole
        self._ticket = 0
        self._ended = False
        self._turn = threading.Lock()

    def next(self) -> Load | None:
        """The next bytes of the stream."""
        with self._turn:
            if self._ended:
                return None
            load = Load(self._blocks, self.total, self._blocks.size, self._ticket)
            try:
                load.length = self._fill(load)
            except BaseException:
                load.close()
                raise
            if load.length == 0:
                load.close()
                return None
            self.total += load.length
            self._ticket += 1
            return load

    def _fill(self, load: Load) -> int:
        target = self._source.target
        filled = 0
        while filled < load.block_size:
            at = self._source.start + load.offset + filled
            place = None if self._source.stream else at
            try:
                count = transfer.read(target, load, filled, load.block_size - filled, place)
            except (OSError, MembufError) as error:
                raise self._source.failure(error, at) from error
            filled += count
            self._ended = count == 0
            if self._ended or not self._whole:
                break
        return filled

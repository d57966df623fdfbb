"""The reading side of a copy: loads filled from a source, in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from membuf.base.alignment import align_up
from membuf.bus import Extent
from membuf.cli.copying.load import Load
from membuf.cli.copying.plan import pieces
from membuf.cli.copying.source import Source
from membuf.cli.failure import CommandError, system_failure
from membuf.pool import LookasideList


class Reader(Protocol):
    """Hands out loads that are filled; any number of tasks may ask at once.

    Attributes:
        total: bytes of the source, as far as they are known.
    """

    total: int

    async def next(self) -> Load | None:
        """The next load, filled; None when there is none."""
        ...


class PieceReader:
    """Reads the data among a source's extents, many pieces at once."""

    def __init__(self, source: Source, extents: Iterable[Extent], blocks: LookasideList) -> None:
        self.total = source.size
        self._source = source
        self._blocks = blocks
        self._pieces = enumerate(pieces(extents, blocks.size))
        self._alignment = source.target.limits.offset

    async def next(self) -> Load | None:
        """The next piece of the plan, filled."""
        ticket, piece = next(self._pieces, (0, None))
        if piece is None:
            return None
        load = Load(self._blocks, piece.offset - self._source.start, piece.length, ticket)
        try:
            await self._fill(load, piece.offset)
        except BaseException:
            load.close()
            raise
        return load

    async def _fill(self, load: Load, offset: int) -> None:
        # Direct I/O reads whole blocks of the device, also where the file ends inside one.
        memory, part = load.part(0, align_up(load.length, self._alignment))
        try:
            count = await self._source.target.read_async(memory, offset, **part)
        except OSError as error:
            raise _failure(self._source, offset, error) from error
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
        self._turn = asyncio.Lock()

    async def next(self) -> Load | None:
        """The next bytes of the stream."""
        async with self._turn:
            if self._ended:
                return None
            load = Load(self._blocks, self.total, self._blocks.size, self._ticket)
            try:
                load.length = await self._fill(load)
            except BaseException:
                load.close()
                raise
            if load.length == 0:
                load.close()
                return None
            self.total += load.length
            self._ticket += 1
            return load

    async def _fill(self, load: Load) -> int:
        target = self._source.target
        filled = 0
        while filled < load.block_size:
            at = self._source.start + load.offset + filled
            memory, part = load.part(filled, load.block_size - filled)
            try:
                count = await target.read_async(memory, None if target.stream else at, **part)
            except OSError as error:
                raise _failure(self._source, at, error) from error
            filled += count
            self._ended = count == 0
            if self._ended or not self._whole:
                break
        return filled


def _failure(source: Source, offset: int, error: OSError) -> CommandError:
    reached = offset + int(getattr(error, "done", 0))
    return system_failure(f"cannot read {source.name}", error, offset=reached)

"""The writing side of a copy: loads emptied into a destination."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from membuf.base.alignment import align_down
from membuf.cli.copying.destination import Destination
from membuf.cli.copying.load import Load, Run
from membuf.cli.copying.plan import HOLE_GRAIN
from membuf.cli.failure import CommandError, system_failure

WRITE_BEHIND: Final = 8 << 20
"""Bytes written to the system's cache before their way to the device is asked for."""


class Writer(Protocol):
    """Takes loads; any number of tasks may bring one at once.

    Attributes:
        written: bytes written so far; what became a hole is not among them.
    """

    written: int

    async def write(self, load: Load) -> None:
        """Write a load to the place where it belongs."""
        ...

    def finish(self) -> None:
        """Write what had to wait for everything else."""


class WriteBehind:
    """Has the system write its cache to the device while the copy goes on, not only at its end.

    Measured: a buffered copy of 512 MiB takes 0.2 s so, and 0.3 s where the device waits for the
    flush at the end.
    """

    def __init__(self, destination: Destination) -> None:
        self._target = destination.target
        self._cached = self._target.limits.offset == 1
        self._first = destination.start
        self._last = destination.start
        self._waiting = 0

    def note(self, offset: int, length: int) -> None:
        """Bytes were written; every so many of them a thread asks for their way to the device."""
        self._last = max(self._last, offset + length)
        self._waiting += length
        if not self._cached or self._waiting < WRITE_BEHIND:
            return
        first, self._first, self._waiting = self._first, self._last, 0
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._target.start_writeback, first, self._last - first)


class PlacedWriter:
    """Writes loads where they belong, in any order, and makes holes of zeros.

    Args:
        destination: what is written.
        sparse: make holes of zeros.
    """

    def __init__(self, destination: Destination, *, sparse: bool) -> None:
        self.written = 0
        self._destination = destination
        self._sparse = sparse
        self._alignment = destination.target.limits.offset
        self._grain = max(HOLE_GRAIN, self._alignment)
        self._behind = WriteBehind(destination)
        self._rest: list[tuple[int, bytes]] = []

    async def write(self, load: Load) -> None:
        """Write a load, or make it a hole."""
        runs = load.runs(self._grain) if self._sparse else [Run(0, load.length, zero=False)]
        for start, length, zero in runs:
            if zero and self._destination.make_hole(load.offset + start, length):
                continue
            # What is not a whole block of the device can only be at the end of all.
            whole = align_down(length, self._alignment)
            if whole:
                await self._write_part(load, start, whole)
            if whole < length:
                rest = load.copy_of(start + whole, length - whole)
                self._rest.append((load.offset + start + whole, rest))
            self.written += length

    async def _write_part(self, load: Load, start: int, length: int) -> None:
        memory, part = load.part(start, length)
        offset = self._destination.start + load.offset + start
        try:
            await self._destination.target.write_async(memory, offset, **part)
        except OSError as error:
            raise _failure(self._destination, offset, error) from error
        self._behind.note(offset, length)

    def finish(self) -> None:
        """Write the last bytes, less than a block of the device."""
        for offset, data in self._rest:
            try:
                self._destination.write_rest(offset, data)
            except OSError as error:
                raise _failure(self._destination, offset, error) from error


class StreamWriter:
    """Writes loads one after the other, in the order of their tickets."""

    def __init__(self, destination: Destination) -> None:
        self.written = 0
        self._destination = destination
        self._next_ticket = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def write(self, load: Load) -> None:
        """Wait for the load's turn, and write it."""
        if load.ticket != self._next_ticket:
            turn = asyncio.get_running_loop().create_future()
            self._waiting[load.ticket] = turn
            await turn
        memory, part = load.part(0, load.length)
        try:
            await self._destination.target.write_async(memory, None, **part)
        except OSError as error:
            raise _failure(self._destination, self.written, error) from error
        self.written += load.length
        self._next_ticket += 1
        following = self._waiting.pop(self._next_ticket, None)
        if following is not None and not following.done():
            following.set_result(None)

    def finish(self) -> None:
        """A stream has nothing left."""


def make_writer(destination: Destination, *, sparse: bool) -> Writer:
    """The writer that suits a destination."""
    if destination.target.stream:
        return StreamWriter(destination)
    return PlacedWriter(destination, sparse=sparse)


def _failure(destination: Destination, offset: int, error: OSError) -> CommandError:
    reached = offset + int(getattr(error, "done", 0))
    return system_failure(f"cannot write {destination.name}", error, offset=reached)

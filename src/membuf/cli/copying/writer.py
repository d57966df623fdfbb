"""The writing side of a copy: loads emptied into a destination."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from membuf.base.alignment import align_down
from membuf.base.errors import MembufError
from membuf.cli.copying import transfer
from membuf.cli.copying.crew import CancelledError
from membuf.cli.copying.destination import Destination
from membuf.cli.copying.landed import Landed
from membuf.cli.copying.load import Load, Run
from membuf.cli.copying.plan import HOLE_GRAIN


class Writer(Protocol):
    """Takes loads; any number of threads may bring one at once.

    Attributes:
        written: bytes written so far; what became a hole is not among them.
        landed: how much has arrived, for what is written in place.
    """

    written: int
    landed: Landed

    def write(self, load: Load) -> None:
        """Write a load to the place where it belongs."""
        ...

    def finish(self) -> None:
        """Write what had to wait for everything else."""

    def cancel(self) -> None:
        """Let nobody wait any more."""


class PlacedWriter:
    """Writes loads where they belong, in any order, and makes holes of zeros.

    Args:
        destination: what is written.
        sparse: make holes of zeros.
    """

    def __init__(self, destination: Destination, *, sparse: bool) -> None:
        self.written = 0
        self.landed = Landed()
        self._destination = destination
        self._sparse = sparse
        self._alignment = destination.limits.offset
        self._grain = max(HOLE_GRAIN, self._alignment)
        self._rest: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()

    def write(self, load: Load) -> None:
        """Write a load, or make it a hole."""
        self.landed.some = True
        fits = self._cut_to_fit(load)
        runs = load.runs(self._grain) if self._sparse else [Run(0, load.length, zero=False)]
        for start, length, zero in runs:
            if zero and self._destination.make_hole(load.offset + start, length):
                continue
            for part, size in _parts(start, length, load.block_size):
                self._write_run(load, part, size)
            with self._lock:
                self.written += length
        if not fits:
            raise self._destination.full()
        self.landed.note(load.ticket, load.offset + load.length)

    def _cut_to_fit(self, load: Load) -> bool:
        """Leave out of a load what its destination has no room for; whether that is nothing."""
        if self._destination.capacity is None:
            return True
        room = self._destination.capacity - self._destination.start - load.offset
        if load.length <= room:
            return True
        load.length = max(room, 0)
        return False

    def _write_run(self, load: Load, start: int, length: int) -> None:
        # What is not a whole block of the device can only be at the end of all.
        whole = align_down(length, self._alignment)
        if whole:
            self._write_part(load, start, whole)
        if whole < length:
            rest = load.copy_of(start + whole, length - whole)
            self._rest.append((load.offset + start + whole, rest))

    def _write_part(self, load: Load, start: int, length: int) -> None:
        offset = self._destination.start + load.offset + start
        try:
            transfer.write(self._destination.target, load, start, length, offset)
        except (OSError, MembufError, ExceptionGroup) as error:
            raise self._destination.failure(error, offset) from error
        self._destination.wrote(offset, length)

    def finish(self) -> None:
        """Write the last bytes, less than a block of the device."""
        for offset, data in self._rest:
            try:
                self._destination.write_rest(offset, data)
            except (OSError, MembufError) as error:
                raise self._destination.failure(error, offset) from error

    def cancel(self) -> None:
        """Nobody waits here."""


class StreamWriter:
    """Writes loads one after the other, in the order of their tickets."""

    def __init__(self, destination: Destination) -> None:
        self.written = 0
        self.landed = Landed()
        self._destination = destination
        self._next_ticket = 0
        self._cancelled = False
        self._turn = threading.Condition()

    def write(self, load: Load) -> None:
        """Wait for the load's turn, and write it."""
        with self._turn:
            self._turn.wait_for(lambda: self._cancelled or load.ticket == self._next_ticket)
        if self._cancelled:
            raise CancelledError
        try:
            transfer.write(self._destination.target, load, 0, load.length, None)
        except (OSError, MembufError) as error:
            raise self._destination.failure(error, self.written) from error
        with self._turn:
            self.written += load.length
            self._next_ticket += 1
            self._turn.notify_all()

    def finish(self) -> None:
        """A stream has nothing left."""

    def cancel(self) -> None:
        """Let nobody wait for his turn any more."""
        with self._turn:
            self._cancelled = True
            self._turn.notify_all()


def make_writer(destination: Destination, *, sparse: bool) -> Writer:
    """The writer that suits a destination."""
    if destination.stream:
        return StreamWriter(destination)
    return PlacedWriter(destination, sparse=sparse)


def _parts(start: int, length: int, block_size: int) -> Iterator[tuple[int, int]]:
    """A run in parts that are whole blocks or lie inside one; zeros may be neither.

    >>> list(_parts(100, 5000, 4096)), list(_parts(4096, 9000, 4096))
    ([(100, 3996), (4096, 1004)], [(4096, 8192), (12288, 808)])
    """
    end = start + length
    while start < end:
        inside = start % block_size
        whole = (end - start) // block_size * block_size
        size = min(block_size - inside, end - start) if inside or not whole else whole
        yield start, size
        start += size

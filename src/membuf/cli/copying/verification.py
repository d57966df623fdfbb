"""Whether a destination holds what was written: its checksums against those of what was read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from membuf.base.alignment import align_up
from membuf.base.errors import MembufError
from membuf.bus import Extent
from membuf.cli.copying import transfer
from membuf.cli.copying.crew import Crew
from membuf.cli.copying.destination import Destination
from membuf.cli.copying.job import Watcher
from membuf.cli.copying.load import Load
from membuf.cli.copying.plan import HOLE_GRAIN, Crewing, pieces
from membuf.cli.failure import CommandError, ExitCode
from membuf.pool import LookasideList
from membuf.target.target import Target


class Checksum(NamedTuple):
    """What a part of the copy must be.

    Attributes:
        offset, length: in bytes, from the start of the copy.
        digest: the SHA-256 of the bytes; None: they must be zeros.
    """

    offset: int
    length: int
    digest: bytes | None


class Verification:
    """Reads a destination back and compares.

    Args:
        destination: what was written, and made durable.
        blocks: the list that the memory comes from.
        crewing: how many threads read how much at once.
        watcher: is told how it gets on.
    """

    def __init__(
        self,
        destination: Destination,
        blocks: LookasideList,
        crewing: Crewing,
        watcher: Watcher,
    ) -> None:
        self._destination = destination
        self._blocks = blocks
        self._crewing = crewing
        self._watcher = watcher
        self._lock = threading.Lock()

    def run(self, checksums: Iterable[Checksum], holes: Iterable[Extent]) -> None:
        """Compare everything.

        Args:
            checksums: of what was read.
            holes: what was not written, from the start of the copy.

        Raises:
            CommandError: the destination holds other bytes, or cannot be read.
        """
        with self._destination.reopen_for_reading() as target:
            expected = [*sorted(checksums), *self._filled_holes(target, holes)]
            self._watcher.begin("verifying", sum(checksum.length for checksum in expected))
            waiting = iter(expected)
            Crew(self._watcher, target.purge).run(
                self._crewing.threads, lambda: self._check_next(target, waiting)
            )

    def _filled_holes(self, target: Target, holes: Iterable[Extent]) -> Iterator[Checksum]:
        """What of the holes occupies space, and so has to be read to be known as zeros."""
        start = self._destination.start
        for hole in holes:
            inside = target.extents(start + hole.offset, hole.length)
            for piece in pieces(inside, self._blocks.size, self._crewing.trip):
                yield Checksum(piece.offset - start, piece.length, None)

    def _check_next(self, target: Target, waiting: Iterator[Checksum]) -> bool:
        with self._lock:
            expected = next(waiting, None)
        if expected is None:
            return False
        with Load(self._blocks, expected.offset, expected.length) as load:
            self._read(target, load)
            if not _agrees(load, expected):
                raise self._different(expected)
            with self._lock:
                self._watcher.advance(load.length)
        return True

    def _read(self, target: Target, load: Load) -> None:
        offset = self._destination.start + load.offset
        length = align_up(load.length, target.offset_alignment)
        try:
            count = transfer.read(target, load, 0, length, offset)
        except (OSError, MembufError, ExceptionGroup) as error:
            what = f"cannot read back {self._destination.name}"
            tell = transfer.told if self._destination.is_disk else transfer.failed
            raise tell(what, error, offset) from error
        if count < load.length:
            raise self._different(Checksum(load.offset + count, load.length - count, None))

    def _different(self, part: Checksum) -> CommandError:
        first = self._destination.start + part.offset
        return CommandError(
            f"{self._destination.name} does not hold what was written to it: bytes {first} to "
            f"{first + part.length - 1} differ",
            ExitCode.DIFFERENT,
            offset=first,
            hint="the device or its connection is faulty, or something else wrote to it",
        )


def _agrees(load: Load, expected: Checksum) -> bool:
    if expected.digest is None:
        return all(run.zero for run in load.runs(HOLE_GRAIN))
    return load.digest() == expected.digest

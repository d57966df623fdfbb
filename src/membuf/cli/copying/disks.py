"""Any target that is a disk, as source and destination: memory, a device, an NBD export."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from membuf._native import Memory
from membuf.base.alignment import align_down, align_up
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.bus import Extent, NullTarget, RamTarget, open_target
from membuf.cli.copying import transfer
from membuf.cli.copying.destination import (
    UNKNOWN,
    Destination,
    refuse_protected,
    refuse_too_small,
)
from membuf.cli.copying.job import Job
from membuf.cli.copying.naming import Place
from membuf.cli.copying.source import Source, lowest
from membuf.cli.failure import CommandError, ExitCode
from membuf.target.filters import Cow, Filter
from membuf.target.target import Target

CONNECTIONS: Final = 4
"""To a server that says that several see the same; measured, more gain nothing."""

WORTH_ASKING: Final = 1 << 20
"""A hole of so many bytes is looked at before it is made: it may be one already."""


class DiskSource(Source):
    """A disk that is read from its first byte to its last.

    Args:
        place: what names it.
        target: the I/O target.
        size: its bytes.
    """

    def __init__(self, place: Place, target: Target, size: int) -> None:
        super().__init__(place.name, target, size=size)
        self.place = place
        self.engine = _engine(place)
        self.connections = connections_of(target)

    def extents(self) -> list[Extent]:
        """The data and the holes of it."""
        try:
            return super().extents()
        except MembufError as error:
            raise transfer.told(f"cannot find the holes of {self.name}", error, None) from error

    def failure(self, error: Exception, offset: int) -> CommandError:
        """The failure for what a read raised."""
        return transfer.told(f"cannot read {self.name}", error, offset)


class DiskDestination(Destination):
    """A disk that is written in place, from its first byte on.

    Args:
        place: what names it.
        target: the I/O target.
        size: its bytes.
    """

    is_disk: ClassVar[bool] = True

    def __init__(self, place: Place, target: Target, size: int) -> None:
        super().__init__(place.name, target)
        self.engine = _engine(place)
        self.connections = connections_of(target)
        self.capacity = align_down(size, self.limits.offset)
        self.caveat = _caveat(target)
        self.durable = not self.caveat
        self._makes_zeros = True
        self._lock = threading.Lock()

    def make_hole(self, offset: int, length: int) -> bool:
        """Have bytes read as zeros; False where they have to be written."""
        if (offset | length) % self.limits.offset:
            return False
        try:
            parts = self._filled(offset, length) if length >= WORTH_ASKING else [(offset, length)]
            for part in parts:
                if not self._makes_zeros:
                    return False
                self.target.zero(*part)
        except MembufError as error:
            # Whatever else it is, the write that takes its place will tell.
            self._makes_zeros = self._makes_zeros and error.status not in UNKNOWN
            return False
        return True

    def _filled(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The parts that may hold something, in whole blocks."""
        block, end = self.limits.offset, offset + length
        done = offset
        for extent in self.target.extents(offset, length):
            if not extent.data:
                continue
            first = max(align_down(extent.offset, block), done)
            done = min(align_up(extent.offset + extent.length, block), end)
            if first < done:
                yield first, done - first

    def write_rest(self, offset: int, data: bytes) -> None:
        """Write less than a block: what is behind it in the block stays what it was."""
        block = self.limits.offset
        with contextlib.closing(_Block(block, max(16, self.limits.memory))) as whole:
            self.target.read(whole.memory, offset)
            whole.memory.copy_from(data)
            self.target.write(whole.memory, offset)

    def reopen_for_reading(self) -> contextlib.AbstractContextManager[Target]:
        """The same target: it keeps nothing back, and nobody else may have what it holds."""
        return contextlib.nullcontext(self.target)

    def flush(self) -> None:
        """Have the disk make the bytes durable; one that does not know how is not durable."""
        try:
            self.target.flush()
        except MembufError as error:
            if error.status not in UNKNOWN:
                raise
            self.durable, self.caveat = False, "it has no flush"

    def cancel_flush(self) -> None:
        """Let nobody wait for the flush any more."""
        self.target.purge(wait=False)

    def failure(self, error: Exception, offset: int) -> CommandError:
        """The failure for what a write raised."""
        return transfer.told(f"cannot write {self.name}", error, offset)


class _Block:
    """Memory for one block."""

    def __init__(self, size: int, alignment: int) -> None:
        self.memory = Memory(size, alignment=alignment, tag="Copy")

    def close(self) -> None:
        """Give it back."""
        self.memory.delete()


@contextlib.contextmanager
def open_disk_source(job: Job, place: Place) -> Iterator[DiskSource]:
    """Open the disk that a job reads.

    Raises:
        CommandError: it cannot be opened, has no length, or has an end that cannot be read.
    """
    with _open(job, place, "read") as target:
        yield DiskSource(place, target, _whole_size(place, target))


@contextlib.contextmanager
def open_disk_destination(job: Job, place: Place, source: Source) -> Iterator[DiskDestination]:
    """Open the disk that a job writes.

    Raises:
        CommandError: it cannot be opened, takes no writes, is too small, or is the source.
    """
    if isinstance(source, DiskSource) and _same(source.place, place):
        raise CommandError(f"{source.name} and {place.name} are the same disk", ExitCode.UNUSABLE)
    with _open(job, place, "read-write") as target:
        destination = DiskDestination(place, target, _size(place, target))
        refuse_protected(place.name, target)
        refuse_too_small(source, place.name, destination.capacity or 0)
        yield destination


@contextlib.contextmanager
def _open(job: Job, place: Place, access: str) -> Iterator[Target]:
    options: dict[str, Any] = {}
    if place.is_nbd:
        options = {"access": access, "connections": job.connections or CONNECTIONS}
    elif place.scheme in ("file", "fd"):  # what lies under a copy-on-write filter is only read
        options = {"engine": job.engine}
        options |= {"access": "read"} if place.scheme == "file" else {}
    try:
        target = open_target(place.uri(), **options)
    except InvalidParameterError as error:
        raise CommandError(f"cannot open {place.name}: {error}", ExitCode.USAGE) from error
    except (OSError, MembufError) as error:
        failure = transfer.told(f"cannot open {place.name}", error, None)
        failure.code = ExitCode.UNUSABLE
        raise failure from error
    with target:
        yield target


def _size(place: Place, target: Target) -> int:
    try:
        return target.size
    except MembufError as error:
        raise CommandError(
            f"cannot copy {place.name}: it is no disk, it has no length", ExitCode.UNUSABLE
        ) from error


def _whole_size(place: Place, target: Target) -> int:
    """The size of a source, all of which has to be readable."""
    size = _size(place, target)
    bottom = lowest(target)
    said = max(_exported(bottom), size) if place.is_nbd else size
    block = target.offset_alignment
    if said % block:
        raise CommandError(
            f"cannot copy {place.name}: it has {said} bytes and is read in blocks of {block}: its "
            f"last {said % block} bytes cannot be read",
            ExitCode.UNUSABLE,
        )
    return size


def _same(one: Place, other: Place) -> bool:
    """Whether two names are one disk's; memory is a new one each time."""
    kept = one.scheme not in ("ram", "null") and "cow" not in other.filters
    return kept and (one.scheme, one.rest) == (other.scheme, other.rest)


def _engine(place: Place) -> str:
    return place.scheme.partition("+")[0]


# ---- what only some kinds have -------------------------------------------------------------------


def connections_of(target: Target) -> int | None:
    """How many connections an NBD target has; None for another."""
    count = getattr(lowest(target), "connections", None)
    return count if isinstance(count, int) else None


def _exported(bottom: Target) -> int:
    """The bytes of an export, its end included that is no whole block."""
    from membuf.bus.nbd import NbdTarget

    return (bottom.info.size or 0) if isinstance(bottom, NbdTarget) else 0


def _caveat(target: Target) -> str:
    """Why what is written to a disk does not survive a crash; "" where a flush sees to it."""
    over = target
    while isinstance(over, Filter):
        if isinstance(over, Cow):
            return "copy-on-write keeps what is written in memory"
        over = over.lower
    if isinstance(over, RamTarget):
        return "it is memory, and gone with this command"
    if isinstance(over, NullTarget):
        return "it keeps nothing"
    if connections_of(target) is None:
        return ""
    return "" if _has_flush(over) else "the server has no flush"


def _has_flush(bottom: Target) -> bool:
    from membuf.bus.nbd import NbdTarget
    from membuf.bus.nbd.protocol import Flag

    return not isinstance(bottom, NbdTarget) or bool(bottom.info.flags & Flag.SEND_FLUSH)

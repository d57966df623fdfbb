"""Where a copy goes, whatever it is: `FileDestination`, `NewFile` and `DiskDestination` are it."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import ClassVar, Final

from membuf.base import status as st
from membuf.base.errors import MembufError
from membuf.cli.copying import transfer
from membuf.cli.copying.source import Source, limits_of
from membuf.cli.failure import CommandError, ExitCode
from membuf.request import storage
from membuf.target.target import Target

UNKNOWN: Final = (st.STATUS_INVALID_DEVICE_REQUEST, st.STATUS_NOT_SUPPORTED)
"""How a target says that it does not know what it is asked for."""


class Destination:
    """What is written.

    Args:
        name: what messages call it.
        target: the I/O target.
        start: the offset of the first byte that is written.

    Attributes:
        name, target, start: as given.
        stream: whether it has no offsets.
        limits: what transfers must keep to.
        engine: what moves the bytes.
        connections: how many it has to a server; None where there is none.
        capacity: the end of what can be written; None where only a write finds out.
        durable: whether what was written and flushed survives a crash.
        caveat: why it does not.
        in_place: whether a copy that does not end well leaves a part of it behind.
        is_disk: whether holes are made by requests, which take their time.
    """

    is_disk: ClassVar[bool] = False

    def __init__(self, name: str, target: Target, *, start: int = 0) -> None:
        self.name, self.target, self.start = name, target, start
        self.stream = False
        self.limits = limits_of(target)
        self.engine = target.engine
        self.connections: int | None = None
        self.capacity: int | None = None
        self.durable = True
        self.caveat = ""
        self.in_place = True

    def make_hole(self, offset: int, length: int) -> bool:
        """Make bytes read as zeros without writing them; False where that cannot be done.

        `offset` and `length` count bytes from the start of the copy.
        """
        raise NotImplementedError

    def write_rest(self, offset: int, data: bytes) -> None:
        """Write the last bytes, less than a block."""
        raise NotImplementedError

    def wrote(self, offset: int, length: int) -> None:
        """Bytes were written: `offset` is one of the target."""

    def reopen_for_reading(self) -> contextlib.AbstractContextManager[Target]:
        """A target that reads back what was written, from there and not from memory here."""
        raise NotImplementedError

    def end_at(self, total: int) -> None:
        """Let the copy be `total` bytes long, holes at its end included."""

    def flush(self) -> None:
        """Have the bytes made durable."""
        if self.durable:
            self.target.flush()

    def cancel_flush(self) -> None:
        """Let nobody wait for the flush any more."""

    def commit(self) -> None:
        """Make the copy what its name stands for."""

    def failure(self, error: Exception, offset: int) -> CommandError:
        """The failure for what a write raised."""
        return transfer.failed(f"cannot write {self.name}", error, offset)

    def full(self) -> CommandError:
        """The failure for what does not fit any more."""
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.failure(error, self.capacity or 0)


def refuse_too_small(source: Source, name: str, room: int) -> None:
    """Refuse what has less room than a source has bytes."""
    if room < source.size:
        raise CommandError(
            f"{name} holds {room} bytes, and {source.name} has {source.size}",
            ExitCode.FULL,
            offset=room,
        )


def refuse_protected(name: str, target: Target) -> None:
    """Refuse what takes no writes, where it can be asked (IOCTL_DISK_IS_WRITABLE)."""
    try:
        target.ioctl(storage.IS_WRITABLE)
    except MembufError as error:
        if error.status not in UNKNOWN:
            failure = transfer.told(f"cannot write {name}", error, None)
            failure.code = ExitCode.UNUSABLE
            raise failure from error

"""Loads between memory and targets, each the way that suits the target's engine."""

from __future__ import annotations

from typing import cast

from membuf.bus import FileTarget
from membuf.cli.copying.load import Load
from membuf.cli.failure import CommandError, system_failure

IO_URING = "io_uring"


def read(target: FileTarget, load: Load, start: int, length: int, offset: int | None) -> int:
    """Fill a part of a load; the count of bytes, fewer than asked for at the end only.

    Args:
        target: what is read.
        load: what is filled.
        start: where the part begins in the load.
        length: how long it is.
        offset: where it lies in the target; None for a stream.
    """
    memories, part = load.part(start, length)
    if len(memories) == 1:
        return target.read(memories[0], offset, **part)
    if target.engine == IO_URING and offset is not None:
        return sum(target.read_many(load.placed(memories, offset)))
    return target.read(memories, offset)


def write(target: FileTarget, load: Load, start: int, length: int, offset: int | None) -> None:
    """Empty a part of a load into a target; arguments as for `read`."""
    memories, part = load.part(start, length)
    if len(memories) == 1:
        target.write(memories[0], offset, **part)
    elif target.engine == IO_URING and offset is not None:
        target.write_many(load.placed(memories, offset))
    else:
        target.write(memories, offset)


def failed(what: str, error: Exception, offset: int) -> CommandError:
    """The failure for what a transfer raised, with the first byte that was not transferred.

    Args:
        what: what could not be done.
        error: an error of the system, or those of a batch.
        offset: where the transfer began.
    """
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        failures = [failed(what, inner, getattr(inner, "offset", 0)) for inner in group.exceptions]
        return min(failures, key=lambda failure: failure.offset or 0)
    if not isinstance(error, OSError):
        raise error
    return system_failure(what, error, offset=offset + int(getattr(error, "done", 0)))

"""Loads between memory and targets, each the way that suits the target's engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, cast

from membuf.base.errors import MembufError
from membuf.cli.copying.load import Load
from membuf.cli.failure import CommandError, ExitCode, system_failure
from membuf.target.target import Target

IO_URING: Final = "io_uring"

_PLACE: Final = re.compile(
    r"\A\w+ of (?:.*?, )?\d+ bytes at offset \d+(?: of .*?, after \d+ bytes)?: "
)
"""How a target's words begin, where they are about a transfer."""


def read(target: Target, load: Load, start: int, length: int, offset: int | None) -> int:
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


def write(target: Target, load: Load, start: int, length: int, offset: int | None) -> None:
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
        error: an error of the system or of a target, or those of a batch.
        offset: where the transfer began.
    """
    if several := _several(error):
        return _lowest(failed, what, several)
    if isinstance(error, OSError):
        return system_failure(what, error, offset=offset + int(getattr(error, "done", 0)))
    return told(what, error, offset)


def told(what: str, error: Exception, offset: int | None) -> CommandError:
    """The same in the target's own words, which say more than an error number can.

    >>> words = "read of disk, 512 bytes at offset 4096: the connection was lost"
    >>> print(told("cannot read disk", OSError(32, words), 4096))
    cannot read disk at offset 4096: the connection was lost
    """
    if several := _several(error):
        return _lowest(told, what, several)
    if not isinstance(error, OSError | MembufError):
        raise error
    if offset is not None:
        offset += int(getattr(error, "done", 0))
    where = "" if offset is None else f" at offset {offset}"
    code, number, words = ExitCode.FAILED, None, str(error)
    if isinstance(error, OSError):
        number, words = error.errno, error.strerror or str(error)
        # A server that is gone is no reader of a pipe that went away.
        if system_failure(what, error).code == ExitCode.FULL:
            code = ExitCode.FULL
    # Where it is, and of what, is said already.
    words = _PLACE.sub("", words, count=1)
    return CommandError(f"{what}{where}: {words}", code, offset=offset, number=number)


def _several(error: Exception) -> Sequence[Exception]:
    return cast("ExceptionGroup[Exception]", error).exceptions if _is_group(error) else ()


def _is_group(error: Exception) -> bool:
    return isinstance(error, ExceptionGroup)


def _lowest(
    tell: Callable[[str, Exception, int], CommandError], what: str, errors: Sequence[Exception]
) -> CommandError:
    failures = [tell(what, error, getattr(error, "offset", 0)) for error in errors]
    return min(failures, key=lambda failure: failure.offset or 0)

"""How a command fails: a message that says what and where, and an exit code that says what kind."""

from __future__ import annotations

import enum
import errno
import os
from typing import Final

from membuf.base.errors import MembufError


class ExitCode(enum.IntEnum):
    """The exit codes of `membuf`.

    A command that a signal ended exits with 128 + its number, as a shell would report it: 130 for
    Ctrl-C, 143 for SIGTERM. 141 (SIGPIPE) says that nobody reads the output any more.
    """

    OK = 0
    FAILED = 1
    """A read, a write or the system's promise of durability failed."""
    USAGE = 2
    """The command line says something that cannot be."""
    UNUSABLE = 3
    """Source or destination is missing, of the wrong kind, or not permitted."""
    CHANGED = 4
    """The source became shorter or longer while it was copied."""
    FULL = 5
    """The destination has no room for all of it."""
    DIFFERENT = 6
    """Verification read back other bytes than were written."""
    BROKEN_PIPE = 141
    """Nobody reads the output any more."""


_CODES: Final = {
    errno.ENOSPC: ExitCode.FULL,
    errno.EDQUOT: ExitCode.FULL,
    errno.EFBIG: ExitCode.FULL,
    errno.EPIPE: ExitCode.BROKEN_PIPE,
}


class CommandError(Exception):
    """A command cannot do, or did not finish, what it was told.

    Attributes:
        code: the exit code.
        offset: the first byte that was not transferred, where there is one.
        errno: the system's error number, where it has one.
        hint: what to do about it, or "".
    """

    def __init__(
        self,
        message: str,
        code: int,
        *,
        offset: int | None = None,
        number: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.offset = offset
        self.errno = number
        self.hint = hint


class Interrupted(BaseException):
    """A signal told the command to stop; not an error, so that nothing takes it for one.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def system_failure(
    what: str,
    error: OSError,
    code: ExitCode = ExitCode.FAILED,
    *,
    offset: int | None = None,
    hint: str = "",
) -> CommandError:
    """The failure for an error of the system; a full disk and a broken pipe have their own codes.

    >>> str(system_failure("cannot write disk.img", OSError(28, "")))
    'cannot write disk.img: No space left on device'
    """
    number = error.errno or errno.EIO
    where = "" if offset is None else f" at offset {offset}"
    return CommandError(
        f"{what}{where}: {os.strerror(number)}",
        _CODES.get(number, code),
        offset=offset,
        number=number,
        hint=hint,
    )


def unusable(what: str, error: OSError | MembufError) -> CommandError:
    """The failure for a source or destination that cannot be opened."""
    if isinstance(error, OSError):
        return system_failure(what, error, ExitCode.UNUSABLE)
    return CommandError(f"{what}: {error}", ExitCode.UNUSABLE)

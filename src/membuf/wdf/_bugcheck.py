"""Stopping: how a WDF call answers what Windows answers with a bug check."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

from membuf.base.errors import BugCheck, MembufError, ObjectDeletedError
from membuf.wdf import _current
from membuf.wdf.wdfbugcodes import WDF_BUGCHECK_CODES, WDF_INVALID_HANDLE

if TYPE_CHECKING:
    from membuf.base.status import Status

BAD_POOL_CALLER: Final = 0xC2
DRIVER_VERIFIER_DETECTED_VIOLATION: Final = 0xC4
WDF_VIOLATION: Final = 0x10D

log = logging.getLogger("membuf.wdf")
log.addHandler(logging.NullHandler())


def bug_check(
    code: int, p1: int = 0, p2: int = 0, p3: int = 0, p4: int = 0, *, reason: str
) -> NoReturn:
    """Stop the call: the state is unchanged, the current driver hears of it first."""
    error = BugCheck(code, p1, p2, p3, p4, reason)
    driver = _current.driver()
    if driver is not None:
        driver.bug_checked(error)
    raise error


def violation(
    what: WDF_BUGCHECK_CODES, subject: object = None, *, reason: str, p3: int = 0
) -> NoReturn:
    """Stop with WDF_VIOLATION; the second parameter is the subject's identity, 0 for NULL."""
    bug_check(WDF_VIOLATION, what, 0 if subject is None else id(subject), p3, reason=reason)


def status_of(error: MembufError, subject: object = None) -> Status:
    """The status that a failed call of the core answers here.

    Args:
        error: what the core raised.
        subject: the object it was called on.

    Raises:
        BugCheck: what the error stands for where Windows answers no status.
    """
    if error.bugcheck is not None:
        bug_check(*error.bugcheck, reason=str(error))
    if isinstance(error, ObjectDeletedError):
        violation(WDF_INVALID_HANDLE, subject, reason=str(error))
    return error.status


def debug_break(message: str, *operands: object) -> None:
    """What the framework's verifier shows a debugger: a record in the log."""
    log.warning(message, *operands)

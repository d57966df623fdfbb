"""Stopping: how a WDF call answers what Windows answers with a bug check."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from membuf.base.errors import BugCheck, MembufError, ObjectDeletedError
from membuf.base.status import STATUS_SUCCESS
from membuf.wdf import _current
from membuf.wdf.wdfbugcodes import WDF_BUGCHECK_CODES, WDF_INVALID_HANDLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.base.status import Status

Answer = TypeVar("Answer")

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


def attempt(call: Callable[..., Answer], *arguments: Any) -> tuple[Status, Answer | None]:
    """Make a call of the core, and answer it as a call here does.

    Returns:
        SUCCESS and what the call returned, or the status it failed with and None.

    Raises:
        BugCheck: what the failure stands for where Windows answers no status.
    """
    try:
        return STATUS_SUCCESS, call(*arguments)
    except MembufError as error:
        return status_of(error), None


def perform(call: Callable[..., object], *arguments: Any) -> Status:
    """Make a call of the core that returns nothing, and answer its status; see `attempt`."""
    return attempt(call, *arguments)[0]


def ignoring(what: str, call: Callable[..., object], *arguments: Any) -> None:
    """Make a call of the core whose refusal the framework answers nobody: it is only logged."""
    try:
        call(*arguments)
    except MembufError as error:
        status_of(error)
        debug_break("%s ignored: %s", what, error)


def debug_break(message: str, *operands: object) -> None:
    """What the framework's verifier shows a debugger: a record in the log."""
    log.warning(message, *operands)

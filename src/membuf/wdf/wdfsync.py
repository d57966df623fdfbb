"""wdfsync.h: spin locks and wait locks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from membuf.base.errors import MembufError
from membuf.base.status import STATUS_SUCCESS, STATUS_TIMEOUT, Status
from membuf.wdf._arguments import handle
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import status_of
from membuf.wdf._create import create, parent_of
from membuf.wdf._driver import enter, need_driver
from membuf.wdf._timeouts import seconds_until
from membuf.wdf.wdftypes import WDFSPINLOCK, WDFWAITLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "WdfSpinLockAcquire",
    "WdfSpinLockCreate",
    "WdfSpinLockRelease",
    "WdfWaitLockAcquire",
    "WdfWaitLockCreate",
    "WdfWaitLockRelease",
]

_Lock = TypeVar("_Lock", WDFSPINLOCK, WDFWAITLOCK)
_Answer = TypeVar("_Answer")


def WdfSpinLockCreate(
    SpinLockAttributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFSPINLOCK | None]:
    """Create a spin lock.

    Args:
        SpinLockAttributes: how, or None for the defaults; the default parent is the driver.

    Returns:
        The status and the lock.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfSpinLockCreate(None)
    ...     WdfSpinLockAcquire(lock)
    ...     WdfSpinLockRelease(lock)
    """
    return _create("WdfSpinLockCreate", SpinLockAttributes, WDFSPINLOCK)


def WdfSpinLockAcquire(SpinLock: WDFSPINLOCK | None) -> None:
    """Wait until nobody holds the lock, and hold it.

    Raises:
        BugCheck: WDF_RECURSIVE_LOCK where this thread holds it already; not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfSpinLockCreate(None)
    ...     WdfSpinLockAcquire(lock)
    ...     WdfSpinLockRelease(lock)
    """
    enter()
    lock = handle(SpinLock, WDFSPINLOCK, "SpinLock")
    _call(lock, lock.acquire)


def WdfSpinLockRelease(SpinLock: WDFSPINLOCK | None) -> None:
    """Let the next thread have the lock.

    Raises:
        BugCheck: WDF_INVALID_LOCK_OPERATION where this thread does not hold it; not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfSpinLockCreate(None)
    ...     WdfSpinLockAcquire(lock)
    ...     WdfSpinLockRelease(lock)
    """
    enter()
    lock = handle(SpinLock, WDFSPINLOCK, "SpinLock")
    _call(lock, lock.release)


def WdfWaitLockCreate(
    LockAttributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFWAITLOCK | None]:
    """Create a wait lock.

    Args:
        LockAttributes: how, or None for the defaults; the default parent is the driver.

    Returns:
        The status and the lock.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfWaitLockCreate(None)
    ...     status = WdfWaitLockAcquire(lock, None)
    ...     WdfWaitLockAcquire(lock, 0)
    ...     WdfWaitLockRelease(lock)
    STATUS_TIMEOUT (0x00000102)
    """
    return _create("WdfWaitLockCreate", LockAttributes, WDFWAITLOCK)


def WdfWaitLockAcquire(Lock: WDFWAITLOCK | None, Timeout: int | None) -> Status:
    """Wait until nobody holds the lock, and hold it.

    Args:
        Lock: the lock.
        Timeout: in units of 100 ns: below 0 from now, above 0 since 1601, 0 to look only; None
            waits as long as it takes.

    Returns:
        SUCCESS; TIMEOUT, which is a success to NT_SUCCESS too, where the time was up first.

    Raises:
        BugCheck: WDF_RECURSIVE_LOCK where this thread holds it already and no timeout ends the
            wait; not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfWaitLockCreate(None)
    ...     WdfWaitLockAcquire(lock, None)
    ...     WdfWaitLockRelease(lock)
    STATUS_SUCCESS (0x00000000)
    """
    enter()
    lock = handle(Lock, WDFWAITLOCK, "Lock")
    seconds = None if Timeout is None else seconds_until(Timeout)
    acquired = _call(lock, partial(lock.acquire, seconds))
    return STATUS_SUCCESS if acquired else STATUS_TIMEOUT


def WdfWaitLockRelease(Lock: WDFWAITLOCK | None) -> None:
    """Let the next thread have the lock.

    Raises:
        BugCheck: WDF_INVALID_LOCK_OPERATION where this thread does not hold it; not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, lock = WdfWaitLockCreate(None)
    ...     WdfWaitLockAcquire(lock, None)
    ...     WdfWaitLockRelease(lock)
    STATUS_SUCCESS (0x00000000)
    """
    enter()
    lock = handle(Lock, WDFWAITLOCK, "Lock")
    _call(lock, lock.release)


def _create(
    call: str, attributes: WDF_OBJECT_ATTRIBUTES | None, kind: type[_Lock]
) -> tuple[Status, _Lock | None]:
    driver = need_driver(call)
    check_parent_handle(attributes)
    status = validate(attributes)
    if status != STATUS_SUCCESS:
        return status, None
    return create(driver, attributes, partial(kind, parent=parent_of(driver, attributes)))


def _call(lock: WDFSPINLOCK | WDFWAITLOCK, operation: Callable[[], _Answer]) -> _Answer:
    try:
        return operation()
    except MembufError as error:
        status_of(error, lock)
        raise

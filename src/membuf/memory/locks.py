"""Locks that are objects: spin locks and wait locks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Self

from membuf._native import Object
from membuf.base.errors import ObjectDeletedError, from_status
from membuf.base.status import STATUS_INVALID_DEVICE_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_WDF_VIOLATION: Final = 0x10D
_RECURSIVE_LOCK: Final = 0x2
_INVALID_LOCK_OPERATION: Final = 0xB


class _Lock(Object):
    """What both kinds share: one holder, which is a thread, and no second time for it."""

    __slots__ = ("_holder", "_lock")

    def __init__(
        self,
        name: str | None = None,
        *,
        parent: Object | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None
        super().__init__(name, parent=parent, on_cleanup=on_cleanup, on_destroy=on_destroy)

    @property
    def locked(self) -> bool:
        """Whether some thread holds it."""
        return self._lock.locked()

    @property
    def held(self) -> bool:
        """Whether this thread holds it."""
        return self._holder == threading.get_ident()

    def release(self) -> None:
        """Let the next thread have it.

        Raises:
            InvalidDeviceStateError: this thread does not hold it; `.bugcheck` is set.

        Source: WdfSpinLockRelease, WdfWaitLockRelease.
        """
        if not self.held:
            whose = "nobody" if self._holder is None else "another thread"
            raise from_status(
                STATUS_INVALID_DEVICE_REQUEST,
                f"cannot release {self!r}: {whose} holds it; the thread that acquired it must",
                bugcheck=(_WDF_VIOLATION, _INVALID_LOCK_OPERATION, id(self)),
            )
        self._holder = None
        self._lock.release()

    def _acquire(self, timeout: float | None) -> bool:
        self._check_alive()
        if timeout is None and self.held:
            raise from_status(
                STATUS_INVALID_DEVICE_REQUEST,
                f"cannot acquire {self!r}: this thread holds it already, and would wait forever",
                bugcheck=(_WDF_VIOLATION, _RECURSIVE_LOCK, id(self)),
            )
        if not self._lock.acquire(timeout=-1 if timeout is None else _bounded(timeout)):
            return False
        self._holder = threading.get_ident()
        return True

    def _check_alive(self) -> None:
        try:
            self.reference_count  # noqa: B018 - the cheapest question that a deleted object refuses
        except ObjectDeletedError as error:
            raise ObjectDeletedError(f"cannot acquire {self!r}: it was deleted") from error

    def __enter__(self) -> Self:
        """Acquire it: where the exit of a `with` deletes other objects, it releases a lock."""
        self._acquire(None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Release it."""
        self.release()


def _bounded(seconds: float) -> float:
    """Seconds to wait as the system takes them."""
    return min(max(seconds, 0.0), threading.TIMEOUT_MAX)


class SpinLock(_Lock):
    """A lock for short stretches that do not wait for anything.

    On Windows its holder runs at DISPATCH_LEVEL; here threads that want it sleep. Exclusive and
    not recursive; the thread that acquired it releases it. `with lock:` acquires and releases.

    Args:
        name: for reports.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.

    Source: WdfSpinLockCreate.

    >>> lock = SpinLock()
    >>> with lock:
    ...     lock.locked
    True
    """

    __slots__ = ()

    def acquire(self) -> None:
        """Wait until nobody holds it, and hold it.

        Raises:
            InvalidDeviceStateError: this thread holds it already; `.bugcheck` is set.
            ObjectDeletedError: it is gone.

        Source: WdfSpinLockAcquire.

        >>> lock = SpinLock()
        >>> lock.acquire()
        >>> lock.release()
        >>> lock.locked
        False
        """
        self._acquire(None)


class WaitLock(_Lock):
    """A lock for stretches that may wait, with a time limit if wanted.

    Exclusive and not recursive; the thread that acquired it releases it. `with lock:` acquires and
    releases.

    Args:
        name: for reports.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.

    Source: WdfWaitLockCreate.

    >>> lock = WaitLock()
    >>> with lock:
    ...     lock.acquire(timeout=0)
    False
    """

    __slots__ = ()

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait until nobody holds it, and hold it.

        Args:
            timeout: seconds to wait at most; 0 only looks, None waits as long as it takes.

        Returns:
            Whether this thread holds it now; always True without a timeout.

        Raises:
            InvalidDeviceStateError: this thread holds it already, and no timeout ends the wait;
                `.bugcheck` is set.
            ObjectDeletedError: it is gone.

        Source: WdfWaitLockAcquire, whose status is TIMEOUT for False.

        >>> lock = WaitLock()
        >>> lock.acquire(timeout=0.5)
        True
        >>> lock.release()
        """
        return self._acquire(timeout)

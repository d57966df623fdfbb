"""What a queue does and has, and how it is stopped, drained and purged.

    operation        accepts  presents  waiting requests  marked ones   over when
    start            yes      yes       presented         -             -
    stop             yes      no        kept              -             none is the driver's
    stop_and_purge   yes      no        cancelled         cancelled     none is the driver's
    drain            no       as it did presented         -             none is left
    purge            no       as it did cancelled         cancelled     none is left

Sources: WdfIoQueueStop, WdfIoQueuePurge, WdfIoQueueDrain and their kin; requests 3.7 of the
specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntFlag
from typing import Any, Final

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.request._dispatch import QueueCore, presenting

OnState = Callable[[Any], object]

_QUEUE_FATAL_ERROR: Final = (0x10D, 0xA)


class QueueState(IntFlag):
    """What a queue does and has, with the framework's numbers (WDF_IO_QUEUE_STATE).

    >>> QueueState.ACCEPT | QueueState.DISPATCH
    <QueueState.ACCEPT|DISPATCH: 3>
    """

    ACCEPT = 0x1
    DISPATCH = 0x2
    NO_REQUESTS = 0x4
    DRIVER_NO_REQUESTS = 0x8
    PNP_HELD = 0x10


class Stateful(QueueCore):
    """The half of a queue that says whether requests come in and are presented."""

    __slots__ = ()

    # ---- looking --------------------------------------------------------------------------------

    @property
    def state(self) -> QueueState:
        """What it does and has now (WdfIoQueueGetState)."""
        return QueueState(
            self._accepts
            | self._dispatches << 1
            | (not self._waiting) << 2
            | (not self._owned) << 3
            | self._held << 4
        )

    @property
    def waiting(self) -> int:
        """Requests in it."""
        return len(self._waiting)

    @property
    def owned(self) -> int:
        """Requests it has given to the driver, and not got back."""
        return self._owned

    @property
    def idle(self) -> bool:
        """Whether no request waits and none is the driver's (WDF_IO_QUEUE_IDLE)."""
        return not self._waiting and not self._owned

    @property
    def ready(self) -> bool:
        """Whether requests come in and are presented (WDF_IO_QUEUE_READY)."""
        return self._accepts and self._dispatches and not self._held

    @property
    def stopped(self) -> bool:
        """Whether requests come in only, and none is the driver's (WDF_IO_QUEUE_STOPPED)."""
        return self._accepts and not self._dispatches and not self._owned

    @property
    def drained(self) -> bool:
        """Whether none comes in, and all have been presented (WDF_IO_QUEUE_DRAINED)."""
        return not self._accepts and self._dispatches and self.idle

    @property
    def purged(self) -> bool:
        """Whether none comes in and none is left (WDF_IO_QUEUE_PURGED)."""
        return not self._accepts and self.idle

    # ---- operations -----------------------------------------------------------------------------

    def start(self) -> None:
        """Let requests come in and be presented again (WdfIoQueueStart)."""
        with self.device._lock:
            self._check_exists()
            self._accepts = self._dispatches = True
            self._cancels_owned = False
        self._dispatch()

    def stop(self, on_complete: OnState | None = None) -> None:
        """Present none any more; those that come wait.

        Args:
            on_complete: called as on_complete(queue) when none is the driver's.

        Raises:
            InvalidDeviceStateError: a stop's callback is pending, or the queue is deleted
                (`.bugcheck`).

        Source: WdfIoQueueStop.
        """
        with self.device._lock:
            self._set_on_idle(on_complete)
            self._accepts, self._dispatches = True, False
        self._dispatch()

    def stop_and_purge(self, on_complete: OnState | None = None) -> None:
        """Stop, and cancel those that wait and those marked cancelable; see `stop`.

        Source: WdfIoQueueStopAndPurge.
        """
        with self.device._lock:
            self._set_on_idle(on_complete)
            self._accepts, self._dispatches = True, False
            self._cancel_all()
        self._dispatch()

    def drain(self, on_complete: OnState | None = None) -> None:
        """Take no more; those that wait are presented.

        Args:
            on_complete: called as on_complete(queue) when none is left.

        Raises:
            InvalidDeviceStateError: a drain's or purge's callback is pending, or the queue is
                deleted (`.bugcheck`).

        Source: WdfIoQueueDrain.
        """
        with self.device._lock:
            self._set_on_empty(on_complete)
            self._accepts = False
        self._dispatch()

    def purge(self, on_complete: OnState | None = None) -> None:
        """Take no more, and cancel those that wait and those marked cancelable; see `drain`.

        Source: WdfIoQueuePurge.
        """
        with self.device._lock:
            self._set_on_empty(on_complete)
            self._accepts = False
            self._cancel_all()
        self._dispatch()

    def stop_synchronously(self) -> None:
        """Stop, and return when none is the driver's; not from a handler.

        Source: WdfIoQueueStopSynchronously.
        """
        self._and_wait(self.stop)

    def stop_and_purge_synchronously(self) -> None:
        """Stop and purge, and return when none is the driver's; not from a handler.

        Source: WdfIoQueueStopAndPurgeSynchronously.
        """
        self._and_wait(self.stop_and_purge)

    def drain_synchronously(self) -> None:
        """Drain, and return when none is left; not from a handler.

        Source: WdfIoQueueDrainSynchronously.
        """
        self._and_wait(self.drain)

    def purge_synchronously(self) -> None:
        """Purge, and return when none is left; not from a handler.

        Source: WdfIoQueuePurgeSynchronously.
        """
        self._and_wait(self.purge)

    # ---- inside ---------------------------------------------------------------------------------

    def _cancel_all(self) -> None:
        raise NotImplementedError

    def _and_wait(self, operation: Callable[[OnState], object]) -> None:
        if presenting():
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE,
                f"waiting for {self!r} inside a handler would never end: use the form with a "
                "callback",
            )
        self.device.check_may_wait()
        over = threading.Event()
        operation(lambda _queue: over.set())
        over.wait()

    def _set_on_idle(self, callback: OnState | None) -> None:
        self._check_exists()
        if callback is not None:
            if self._on_idle is not None:
                raise self._fatal(st.STATUS_INVALID_DEVICE_REQUEST, "a stop is pending already")
            self._on_idle = callback

    def _set_on_empty(self, callback: OnState | None) -> None:
        self._check_exists()
        if callback is not None:
            if self._on_empty is not None:
                raise self._fatal(
                    st.STATUS_INVALID_DEVICE_REQUEST, "a drain or purge is pending already"
                )
            self._on_empty = callback

    def _check_exists(self) -> None:
        if self.deleted:
            raise self._fatal(st.STATUS_DELETE_PENDING, "the queue is deleted")

    def _fatal(self, status: int, reason: str) -> Exception:
        return from_status(
            status, f"{self!r}: {reason}", bugcheck=(*_QUEUE_FATAL_ERROR, status, 0, 0)
        )

    def _take_callback(self) -> OnState | None:
        """Under the lock: the callback of an operation that is over now."""
        if self._owned or self._ending:
            return None
        callback: OnState | None = None
        if self._on_idle is not None:
            callback, self._on_idle = self._on_idle, None
        elif self._on_empty is not None and not self._waiting:
            callback, self._on_empty = self._on_empty, None
        if callback is not None:
            self._cancels_owned = False
        return callback

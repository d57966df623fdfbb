"""Received requests: what a device's handlers get, own for a while, and complete.

    arrives --> in a queue --presented--> the driver's --complete--> gone
                    ^                        |
                    +---- forward, requeue --+

Who owns it is decided under the device's lock; nothing is called while it is held.

Sources: WdfRequestComplete, WdfRequestMarkCancelable(Ex), WdfRequestUnmarkCancelable,
WdfRequestForwardToIoQueue, WdfRequestRequeue; requests 3.1 to 3.4 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.base.status import Status, nt_success
from membuf.request import completing, retrieval, user_buffers
from membuf.request._dispatch import receive_as
from membuf.request._received import ReceivedCore
from membuf.request.reports import report
from membuf.request.request import Request

if TYPE_CHECKING:
    from membuf._native import Memory
    from membuf.mdl import Mdl
    from membuf.request.irp import Irp
    from membuf.request.protocol import RequestTarget
    from membuf.request.queue import Queue

OnCancel = Callable[["ReceivedRequest"], object]


class Owner(IntEnum):
    """Whose a received request is."""

    FRAMEWORK = 0  # it waits in a queue
    DRIVER = 1
    ENDING = 2  # its completion has begun
    GONE = 3


class Mark(IntEnum):
    """Whether the driver lets it be cancelled."""

    UNMARKED = 0
    MARKED = 1
    CANCELLED = 2  # the callback ran or will


_FRAMEWORK, _DRIVER, _ENDING, _GONE = map(int, Owner)
_UNMARKED, _MARKED, _CANCELLED = map(int, Mark)


class ReceivedRequest(ReceivedCore, Request):
    """A request that a device received.

    It can be formatted for a target and sent on like one's own, to the device's local target unless
    `change_target` names another; it stays its owner's to complete.

    Attributes:
        type: what it asks for.
        device: the device that received it.

    A request that its driver drops without completing it is completed with
    STATUS_INTERNAL_ERROR, and the mistake is reported through `sys.unraisablehook`.

    >>> import membuf
    >>> device = membuf.Device("received-doc")
    >>> @device.on_read
    ... def read(request):
    ...     request.output_memory().copy_from(b"x" * request.length)
    ...     request.complete(information=request.length)
    >>> with device.open() as handle:
    ...     handle.read(3)
    b'xxx'
    """

    __slots__ = ()

    own = False

    def __repr__(self) -> str:
        state = ("in a queue", "its driver's", "ending", "over")[self._owner]
        return f"<membuf.ReceivedRequest {self._irp.described} of {self.device!r}, {state}>"

    # ---- completing -----------------------------------------------------------------------------

    def set_information(self, information: int) -> None:
        """Set what `complete` reports where it is not told (WdfRequestSetInformation)."""
        self._information = completing.count(information)

    def _refuse(self, status: Status) -> None:
        """The framework ends what no handler will see."""
        self._owner = _ENDING
        self._end(status, 0)

    def _fail(self, error: BaseException, where: str) -> None:
        """Its handler raised: it is completed where it can be, and the exception reported."""
        report(error, where)
        status = error.status if isinstance(error, MembufError) else st.STATUS_UNSUCCESSFUL
        if nt_success(status):
            status = st.STATUS_UNSUCCESSFUL
        try:
            if self._mark == _MARKED:
                self.unmark_cancelable()
            if self._owner == _DRIVER:
                self.complete(status, 0)
        except MembufError as second:
            if self._owner == _DRIVER:
                report(second, f"completing {self!r} after its handler raised")

    # ---- cancelling -----------------------------------------------------------------------------

    @property
    def canceled(self) -> bool:
        """Whether its originator has cancelled it; False while it is marked or not the driver's.

        Source: WdfRequestIsCanceled.
        """
        return self._irp.cancelled and self._owner == _DRIVER and self._mark != _MARKED

    def mark_cancelable(self, on_cancel: OnCancel) -> None:
        """Let it be cancelled: `on_cancel(request)` is called once then, and completes it.

        Where it is cancelled already the callback runs all the same: before this returns, or
        inside a handler when that has returned. Without a queue it has no effect.

        Raises:
            InvalidDeviceStateError: it is not the driver's, or is marked.
        """
        queue = self._queue
        if queue is None:
            return
        with self.device._lock:
            self._check_markable()
            cancelled = not self._take_mark(queue, on_cancel)
            if cancelled and self._mark != _CANCELLED:
                self._mark = _CANCELLED
                queue._deliver_cancel(self)
        if cancelled:
            queue._dispatch()

    def try_mark_cancelable(self, on_cancel: OnCancel) -> bool:
        """Let it be cancelled, unless it is already: then False, and the callback never runs.

        Source: WdfRequestMarkCancelableEx.

        Raises:
            InvalidDeviceStateError: it has no queue, is not the driver's, or is marked.
        """
        queue = self._queue
        if queue is None:
            raise self._denied("mark", "it came through no queue")
        with self.device._lock:
            self._check_markable()
            marked = self._take_mark(queue, on_cancel)
            if not marked:
                self._on_cancel = None
            return marked

    def unmark_cancelable(self) -> None:
        """Take the cancel callback back; it will not run.

        Raises:
            RequestCancelledError: the callback has run or will: do not complete it elsewhere.
            InvalidDeviceStateError: it is not marked, is complete, or has no queue.
        """
        queue = self._queue
        if queue is None or self._owner >= _ENDING:
            raise self._denied("unmark", "it is complete or came through no queue")
        with self.device._lock:
            if self._mark == _UNMARKED:
                raise self._denied("unmark", "it is not marked cancelable")
            if self._mark == _CANCELLED or not self._irp.set_cancel_routine(None):
                raise from_status(
                    st.STATUS_CANCELLED, f"{self!r} is cancelled: its callback has run or will"
                )
            self._mark, self._on_cancel = _UNMARKED, None
            queue._marked.discard(self)

    def _check_markable(self) -> None:
        if self._owner != _DRIVER or self._mark == _MARKED or self._flying:
            raise self._denied("mark", "it is not yours now, or is marked already")

    def _take_mark(self, queue: Queue, on_cancel: OnCancel) -> bool:
        """Under the lock. False: it is cancelled already, or its queue is being purged."""
        if self._mark == _CANCELLED:
            return False
        self._on_cancel = on_cancel
        if queue._cancels_owned or not self._irp.set_cancel_routine(self._cancelled_marked):
            return False
        self._mark = _MARKED
        queue._marked.add(self)
        return True

    def _cancelled_marked(self, _irp: Irp) -> None:
        """The cancel routine while it is marked."""
        queue = self._queue
        if queue is None:
            return
        with self.device._lock:
            if self._mark != _MARKED:
                return
            self._mark = _CANCELLED
            queue._deliver_cancel(self)
        queue._dispatch()

    def _cancelled_waiting(self, _irp: Irp) -> None:
        """The cancel routine while it waits in a queue."""
        with self.device._lock:
            queue = self._queue
            if self._owner != _FRAMEWORK or queue is None:
                return
            queue._cancel_waiting(self)
        queue._dispatch()

    # ---- passing on -----------------------------------------------------------------------------

    def forward(self, queue: Queue) -> None:
        """Put it at the end of another queue of the device; it is not the driver's any more.

        Source: WdfRequestForwardToIoQueue.

        Raises:
            InvalidDeviceStateError: the same queue, another device's, or the request is not the
                driver's or marked.
            MembufError: STATUS_WDF_BUSY: the queue takes nothing; the driver keeps it.
        """
        with self.device._lock:
            source = self._queue
            if source is None or queue is source or queue.device is not self.device:
                raise self._denied("forward", "the queue must be another one of its device")
            self._check_passable("forward")
            if not queue._accepts:
                raise from_status(st.STATUS_WDF_BUSY, f"{queue!r} takes no requests now")
            source._owned -= 1
            queue._enter(self)
        source._dispatch()
        queue._dispatch()

    def requeue(self) -> None:
        """Put it back at the head of its manual queue.

        Source: WdfRequestRequeue.

        Raises:
            InvalidDeviceStateError: it has no queue, is not the driver's, is marked, or its queue
                is not manual.
        """
        with self.device._lock:
            queue = self._queue
            if queue is None:
                raise self._denied("requeue", "it came through no queue")
            self._check_passable("requeue")
            if queue.dispatch != "manual":
                raise self._denied("requeue", "only a manual queue takes a request back")
            queue._owned -= 1
            queue._enter(self, head=True)
        queue._dispatch()

    def _check_passable(self, what: str) -> None:
        if self._owner != _DRIVER or self._flying:
            raise self._denied(what, "it is not yours now")
        if self._mark == _MARKED:
            raise self._denied(what, "it is marked cancelable: unmark it first")

    def _pass_on(self, target: RequestTarget) -> None:
        """Send it on for good; its queue goes on when the packet is with whoever is below."""
        irp, queue = self._forget(), self._queue
        try:
            target.forward(irp)
        except MembufError as error:
            irp.complete(error.status, 0)
        finally:
            if queue is not None:
                queue._left(owned=True)

    def _check_sendable(self) -> None:
        # In flight it passes to nobody else: what is found here stays so.
        with self.device._lock:
            if self._owner != _DRIVER:
                raise self._refused(st.STATUS_INVALID_DEVICE_REQUEST, "is not its driver's now")
            if self._mark == _MARKED:
                raise self._refused(
                    st.STATUS_INVALID_DEVICE_REQUEST, "is marked cancelable: unmark it first"
                )

    def _forget(self) -> Irp:
        """It ends here though its packet goes on: cleanup runs, and its memory goes."""
        self._claim("forget")
        held = self._end_objects()
        self._owner = _GONE
        self._irp.location += 1  # the present location is left for the device below
        if held is not None:
            report(held, f"sending {self!r} on for good")
        return self._irp

    # ---- memory ---------------------------------------------------------------------------------

    def input_buffer(self, minimum: int = 0) -> memoryview:
        """The bytes of `input_memory`, read-only where that is.

        Args:
            minimum: bytes there must be.

        Raises:
            BufferTooSmallError: there are fewer, or none.

        Source: WdfRequestRetrieveInputBuffer.
        """
        return retrieval.buffer_of(retrieval.input_memory(self), minimum)

    def output_buffer(self, minimum: int = 0) -> memoryview:
        """The bytes of `output_memory`; see `input_buffer`.

        Source: WdfRequestRetrieveOutputBuffer.
        """
        return retrieval.buffer_of(retrieval.output_memory(self), minimum)

    def input_mdl(self, *, one_slot: bool = False) -> Mdl:
        """The MDL of what a write or control request brings; the framework's to free.

        Args:
            one_slot: have input and output share one built MDL, whichever was asked for first, as
                the framework's source does.

        Raises:
            InvalidDeviceStateError: it has none by its type or access method.
            BufferTooSmallError: it has no bytes.

        Source: WdfRequestRetrieveInputWdmMdl.
        """
        return retrieval.input_mdl(self, one_slot)

    def output_mdl(self, *, one_slot: bool = False) -> Mdl:
        """The MDL of what a read or control request wants filled; see `input_mdl`.

        Source: WdfRequestRetrieveOutputWdmMdl.
        """
        return retrieval.output_mdl(self, one_slot)

    def unsafe_input_buffer(self, minimum: int = 0) -> memoryview | None:
        """The originator's own input pointer, unchecked: neither I/O in on_in_caller_context alone.

        Args:
            minimum: bytes there must be.

        Returns:
            None where the originator gave none.

        Raises:
            InvalidDeviceStateError: elsewhere, or for another access method.
            BufferTooSmallError: there are fewer.

        Source: WdfRequestRetrieveUnsafeUserInputBuffer.
        """
        return user_buffers.unsafe_input(self, minimum)

    def unsafe_output_buffer(self, minimum: int = 0) -> memoryview | None:
        """The originator's own output pointer, unchecked; see `unsafe_input_buffer`.

        Source: WdfRequestRetrieveUnsafeUserOutputBuffer.
        """
        return user_buffers.unsafe_output(self, minimum)

    def probe_and_lock_for_read(self, buffer: Any, length: int | None = None) -> Memory:
        """Lock pages of the originator's and make read-only memory of them, the request's child.

        Args:
            buffer: the originator's buffer, or one that it names.
            length: its bytes; all of it if absent.

        Raises:
            InvalidDeviceStateError: the request is not the driver's.
            MembufError: no bytes (STATUS_INVALID_USER_BUFFER).
            AccessViolationError: another thread than the originator's, or pages that cannot be
                accessed so; nothing is left behind.
            InsufficientResourcesError: the system refuses to lock so much.

        Source: WdfRequestProbeAndLockUserBufferForRead.
        """
        return user_buffers.probe_and_lock(self, buffer, length, "read")

    def probe_and_lock_for_write(self, buffer: Any, length: int | None = None) -> Memory:
        """Lock pages of the originator's and make writable memory of them.

        Arguments and errors are those of `probe_and_lock_for_read`.

        Source: WdfRequestProbeAndLockUserBufferForWrite.
        """
        return user_buffers.probe_and_lock(self, buffer, length, "write")

    # ---- inside ---------------------------------------------------------------------------------

    def _retrieve_input(self) -> Memory:
        return retrieval.input_memory(self)

    def _retrieve_output(self) -> Memory:
        return retrieval.output_memory(self)

    def _watch_end(self) -> None:
        """Its completion lets its memory go, before it is deleted."""

    def add_context(self, type: Any, **callbacks: Any) -> Any:
        """See `Object.add_context`."""
        if callbacks:
            self._has_callbacks = True
        return super().add_context(type, **callbacks)

    def _denied(self, what: str, why: str) -> MembufError:
        return from_status(st.STATUS_INVALID_DEVICE_REQUEST, f"cannot {what} {self!r}: {why}")


receive_as(ReceivedRequest)

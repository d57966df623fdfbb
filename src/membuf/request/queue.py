"""Queues: where requests wait, and how they are presented to a driver.

One lock of the device guards all its queues. What is to be called is decided under it and called
outside it, by the queue's dispatch loop: cancel callbacks first, then requests in the order they
came. A thread that is inside the loop already leaves the work to it, so that a completion inside a
handler never nests another handler. A sequential queue is presented by one thread at a time; of a
parallel one every thread that brings a request may present.

Sources: WdfIoQueueCreate and its relatives; requests 3.3 to 3.8 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, from_status
from membuf.request.apart import apart_from_deallocation
from membuf.request.completion import RequestType
from membuf.request.handlers import DEFAULT, Handler, Handlers
from membuf.request.queue_state import Stateful
from membuf.request.received import Mark, Owner, ReceivedRequest
from membuf.request.statistics import QueueStatistics

if TYPE_CHECKING:
    from membuf.request.device import Device

Dispatch = Literal["sequential", "parallel", "manual"]

UNLIMITED = 0xFFFF_FFFF

_FRAMEWORK, _DRIVER, _ENDING, _GONE = map(int, Owner)
_READ, _WRITE = RequestType.READ, RequestType.WRITE


class _Ending:
    """The context whose cleanup callback cancels what waits in a deleted queue."""


class Queue(Stateful, Handlers):
    """A queue of a device; `Device.queue` makes them.

    Attributes:
        device: whose it is.
        dispatch: "sequential", "parallel" or "manual".
        maximum: requests that are the driver's at once, of a parallel queue.
        allow_zero_length: whether reads and writes of no bytes are presented.

    >>> import membuf
    >>> device = membuf.Device("queue-doc")
    >>> queue = device.queue("waiting", dispatch="manual", default=True)
    >>> pending = device.open().start_read(bytearray(8))
    >>> queue.retrieve_next().complete(information=8)
    >>> pending.wait()
    (STATUS_SUCCESS (0x00000000), 8)
    """

    __slots__ = (
        "__weakref__",
        "_on_canceled",
    )

    def __init__(
        self,
        device: Device,
        name: str | None = None,
        *,
        dispatch: Dispatch = "parallel",
        maximum: int | None = None,
        allow_zero_length: bool = False,
        handlers: Mapping[RequestType, Handler] | None = None,
        parent: Any = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        limit = check_configuration(dispatch, maximum, handlers)
        self._configure(device, dispatch, limit, allow_zero_length)
        for kind, handler in (handlers or {}).items():
            self._register(kind, handler)
        self._on_canceled: Handler | None = None
        super().__init__(
            name, parent=parent or device, on_cleanup=on_cleanup, on_destroy=on_destroy
        )
        self.add_context(_Ending, on_cleanup=_deleted)

    def on_canceled(self, handler: Handler) -> Handler:
        """Have `handler(request)` called for a request that its driver has seen, cancelled here.

        The request is the driver's again, to be completed. Source: EvtIoCanceledOnQueue.
        """
        self._on_canceled = handler
        return handler

    def ready_notify(self, handler: Handler | None) -> None:
        """Have `handler(queue)` called when a manual queue that was empty is not; None ends it.

        Source: WdfIoQueueReadyNotify.

        Raises:
            InvalidDeviceStateError: not a manual queue, a second registration, or one that is
                ended while there is none or while the queue is not stopped.
        """
        with self.device._lock:
            if handler is None:
                refused = self._on_ready is None or self._dispatches
            else:
                refused = self._on_ready is not None
            if refused or self.dispatch != "manual":
                raise from_status(
                    st.STATUS_INVALID_DEVICE_REQUEST,
                    f"{self!r}: one callback of a manual queue, taken back while it is stopped",
                )
            self._on_ready = handler

    def _note_coroutine(self) -> None:
        self.device._note_coroutine()

    def statistics(self) -> QueueStatistics:
        """Its counters."""
        with self.device._lock:
            return QueueStatistics(
                name=self.name,
                dispatch=self.dispatch,
                waiting=len(self._waiting),
                owned=self._owned,
                presented=self._presented,
                completed=self._completed,
                cancelled=self._cancelled,
            )

    # ---- coming in ------------------------------------------------------------------------------

    def _enter(self, request: ReceivedRequest, head: bool = False) -> None:
        """Under the lock: the framework's again, at the end or the head."""
        request._queue = self
        request._owner = _FRAMEWORK
        request._mark = Mark.UNMARKED
        if not self._waiting:
            self._ready_due = True
        self._waiting[request] = None
        if head:
            self._waiting.move_to_end(request, last=False)
        cancelled = self._cancels_owned and head
        if cancelled or not request._irp.set_cancel_routine(request._cancelled_waiting):
            self._cancel_waiting(request)

    # ---- cancelling, under the lock -------------------------------------------------------------

    def _cancel_waiting(self, request: ReceivedRequest) -> None:
        """It leaves the queue: to its driver where that has seen it and wants it, or completed."""
        del self._waiting[request]
        if request._presented and self._on_canceled is not None:
            request._owner = _DRIVER
            self._owned += 1
            self._jobs.append((self._call_on_canceled, request))
        else:
            request._owner = _ENDING
            self._ending += 1
            self._jobs.append((_end_cancelled, request))

    def _cancel_all(self) -> None:
        """Those that wait, and those their driver has marked."""
        self._cancels_owned = True
        for request in list(self._waiting):
            # Who cancels one at this moment finds it gone from here.
            request._irp.set_cancel_routine(None)
            self._cancel_waiting(request)
        for request in list(self._marked):
            if request._irp.set_cancel_routine(None):
                request._mark = Mark.CANCELLED
                self._deliver_cancel(request)

    def _deliver_cancel(self, request: ReceivedRequest) -> None:
        """Its cancel callback is to run."""
        self._marked.discard(request)
        self._jobs.append((_call_on_cancel, request))

    def _call_on_canceled(self, request: ReceivedRequest) -> None:
        if self._on_canceled is not None:
            self.device._call(self._on_canceled, request)

    # ---- presenting -----------------------------------------------------------------------------

    def _call_on_ready(self, handler: Handler) -> None:
        self.device._call_back(handler)(self)

    def _is_empty_transfer(self, request: ReceivedRequest) -> bool:
        """Whether it moves no byte, and the driver wants to see no such thing."""
        irp = request._irp
        return not irp.length and not self.allow_zero_length and irp.major in (_READ, _WRITE)

    def _handler(self, type: RequestType) -> Handler | None:
        """The handler of a type: the queue's own, or the device's where it has none at all."""
        handlers = self._handlers or self.device._handlers
        return handlers.get(type) or handlers.get(DEFAULT)

    def takes(self, type: RequestType) -> bool:
        """Whether a request of the type would find a handler here, or a manual queue."""
        if self.dispatch == "manual":
            return True
        if type is RequestType.CREATE:
            return DEFAULT in self._handlers or type in self._handlers
        return self._handler(type) is not None

    # ---- retrieval ------------------------------------------------------------------------------

    def retrieve_next(self, file: Any = None) -> ReceivedRequest | None:
        """The first waiting request, the driver's from now on; None where none waits.

        Args:
            file: of that file object only.

        Source: WdfIoQueueRetrieveNextRequest, WdfIoQueueRetrieveRequestByFileObject.

        Raises:
            InvalidDeviceStateError: a parallel queue.
            MembufError: STATUS_WDF_PAUSED: the queue is stopped.
        """
        if self.dispatch == "parallel":
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} is parallel: it presents its requests"
            )
        while True:
            with self.device._lock:
                if not self._dispatches or self._held:
                    raise from_status(st.STATUS_WDF_PAUSED, f"{self!r} is stopped: start it first")
                request = next((r for r in self._waiting if file in (None, r._irp.file)), None)
                if request is None:
                    return None
                del self._waiting[request]
                self._give(request)
            if not self._is_empty_transfer(request):
                request._presented = True
                return request
            request._refuse(st.STATUS_SUCCESS)

    def find_request(
        self, after: ReceivedRequest | None = None, file: Any = None
    ) -> ReceivedRequest | None:
        """Look for the next waiting request; it stays in the queue, with a reference on it.

        Args:
            after: what an earlier call found; None begins with the first.
            file: of that file object only.

        Returns:
            The request, to be dereferenced; None at the end.

        Raises:
            InvalidDeviceStateError: not a manual queue.
            MembufError: STATUS_NOT_FOUND: `after` is not in the queue any more.

        Source: WdfIoQueueFindRequest.
        """
        self._check_manual()
        with self.device._lock:
            if after is not None and after not in self._waiting:
                raise from_status(st.STATUS_NOT_FOUND, f"{after!r} is not in {self!r} any more")
            passed = after is None
            for request in self._waiting:
                if passed and file in (None, request._irp.file):
                    request.reference()
                    return request
                passed = passed or request is after
        return None

    def retrieve_found(self, found: ReceivedRequest) -> None:
        """Take a request that `find_request` found; it is the driver's from now on.

        Raises:
            InvalidDeviceStateError: not a manual queue.
            MembufError: STATUS_NOT_FOUND: it is not in the queue any more.

        Source: WdfIoQueueRetrieveFoundRequest.
        """
        self._check_manual()
        with self.device._lock:
            if found not in self._waiting:
                raise from_status(st.STATUS_NOT_FOUND, f"{found!r} is not in {self!r} any more")
            del self._waiting[found]
            self._give(found)
            found._presented = True

    def _check_manual(self) -> None:
        if self.dispatch != "manual":
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, f"{self!r} is not manual: it finds its requests"
            )


def check_configuration(
    dispatch: str, maximum: int | None, handlers: Mapping[RequestType, Handler] | None
) -> int:
    """The maximum of a new queue, its configuration checked in the framework's order.

    Raises:
        InvalidParameterError: no such dispatch, a maximum of 0 or for another dispatch, or handlers
            for a manual queue.
        MembufError: STATUS_WDF_NO_CALLBACK: it would present requests to nobody.
    """
    if dispatch not in {"sequential", "parallel", "manual"}:
        raise InvalidParameterError(
            f'dispatch must be "sequential", "parallel" or "manual"; got {dispatch!r}'
        )
    if handlers is not None and dispatch != "manual" and not handlers:
        raise from_status(
            st.STATUS_WDF_NO_CALLBACK, f"a {dispatch} queue needs a handler: it presents requests"
        )
    if handlers and dispatch == "manual":
        raise InvalidParameterError("a manual queue takes no handlers: its driver retrieves")
    if dispatch != "parallel":
        if maximum:
            raise InvalidParameterError(f"only a parallel queue has a maximum; got {maximum}")
        return 1
    if maximum == 0:
        raise InvalidParameterError("maximum must be 1 or more: with 0 nothing would be presented")
    return UNLIMITED if maximum is None else maximum


def _end_cancelled(request: ReceivedRequest) -> None:
    request._end(st.STATUS_CANCELLED, 0, owned=False)


def _call_on_cancel(request: ReceivedRequest) -> None:
    callback, request._on_cancel = request._on_cancel, None
    if callback is not None and request._owner == _DRIVER:
        request.device._call(callback, request)


def _deleted(queue: Queue) -> None:
    """Nothing comes in any more, and what waits is cancelled."""
    apart_from_deallocation(_end, queue, queue.device)


def _end(queue: Queue, device: Device) -> None:
    with device._lock:
        queue._accepts = False
        queue._cancel_all()
        if queue in device._queues:
            device._queues.remove(queue)
    queue._dispatch()

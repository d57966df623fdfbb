"""Queues: where requests wait, and how they are presented to a driver.

One lock of the device guards all its queues. What is to be called is decided under it and called
outside it, by the queue's dispatch loop: the cancel callbacks first, then requests in the order
they came. A thread that finds itself inside the loop already leaves the work to it, so that a
completion inside a handler never nests another handler.

Sources: WdfIoQueueCreate and its relatives; requests 3.3 to 3.8 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import IntFlag
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.request.completion import RequestType
from membuf.request.handlers import DEFAULT, Handler, Handlers
from membuf.request.received import Mark, Owner, ReceivedRequest

if TYPE_CHECKING:
    from membuf.request.device import Device

Dispatch = Literal["sequential", "parallel", "manual"]
Job = tuple[Callable[[Any], object], Any]

UNLIMITED = 0xFFFF_FFFF

_FRAMEWORK, _DRIVER, _ENDING, _GONE = Owner
_READ, _WRITE = RequestType.READ, RequestType.WRITE


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


class Queue(Object, Handlers):
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
        "_accepts",
        "_cancels_owned",
        "_dispatches",
        "_ending",
        "_handlers",
        "_held",
        "_jobs",
        "_marked",
        "_owned",
        "_running",
        "_waiting",
        "allow_zero_length",
        "device",
        "dispatch",
        "maximum",
    )

    def __init__(
        self,
        device: Device,
        name: str | None = None,
        *,
        dispatch: Dispatch = "parallel",
        maximum: int = UNLIMITED,
        allow_zero_length: bool = False,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(name, parent=device, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self.device = device
        self.dispatch = dispatch
        self.maximum = maximum if dispatch == "parallel" else 1
        self.allow_zero_length = allow_zero_length
        self._handlers: dict[RequestType, Handler] = {}
        self._waiting: OrderedDict[ReceivedRequest, None] = OrderedDict()
        self._marked: set[ReceivedRequest] = set()
        self._jobs: deque[Job] = deque()
        self._running: set[int] = set()
        self._owned = 0
        self._ending = 0
        self._accepts = self._dispatches = True
        self._held = False
        self._cancels_owned = False

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

    # ---- coming in ------------------------------------------------------------------------------

    def _arrive(self, request: ReceivedRequest) -> None:
        """A new request."""
        with self.device._lock:
            accepted = self._accepts
            if accepted:
                self._enter(request)
        if accepted:
            self._dispatch()
        else:
            request._refuse(st.STATUS_INVALID_DEVICE_STATE)

    def _enter(self, request: ReceivedRequest, head: bool = False) -> None:
        """Under the lock: the framework's again, at the end or the head."""
        request._queue = self
        request._owner = _FRAMEWORK
        request._mark = Mark.UNMARKED
        self._waiting[request] = None
        if head:
            self._waiting.move_to_end(request, last=False)
        if not request._irp.set_cancel_routine(request._cancelled_waiting):
            self._cancel_waiting(request)

    # ---- cancelling, under the lock --------------------------------------------------------------

    def _cancel_waiting(self, request: ReceivedRequest) -> None:
        """It leaves the queue: completed, its driver not told."""
        del self._waiting[request]
        request._owner = _ENDING
        self._ending += 1
        self._jobs.append((_end_cancelled, request))

    def _deliver_cancel(self, request: ReceivedRequest) -> None:
        """Its cancel callback is to run."""
        self._marked.discard(request)
        self._jobs.append((_call_on_cancel, request))

    # ---- presenting -----------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Run what is to be run, unless this thread is in the middle of it."""
        me, lock = get_ident(), self.device._lock
        with lock:
            running = self._running
            if me in running:
                return
            presents = self.dispatch == "parallel" or not running
            job = self._next_job(presents)
            if job is None:
                return
            running.add(me)
        while True:
            function, argument = job
            function(argument)
            with lock:
                job = self._next_job(presents)
                if job is None:
                    running.discard(me)
                    return

    def _next_job(self, presents: bool) -> Job | None:
        """Under the lock: what to do next; a request that is to be presented is the driver's."""
        if self._jobs:
            return self._jobs.popleft()
        if not (presents and self._waiting and self._dispatches and not self._held):
            return None
        if self.dispatch == "manual" or self._owned >= self.maximum:
            return None
        request = self._take()
        return self._present, request

    def _take(self) -> ReceivedRequest:
        """Under the lock: the first one, the driver's from now on."""
        request = self._waiting.popitem(last=False)[0]
        # Who cancels it at this moment finds it the driver's, and cancelled.
        request._irp.set_cancel_routine(None)
        request._owner = _DRIVER
        request._presented = True
        self._owned += 1
        return request

    def _present(self, request: ReceivedRequest) -> None:
        handler = self._handler(request.type)
        if handler is None:
            request._refuse(st.STATUS_INVALID_DEVICE_REQUEST)
        elif not self.allow_zero_length and request.type in (_READ, _WRITE) and not request.length:
            request._refuse(st.STATUS_SUCCESS)
        else:
            self.device._call(handler, request)

    def _handler(self, type: RequestType) -> Handler | None:
        """The handler of a type: the queue's own, or the device's where it has none at all."""
        handlers = self._handlers or self.device._handlers
        return handlers.get(type) or handlers.get(DEFAULT)

    # ---- going out ------------------------------------------------------------------------------

    def _left(self, owned: bool) -> None:
        """One of its requests is complete."""
        with self.device._lock:
            if owned:
                self._owned -= 1
            else:
                self._ending -= 1
        self._dispatch()

    # ---- retrieval ------------------------------------------------------------------------------

    def retrieve_next(self) -> ReceivedRequest | None:
        """The first waiting request, the driver's from now on; None where none waits.

        Source: WdfIoQueueRetrieveNextRequest.

        Raises:
            InvalidDeviceStateError: a parallel queue.
            MembufError: STATUS_WDF_PAUSED: the queue is stopped.
        """
        if self.dispatch == "parallel":
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} is parallel: it presents its requests"
            )
        with self.device._lock:
            if not self._dispatches or self._held:
                raise from_status(st.STATUS_WDF_PAUSED, f"{self!r} is stopped: start it first")
            return self._take() if self._waiting else None


def _end_cancelled(request: ReceivedRequest) -> None:
    request._end(st.STATUS_CANCELLED, 0, owned=False)


def _call_on_cancel(request: ReceivedRequest) -> None:
    callback, request._on_cancel = request._on_cancel, None
    if callback is not None and request._owner == _DRIVER:
        request.device._call(callback, request)

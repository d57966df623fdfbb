"""Devices: the receiving end of requests, and where they go from there.

Sources: WdfDeviceCreate, WdfDeviceConfigureRequestDispatching, WdfDeviceGetIoTarget; requests 3.5,
3.9 and 3.10 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

import inspect
import threading
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import TargetNotFoundError
from membuf.request.completion import RequestType
from membuf.request.handlers import H, Handler, Handlers
from membuf.request.queue import UNLIMITED, Dispatch, Queue
from membuf.request.received import ReceivedRequest
from membuf.request.system_buffers import SystemBuffers

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.request.irp import Irp, Mode
    from membuf.request.originator import Handle


class IoType(IntEnum):
    """How reads and writes reach a device's driver, with the framework's numbers.

    >>> IoType(2)
    <IoType.BUFFERED: 2>
    """

    NEITHER = 1
    BUFFERED = 2
    DIRECT = 3


NEITHER, BUFFERED, DIRECT = IoType

_devices: WeakValueDictionary[str, Device] = WeakValueDictionary()


def find_device(name: str) -> Device:
    """The live device of that name; of several the youngest.

    Raises:
        TargetNotFoundError: there is none.

    >>> device = Device("find-doc")
    >>> find_device("find-doc") is device
    True
    """
    device = _devices.get(name)
    if device is None or device.deleted:
        raise TargetNotFoundError(2, "there is no such device", name)
    return device


class Device(Object, Handlers):
    """A device: it receives requests and presents them to its handlers.

    Args:
        name: what `device:` targets call it.
        io_type: how reads and writes bring their bytes: `BUFFERED`, `DIRECT` or `NEITHER`.
        lower: the I/O target below it, or None.
        filter: whether it passes down what it has no handler for.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.

    It starts with its first request, or by `start`.

    >>> device = Device("device-doc")
    >>> @device.on_write
    ... def write(request):
    ...     print(bytes(request.input_buffer()), request.offset)
    ...     request.complete(information=request.length)
    >>> with device.open() as handle:
    ...     handle.write(b"hello", 16)
    b'hello' 16
    5
    """

    __slots__ = (
        "__weakref__",
        "_arrival",
        "_default",
        "_handlers",
        "_lock",
        "_queues",
        "_routes",
        "filter",
        "io_type",
        "system_buffers",
        "target",
    )

    def __init__(
        self,
        name: str | None = None,
        io_type: IoType = BUFFERED,
        *,
        lower: Any = None,
        filter: bool = False,
        parent: Object | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(name, parent=parent, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self.io_type = IoType(io_type)
        self.target = lower
        self.filter = filter
        self.system_buffers = SystemBuffers(self)
        self._handlers: dict[RequestType, Handler] = {}
        self._lock = threading.Lock()
        self._queues: list[Queue] = []
        self._routes: dict[RequestType, Queue] = {}
        self._default: Queue | None = None
        self._arrival: Handler | None = None
        if name is not None:
            _devices[name] = self

    @property
    def stack_depth(self) -> int:
        """Devices from this one down."""
        return 1 + (0 if self.target is None else getattr(self.target, "stack_depth", 0))

    # ---- queues ---------------------------------------------------------------------------------

    def queue(
        self,
        name: str | None = None,
        *,
        dispatch: Dispatch = "parallel",
        maximum: int = UNLIMITED,
        default: bool = False,
        allow_zero_length: bool = False,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> Queue:
        """Make a queue.

        Args:
            name: for reports.
            dispatch: "sequential" (one request at a time), "parallel" or "manual" (the driver
                retrieves them).
            maximum: requests that are the driver's at once, of a parallel queue.
            default: have it take every type that has no route.
            allow_zero_length: have reads and writes of no bytes presented.
            on_cleanup: called with it when its deletion begins.
            on_destroy: called with it when its last reference is gone.
        """
        queue = Queue(
            self,
            name,
            dispatch=dispatch,
            maximum=maximum,
            allow_zero_length=allow_zero_length,
            on_cleanup=on_cleanup,
            on_destroy=on_destroy,
        )
        with self._lock:
            self._queues.append(queue)
            if default:
                self._default = queue
        return queue

    # ---- requests -------------------------------------------------------------------------------

    def open(self, access: str = "read-write", *, mode: Mode = "user") -> Handle:
        """Open it, as an originator: read, write and control it through the handle."""
        from membuf.request.originator import Handle

        return Handle(self, access, mode)

    def on_arrival(self, function: H) -> H:
        """Have `function(request)` called with every new request before anything else is.

        The place to give each request a context of its own. What it raises ends the request.

        Source: WdfDeviceInitSetRequestAttributes.
        """
        self._arrival = function
        return function

    def submit(self, irp: Irp) -> None:
        """Take a packet: the one entrance of every request."""
        irp.location -= 1
        queue = self._queue_for(irp.major)
        if queue is None:
            irp.complete(st.STATUS_INVALID_DEVICE_REQUEST, 0)
        else:
            request = ReceivedRequest(self, irp)
            if self._arrival is not None:
                self._call(self._arrival, request)
            if not request.completed:
                queue._arrive(request)

    def _queue_for(self, type: RequestType) -> Queue | None:
        queue = self._routes.get(type) or self._default
        if queue is None and self._handlers:
            queue = self.queue("default", default=True)
        return queue

    def _call(self, handler: Handler, request: ReceivedRequest) -> None:
        """Call a handler; what it raises ends the request."""
        try:
            result = handler(request)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises ends its request
            request._fail(error, f"{handler!r} of {self!r}")
            return
        if result is not None and inspect.iscoroutine(result):
            result.close()

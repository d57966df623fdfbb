"""Devices: the receiving end of requests, and where they go from there.

    submit --> on_in_caller_context --> the queue of the type --> a handler
                                        none: a filter passes down, a function device refuses

Sources: WdfDeviceCreate, WdfDeviceConfigureRequestDispatching, WdfDeviceEnqueueRequest,
EvtIoInCallerContext; requests 3.5, 3.9 and 3.10 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from membuf._native import Object, set_undeletable
from membuf.base import status as st
from membuf.base.errors import (
    InvalidParameterError,
    MembufError,
    TargetNotFoundError,
    from_status,
)
from membuf.request.completion import RequestType
from membuf.request.handlers import H, Handler, plain
from membuf.request.io_type import BUFFERED, IoType
from membuf.request.power import Powered
from membuf.request.queue import Dispatch, Queue, check_configuration
from membuf.request.received import ReceivedRequest
from membuf.request.reports import report
from membuf.request.statistics import DeviceStatistics
from membuf.request.system_buffers import SystemBuffers

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from membuf.request.coroutines import Runner
    from membuf.request.files import FileObject
    from membuf.request.irp import Irp, Mode
    from membuf.request.originator import Handle

OnFile = Callable[["FileObject"], object]

_CREATE, _CLEANUP, _CLOSE = RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE
_ROUTABLE: Final = frozenset(
    {
        _CREATE,
        RequestType.READ,
        RequestType.WRITE,
        RequestType.DEVICE_CONTROL,
        RequestType.INTERNAL_DEVICE_CONTROL,
    }
)

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
        message = "there is no such device"
        raise TargetNotFoundError(2, message, name, status=st.STATUS_NO_SUCH_DEVICE)
    return device


class Device(Powered):
    """A device: it receives requests and presents them to its handlers.

    Args:
        name: what `device:` targets call it.
        io_type: how reads and writes bring their bytes: `BUFFERED`, `DIRECT` or `NEITHER`.
        lower: the I/O target below it, or None.
        filter: whether it passes down what it has no handler for.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.
        loop: the event loop that coroutine handlers run on; the one that runs here if absent, and
            where none does a thread of the device's own.

    Attributes:
        target: the I/O target below it, or None (the local target).
        stack_depth: devices that a packet passes from this one down.

    It starts with its first request, or by `start`. Its handlers are presented requests by its
    queues: by the default queue, which is made with the first request where nobody made one, and
    by every other queue that has no handlers of its own.

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
        "_on_cleanup",
        "_on_close",
        "_on_create",
        "_runner",
        "stack_depth",
        "system_buffers",
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
        loop: AbstractEventLoop | None = None,
    ) -> None:
        self.io_type = IoType(io_type)
        self.target = lower
        self.stack_depth = 1 if lower is None else 1 + int(lower.stack_depth)
        self.filter = filter
        self._on_create: Handler | None = None
        self._on_cleanup: OnFile | None = None
        self._on_close: OnFile | None = None
        super().__init__(name, parent, on_cleanup, on_destroy)
        self.system_buffers = SystemBuffers()
        self._runner: Runner | None = None
        if loop is not None or _loop_runs():
            self._make_runner(loop)
        if name is not None:
            _devices[name] = self

    # ---- callbacks ------------------------------------------------------------------------------

    def on_in_caller_context(self, handler: Handler) -> Handler:
        """Have `handler(request)` called for every request on the thread that submits it.

        It completes the request or hands it to `enqueue`. Source: EvtIoInCallerContext.
        """
        plain(handler, "on_in_caller_context")
        self._in_caller = handler
        return handler

    def on_arrival(self, function: H) -> H:
        """Have `function(request)` called with every new request before anything else is.

        The place to give each request a context of its own. What it raises ends the request.

        Source: WdfDeviceInitSetRequestAttributes.
        """
        self._arrival = function
        return function

    def on_create(self, handler: Handler) -> Handler:
        """Have `handler(request)` called where it is opened; it completes the request.

        Source: EvtDeviceFileCreate.
        """
        if inspect.iscoroutinefunction(handler):
            self._note_coroutine()
        self._on_create = handler
        return handler

    def on_cleanup(self, handler: OnFile) -> OnFile:
        """Have `handler(file)` called where a file's handle is closed (EvtFileCleanup)."""
        plain(handler, "on_cleanup")
        self._on_cleanup = handler
        return handler

    def on_close(self, handler: OnFile) -> OnFile:
        """Have `handler(file)` called where a file is gone (EvtFileClose)."""
        plain(handler, "on_close")
        self._on_close = handler
        return handler

    # ---- queues ---------------------------------------------------------------------------------

    def queue(
        self,
        name: str | None = None,
        *,
        dispatch: Dispatch = "parallel",
        maximum: int | None = None,
        default: bool = False,
        allow_zero_length: bool = False,
        handlers: Mapping[RequestType, Handler] | None = None,
        parent: Object | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> Queue:
        """Make a queue.

        Args:
            name: for reports.
            dispatch: "sequential" (one request at a time), "parallel" or "manual" (the driver
                retrieves them).
            maximum: requests that are the driver's at once, of a parallel queue; no limit if
                absent.
            default: have it take every type that has no route. Without one, the first queue that
                dispatches and has no handlers of its own is taken.
            allow_zero_length: have reads and writes of no bytes presented.
            handlers: its handlers by type, OTHER for all the rest; absent, they are registered
                with its decorators.
            parent: the device, or an object of its; the device if absent.
            on_cleanup: called with it when its deletion begins.
            on_destroy: called with it when its last reference is gone.

        Raises:
            InvalidDeviceStateError: a default queue after the device has started, or a parent that
                is not the device's.
            InvalidParameterError: no such dispatch, a maximum of 0 or for another dispatch, or
                handlers for a manual queue.
            MembufError: a second default queue (STATUS_UNSUCCESSFUL), or no handler where
                `handlers` is empty (STATUS_WDF_NO_CALLBACK).

        Source: WdfIoQueueCreate.
        """
        if default:
            self._check_default()
        check_configuration(dispatch, maximum, handlers)
        self._check_parent(parent)
        queue = Queue(
            self,
            name,
            dispatch=dispatch,
            maximum=maximum,
            allow_zero_length=allow_zero_length,
            handlers=handlers,
            parent=parent,
            on_cleanup=on_cleanup,
            on_destroy=on_destroy,
        )
        with self._lock:
            queue._held = self._power == "stopped"
            self._queues.append(queue)
        if default:
            self._default = queue
            set_undeletable(queue)
        return queue

    def route(self, type: int, queue: Queue) -> None:
        """Have a queue take the requests of a type (WdfDeviceConfigureRequestDispatching).

        Raises:
            InvalidParameterError: a type that cannot be routed.
            InvalidDeviceStateError: another device's queue, the default queue, one without a
                handler for the type, or the device has started.
            MembufError: STATUS_WDF_BUSY: the type has its queue.
        """
        if type not in _ROUTABLE:
            raise InvalidParameterError(f"requests of type {type!r} cannot be routed")
        kind = RequestType(type)
        if queue.device is not self or queue is self._default or not queue.takes(kind):
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{queue!r} cannot take {kind.name}: it must be a queue of {self!r}, not the "
                "default one, with a handler for the type",
            )
        if self.started:
            raise from_status(st.STATUS_INVALID_DEVICE_STATE, f"{self!r} has started: route before")
        if type in self._routes:
            raise from_status(st.STATUS_WDF_BUSY, f"{kind.name} has its queue already")
        self._routes[kind] = queue
        set_undeletable(queue)

    @property
    def default_queue(self) -> Queue | None:
        """The queue of every type that has no route, or None where none has been made."""
        if self._default is not None:
            return self._default
        for queue in self._queues:
            if queue.dispatch != "manual" and not queue._handlers and self._handlers:
                return queue
        return None

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Its queues that are not deleted, in the order they were made."""
        return tuple(self._queues)

    def statistics(self) -> DeviceStatistics:
        """The counters of its queues, and of the lists that its system buffers come from."""
        return DeviceStatistics(
            tuple(queue.statistics() for queue in self.queues), self.system_buffers.statistics()
        )

    def _check_default(self) -> None:
        if self.started:
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} has started: its default queue is fixed"
            )
        if self._default is not None:
            raise from_status(st.STATUS_UNSUCCESSFUL, f"{self!r} has its default queue already")

    def _check_parent(self, parent: Object | None) -> None:
        above = parent
        while above is not None and above is not self:
            above = above.parent
        if parent is not None and above is None:
            raise from_status(st.STATUS_INVALID_DEVICE_REQUEST, f"{parent!r} is not below {self!r}")

    # ---- requests -------------------------------------------------------------------------------

    def open(self, access: str = "read-write", *, mode: Mode = "user") -> Handle:
        """Open it, as an originator: read, write and control it through the handle.

        Args:
            access: "read", "write" or "read-write": what control codes are held against too.
            mode: "user", or "kernel" for what a driver opens.

        Raises:
            MembufError: the device does not let itself be opened.
        """
        from membuf.request.originator import Handle

        return Handle(self, access, mode)

    def enqueue(self, request: ReceivedRequest) -> None:
        """Hand a request from `on_in_caller_context` to its queue; it is the framework's again.

        Source: WdfDeviceEnqueueRequest.

        Raises:
            InvalidDeviceStateError: elsewhere, the request is not the driver's, or no queue takes
                its type.
            MembufError: STATUS_WDF_BUSY: the queue takes nothing; the driver keeps it.
        """
        queue = self._queue_for(request.type)
        if not request._in_caller or not request.owned or queue is None:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{request!r} can be enqueued in on_in_caller_context only, where a queue takes it",
            )
        with self._lock:
            if not queue._accepts:
                raise from_status(st.STATUS_WDF_BUSY, f"{queue!r} takes no requests now")
            request._in_caller = False
            request._presented = True
            queue._enter(request)
        queue._dispatch()

    def _queue_for(self, type: RequestType) -> Queue | None:
        queue = self._routes.get(type)
        if queue is not None or type is _CREATE:
            return queue
        queue = self._default or self.default_queue
        return self._make_default() if queue is None and self._handlers else queue

    def _make_default(self) -> Queue:
        """The queue that presents to the device's handlers where nobody made one."""
        queue = Queue(self, "default")
        with self._lock:
            made = self._default
            if made is None:
                self._default = queue
                self._queues.append(queue)
                queue._held = self._power == "stopped"
        if made is not None:
            queue.delete()
            return made
        set_undeletable(queue)
        return queue

    def _unhandled(self, irp: Irp) -> None:
        """No queue takes it: a filter passes it down."""
        if self.filter and self.target is not None:
            irp.location += 1
            self._pass_down(irp)
        elif irp.major is _CREATE:
            irp.complete(st.STATUS_SUCCESS, 0)
        else:
            irp.complete(st.STATUS_INVALID_DEVICE_REQUEST, 0)

    def _not_handled(self, request: ReceivedRequest) -> None:
        """Its queue has no handler for it: a filter passes it down."""
        if self.filter and self.target is not None:
            request._pass_on(self.target)
        else:
            request._refuse(st.STATUS_INVALID_DEVICE_REQUEST)

    def _pass_down(self, irp: Irp) -> None:
        try:
            self.target.forward(irp)
        except MembufError as error:
            irp.complete(error.status, 0)

    # ---- files ----------------------------------------------------------------------------------

    def _submit_file(self, irp: Irp) -> bool:
        """Opening, cleanup and closing; False for an opening that a queue takes."""
        if irp.major is _CREATE:
            if self.deleted or _CREATE in self._routes:
                return False
            if self._on_create is None:
                self._unhandled(irp)
                return True
            request = self._received(irp)
            if not request.completed:
                self._call(self._on_create, request)
            return True
        callback = self._on_cleanup if irp.major is _CLEANUP else self._on_close
        if callback is not None:
            self._call_back(callback)(irp.file)
        if irp.major is _CLEANUP:
            self._cancel_file(irp.file)
        if self.filter and self.target is not None:
            irp.location += 1
            self._pass_down(irp)
        else:
            irp.complete(st.STATUS_SUCCESS, 0)
        return True

    def _cancel_file(self, file: Any) -> None:
        """Cancel what waits in queues of a file; what the driver has is left to it."""
        with self._lock:
            waiting = [r._irp for q in self._queues for r in q._waiting if r._irp.file is file]
        for irp in waiting:
            irp.cancel()

    # ---- calling --------------------------------------------------------------------------------

    def check_may_wait(self) -> None:
        """Refuse to wait on the event loop that runs its coroutine handlers.

        Raises:
            InvalidDeviceStateError: waiting would never end.
        """
        runner = self._runner
        if runner is not None and self._has_coroutines and runner.is_here():
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE,
                f"waiting for {self!r} on the event loop that runs its handlers would never end: "
                "await the form that ends in _async",
            )

    def _call_in_caller(self, handler: Handler, request: ReceivedRequest) -> None:
        request._in_caller = True
        try:
            self._call(handler, request)
        finally:
            request._in_caller = False

    def _run_coroutine(
        self, coroutine: CoroutineType[Any, Any, object], request: ReceivedRequest
    ) -> None:
        (self._runner or self._make_runner(None)).run(coroutine, request)

    def _call_back(self, callback: Callable[[Any], object]) -> Callable[[Any], None]:
        """The callback, with what it raises reported."""

        def call(argument: Any) -> None:
            try:
                callback(argument)
            except Exception as error:  # noqa: BLE001 - no caller can receive it
                report(error, f"{callback!r} of {self!r}")

        return call

    def _make_runner(self, loop: AbstractEventLoop | None) -> Runner:
        from membuf.request.coroutines import Runner

        with self._lock:
            if self._runner is None:
                self._runner = Runner(loop)
            return self._runner


def _loop_runs() -> bool:
    """Whether an event loop runs on this thread; asyncio is not loaded to find out."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None

"""The bench: a driver, its devices, and the requests they are sent."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, SupportsIndex

from membuf.base.errors import BugCheck, from_status
from membuf.base.status import STATUS_SUCCESS
from membuf.pool import LeakError
from membuf.testing.wdf.defects import (
    DriverDefectError,
    left_blocks,
    left_objects,
    objects_below,
)
from membuf.testing.wdf.io import Io, Result
from membuf.wdf import (
    WDF_IO_QUEUE_CONFIG,
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE,
    WDFDEVICE,
    WDFDRIVER,
    WdfControlDeviceInitAllocate,
    WdfControlFinishInitializing,
    WdfDeviceCreate,
    WdfDeviceInitSetIoInCallerContextCallback,
    WdfDeviceInitSetIoType,
    WdfDeviceInitSetRequestAttributes,
    WdfDeviceIoBuffered,
    WdfIoQueueCreate,
    WdfIoQueueDispatchParallel,
)
from membuf.wdf import driver as make_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from membuf.request.originator import Handle
    from membuf.wdf import WDF_OBJECT_ATTRIBUTES

_UNTOUCHED: Final = b"\xee"


def driver(name: str, *, timeout: float = 5.0, **options: Any) -> Bench:
    """A bench around a driver of its own, for a `with` statement.

    Args:
        name: the service's name, which the default tag comes from.
        timeout: seconds that a request may take; one that takes longer counts as never completed.
        options: of `membuf.wdf.driver`: `strict`, `verifier`, `pool_tag` ...

    >>> with driver("WdfSample", strict=True) as bench:
    ...     bench.driver.strict
    True
    """
    return Bench(make_driver(name, on_leak="raise", **options), timeout)


class Bench:
    """A driver under test; `membuf.testing.wdf.driver` makes it.

    At the exit of its `with` the devices are closed and the driver is unloaded; then every defect
    that was found is raised at once, what callbacks raised and nobody could receive among them.
    What the body raised goes first: no defect is reported then. A bug check that was kept is raised
    as itself.

    Attributes:
        driver: the driver object; it is current inside the `with`.
        timeout: seconds that a request may take.
        calls: the framework's names of the callbacks that were called, in order.

    >>> with driver("WdfSample") as bench:
    ...     device = bench.device(EvtIoWrite=lambda queue, request, length: None)
    ...     result = bench.write(device, b"x")
    Traceback (most recent call last):
    ...
    membuf.testing.wdf.defects.DriverDefectError: 1 defect(s) of the driver:
      a driver's handlers: MembufError: <membuf.ReceivedRequest ...> was dropped by ...
    """

    def __init__(self, driver: WDFDRIVER, timeout: float) -> None:
        self.driver = driver
        self.timeout = timeout
        self.calls: list[str] = []
        self._handles: dict[int, Handle] = {}
        self._sent: list[Io] = []
        self._known: set[int] | None = None
        self._raised: list[str] = []
        self._hook: Any = None

    def __enter__(self) -> Self:
        self.driver.listener = self.calls.append
        self.driver.__enter__()
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        """What nobody could receive is a defect; a bug check is raised as itself at the exit."""
        error = what.exc_value
        if error is not None and not isinstance(error.__cause__, BugCheck):
            self._raised.append(f"{what.object!r}: {type(error).__name__}: {error}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        defects = [*self._close(), *self._left()]
        self.driver.listener = None
        try:
            defects += self._unload(kind, value, traceback)
        except BugCheck as error:
            for defect in self._raised + defects:
                error.add_note(defect)
            raise
        finally:
            sys.unraisablehook = self._hook
        defects = self._raised + defects
        if defects and kind is None:
            raise DriverDefectError(defects)

    def _unload(self, *raised: Any) -> list[str]:
        try:
            self.driver.__exit__(*raised)
        except LeakError as error:
            self.driver.raise_kept()
            return left_blocks(error.leaks)
        return []

    # ---- setting up -----------------------------------------------------------------------------

    def device(
        self,
        *,
        io_type: int = WdfDeviceIoBuffered,
        dispatch: int = WdfIoQueueDispatchParallel,
        in_caller_context: Callable[..., object] | None = None,
        request_attributes: WDF_OBJECT_ATTRIBUTES | None = None,
        **config: Any,
    ) -> WDFDEVICE:
        """Make a device with a default queue, and start it.

        Args:
            io_type: how reads and writes carry their buffers, a WDF_DEVICE_IO_TYPE.
            dispatch: of the queue, a WDF_IO_QUEUE_DISPATCH_TYPE.
            in_caller_context: EvtIoInCallerContext, shown every request before it is queued.
            request_attributes: of every request.
            config: fields of the queue's WDF_IO_QUEUE_CONFIG: `EvtIoRead`, `EvtIoDefault`,
                `AllowZeroLengthRequests`, ...

        Raises:
            MembufError: the framework refuses it; `.status` says how.
            AttributeError: a field that the structure does not have.

        >>> with driver("WdfSample") as bench:
        ...     bench.device(EvtIoDefault=print).started
        True
        """
        init = WdfControlDeviceInitAllocate(self.driver, None)
        WdfDeviceInitSetIoType(init, io_type)
        if in_caller_context is not None:
            WdfDeviceInitSetIoInCallerContextCallback(init, in_caller_context)
        if request_attributes is not None:
            WdfDeviceInitSetRequestAttributes(init, request_attributes)
        status, device = WdfDeviceCreate(init, None)
        if device is None:
            raise from_status(status, f"WdfDeviceCreate answered {status}")
        status, _ = WdfIoQueueCreate(device, _queue_config(dispatch, config), None)
        if status != STATUS_SUCCESS:
            device.delete()
            raise from_status(status, f"WdfIoQueueCreate answered {status}")
        WdfControlFinishInitializing(device)
        self._known = None
        return device

    def add(
        self,
        device_add: Callable[..., object],
        name: str | None = None,
        lower: Any = None,
    ) -> WDFDEVICE:
        """Have the driver's own EvtDriverDeviceAdd make a device, and start it.

        Args:
            device_add: EvtDriverDeviceAdd (driver, device init).
            name: what `device:` targets call it.
            lower: the I/O target below it.

        Raises:
            MembufError: the status that the callback answered.

        >>> def device_add(driver, init):
        ...     status, device = WdfDeviceCreate(init, None)
        ...     return status
        >>> with driver("WdfSample") as bench:
        ...     device = bench.add(device_add)
        ...     bench.calls
        ['EvtDriverDeviceAdd']
        """
        self.driver.on_device_add = device_add
        self._known = None
        return self.driver.add_device(name, lower)

    # ---- sending --------------------------------------------------------------------------------

    def read(self, device: WDFDEVICE, length: int, offset: SupportsIndex = 0) -> Result:
        """Read, and say how it ended.

        Raises:
            DriverDefectError: it was not completed in the bench's time.

        >>> with driver("WdfSample") as bench:
        ...     bench.read(bench.device(EvtIoWrite=print), 8).status
        STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
        """
        return self.start_read(device, length, offset).result()

    def write(self, device: WDFDEVICE, data: Any, offset: SupportsIndex = 0) -> Result:
        """Write, and say how it ended; see `read`.

        >>> with driver("WdfSample") as bench:
        ...     bench.write(bench.device(EvtIoRead=print), b"x").status
        STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
        """
        return self.start_write(device, data, offset).result()

    def ioctl(self, device: WDFDEVICE, code: int, data: Any = b"", output: int = 0) -> Result:
        """Send a control request with input and room for output; see `read`.

        >>> with driver("WdfSample") as bench:
        ...     bench.ioctl(bench.device(EvtIoRead=print), 0x222000).status
        STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
        """
        return self.start_ioctl(device, code, data, output).result()

    def internal_ioctl(
        self, device: WDFDEVICE, code: int, data: Any = b"", output: int = 0
    ) -> Result:
        """Send an internal control request; see `ioctl`.

        >>> with driver("WdfSample") as bench:
        ...     bench.internal_ioctl(bench.device(EvtIoRead=print), 0x222000).status
        STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
        """
        return self._control("start_internal_ioctl", device, code, data, output).result()

    def start_read(self, device: WDFDEVICE, length: int, offset: SupportsIndex = 0) -> Io:
        """Send a read, and go on.

        >>> with driver("WdfSample") as bench:
        ...     io = bench.start_read(bench.device(dispatch=3), 8)
        ...     io.done, io.cancel(), io.done
        (False, True, True)
        """
        buffer = bytearray(_UNTOUCHED * length)
        pending = self._open(device).start_read(buffer, offset)
        return self._started(f"read of {length} bytes at {offset}", device, pending, buffer)

    def start_write(self, device: WDFDEVICE, data: Any, offset: SupportsIndex = 0) -> Io:
        """Send a write, and go on.

        >>> with driver("WdfSample") as bench:
        ...     bench.start_write(bench.device(dispatch=3), b"x").done
        False
        """
        pending = self._open(device).start_write(data, offset)
        what = f"write of {memoryview(data).nbytes} bytes at {offset}"
        return self._started(what, device, pending, bytearray())

    def start_ioctl(self, device: WDFDEVICE, code: int, data: Any = b"", output: int = 0) -> Io:
        """Send a control request, and go on.

        >>> with driver("WdfSample") as bench:
        ...     bench.start_ioctl(bench.device(dispatch=3), 0x222000).done
        False
        """
        return self._control("start_ioctl", device, code, data, output)

    def _control(self, start: str, device: WDFDEVICE, code: int, data: Any, output: int) -> Io:
        buffer = bytearray(_UNTOUCHED * output)
        pending = getattr(self._open(device), start)(code, data or None, buffer or None)
        return self._started(f"control request {code:#x}", device, pending, buffer)

    def _open(self, device: WDFDEVICE) -> Handle:
        if self._known is None:
            self._known = {id(thing) for thing in objects_below(self.driver)}
        handle = self._handles.get(id(device))
        if handle is None:
            handle = self._handles[id(device)] = device.open()
        return handle

    def _started(self, what: str, device: WDFDEVICE, pending: Any, buffer: bytearray) -> Io:
        io = Io(what, device, pending, buffer, self.timeout)
        self._sent.append(io)
        return io

    # ---- looking --------------------------------------------------------------------------------

    def expect(self, *calls: str) -> None:
        """Check the order of callbacks since the start or the last `expect`, and forget them.

        Raises:
            DriverDefectError: it was another one.

        >>> with driver("WdfSample") as bench:
        ...     device = bench.device(EvtIoWrite=lambda queue, request, length: request.complete())
        ...     result = bench.write(device, b"x")
        ...     bench.expect("EvtIoWrite")
        """
        came, self.calls[:] = tuple(self.calls), ()
        if came != calls:
            raise DriverDefectError([f"callbacks: expected {list(calls)}, came {list(came)}"])

    def _close(self) -> list[str]:
        """Close every handle, which cancels what waits; what is not over then is a defect."""
        for handle in self._handles.values():
            handle.close()
        for io in self._sent:
            if not io.done:
                io.cancel()
            with suppress(DriverDefectError):
                io.result()
        return [io.unfinished() for io in self._sent if not io.done]

    def _left(self) -> list[str]:
        return [] if self._known is None else left_objects(self.driver, self._known)


def _queue_config(dispatch: int, fields: dict[str, Any]) -> WDF_IO_QUEUE_CONFIG:
    config = WDF_IO_QUEUE_CONFIG()
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(config, dispatch)
    for name, value in fields.items():
        setattr(config, name, value)
    return config

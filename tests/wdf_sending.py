"""A driver with a target and a device at its other end, all by the framework's names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import membuf
from membuf import wdf
from membuf.bus import local_target
from membuf.request import RequestType

OK = wdf.STATUS_SUCCESS
CONTROL = 0x222000


class Site:
    """A lower device that keeps what it is sent, and the targets of a driver above it.

    Attributes:
        lower: the device below, open to its tests.
        device: the driver's own device, whose local target is the lower one.
        target: a remote target, opened to the lower device.
    """

    def __init__(self, driver: wdf.WDFDRIVER, io_type: Any = membuf.BUFFERED) -> None:
        self.lower = membuf.Device("wdf-lower", io_type=io_type, parent=driver)
        self.lower.on_default(self._receive)
        self.got: list[Any] = []
        self._arrived = threading.Semaphore(0)
        self.device = membuf.Device(lower=local_target(self.lower), io_type=io_type, parent=driver)
        self.target = self.remote()
        self.open(self.target)

    def remote(self) -> Any:
        """A new remote target, not opened."""
        status, target = wdf.WdfIoTargetCreate(self.device, None)
        assert status == OK
        return target

    def open(self, target: Any) -> None:
        """Open a target to the lower device."""
        params = wdf.WDF_IO_TARGET_OPEN_PARAMS()
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, self.lower)
        assert wdf.WdfIoTargetOpen(target, params) == OK

    def _receive(self, request: Any) -> None:
        if request.type in (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE):
            request.complete()
        else:
            self.got.append(request)
            self._arrived.release()

    def one(self) -> Any:
        """The next request that reached the lower device."""
        assert self._arrived.acquire(timeout=30)
        return self.got.pop(0)

    def request(self, target: Any = None) -> Any:
        """A request of the driver's own."""
        status, request = wdf.WdfRequestCreate(None, target)
        assert status == OK
        return request

    def write(self, memory: Any, *offsets: int, target: Any = None) -> Any:
        """A request formatted as a write from memory."""
        request = self.request()
        part = wdf.WDFMEMORY_OFFSET(*offsets) if offsets else None
        found = target or self.target
        assert wdf.WdfIoTargetFormatRequestForWrite(found, request, memory, part, None) == OK
        return request

    def finish(self) -> None:
        """End what the lower device has still."""
        while self.got:
            self.got.pop().complete(wdf.STATUS_CANCELLED)


@contextmanager
def site(io_type: Any = membuf.BUFFERED) -> Iterator[Site]:
    """A site, and its driver around it."""
    with wdf.driver("WdfSite") as driver:
        made = Site(driver, io_type)
        try:
            yield made
        finally:
            made.finish()


def memory(size: int = 8, fill: bytes = b"data") -> Any:
    """A memory object of the driver."""
    status, made, _ = wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, 0, size)
    assert status == OK
    assert made is not None
    made.copy_from((fill * size)[:size])
    return made


def options(flags: int = 0, timeout: int | None = None) -> wdf.WDF_REQUEST_SEND_OPTIONS:
    """Send options."""
    made = wdf.WDF_REQUEST_SEND_OPTIONS()
    wdf.WDF_REQUEST_SEND_OPTIONS_INIT(made, flags)
    if timeout is not None:
        wdf.WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(made, timeout)
    return made


class Routine:
    """A completion routine that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, int]] = []
        self.types: list[int] = []
        self.event = threading.Event()

    def __call__(self, request: Any, target: Any, params: Any, context: Any) -> None:
        self.ended.append((params.IoStatus.Status, params.IoStatus.Information))
        self.types.append(params.Type)
        self.event.set()

    def set(self, request: Any) -> None:
        """Be the request's routine."""
        wdf.WdfRequestSetCompletionRoutine(request, self, None)

    def wait(self) -> tuple[int, int]:
        """How the request ended."""
        assert self.event.wait(30)
        return self.ended[-1]


def buffer_descriptor(data: Any) -> wdf.WDF_MEMORY_DESCRIPTOR:
    """A descriptor of a plain buffer."""
    descriptor = wdf.WDF_MEMORY_DESCRIPTOR()
    wdf.WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(descriptor, data, len(data))
    return descriptor

"""A driver whose device holds its requests for a test, all by the framework's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from membuf import wdf
from tests.receiving import BUFFERED, IN_DIRECT, NEITHER, OUT_DIRECT

__all__ = ["BUFFERED", "IN_DIRECT", "NEITHER", "OUT_DIRECT", "Lab", "lab", "queue_config"]


def queue_config(
    dispatch: int = wdf.WdfIoQueueDispatchManual, default: bool = False, **fields: Any
) -> wdf.WDF_IO_QUEUE_CONFIG:
    """A queue's configuration."""
    config = wdf.WDF_IO_QUEUE_CONFIG()
    wdf.WDF_IO_QUEUE_CONFIG_INIT(config, dispatch)
    config.DefaultQueue = default
    for name, value in fields.items():
        assert hasattr(config, name)
        setattr(config, name, value)
    return config


class Lab:
    """A control device with a default queue, and a handle to send it what is wanted.

    Args:
        driver: whose device it is.
        config: of the default queue; a manual one that takes transfers of nothing if absent.
        setup: told of the init before the device is made.
        io_type: how reads and writes carry their buffers.
        mode: of the originator.
    """

    def __init__(
        self,
        driver: wdf.WDFDRIVER,
        config: wdf.WDF_IO_QUEUE_CONFIG | None = None,
        setup: Callable[[wdf.WDFDEVICE_INIT], object] | None = None,
        io_type: int = wdf.WdfDeviceIoBuffered,
        mode: Any = "user",
    ) -> None:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        wdf.WdfDeviceInitSetIoType(init, io_type)
        if setup is not None:
            setup(init)
        status, device = wdf.WdfDeviceCreate(init, None)
        assert status == wdf.STATUS_SUCCESS
        assert device is not None
        self.device = device
        config = config or queue_config(AllowZeroLengthRequests=True)
        config.DefaultQueue = True
        self.queue = self.make_queue(config)
        wdf.WdfControlFinishInitializing(device)
        self.handle = device.open(mode=mode)

    def make_queue(self, config: wdf.WDF_IO_QUEUE_CONFIG) -> wdf.WDFQUEUE:
        """One more queue."""
        status, queue = wdf.WdfIoQueueCreate(self.device, config, None)
        assert status == wdf.STATUS_SUCCESS
        assert queue is not None
        return queue

    def read(self, size: int, offset: int = 0) -> tuple[Any, Any, bytearray]:
        """A read the driver owns: the request, what its originator holds, and the buffer."""
        buffer = bytearray(b"\xee" * size)
        return *self.taken(self.handle.start_read(buffer, offset)), buffer

    def write(self, data: Any, offset: int = 0) -> tuple[Any, Any]:
        """A write the driver owns."""
        return self.taken(self.handle.start_write(data, offset))

    def ioctl(self, code: int, size: int, out: int, internal: bool = False) -> tuple[Any, ...]:
        """A control request the driver owns, with its two buffers."""
        source, destination = bytearray(range(size)), bytearray(b"\xee" * out)
        start = self.handle.start_internal_ioctl if internal else self.handle.start_ioctl
        pending = start(code, source or None, destination or None)
        return *self.taken(pending), source, destination

    def taken(self, pending: Any) -> tuple[Any, Any]:
        """The next request, and what its originator holds."""
        status, request = wdf.WdfIoQueueRetrieveNextRequest(self.queue)
        assert status == wdf.STATUS_SUCCESS
        return request, pending


@contextmanager
def lab(*arguments: Any, strict: bool = False, **options: Any) -> Iterator[Lab]:
    """A lab, and its driver around it."""
    with wdf.driver("WdfLab", strict=strict) as driver:
        yield Lab(driver, *arguments, **options)

"""Devices for tests of what is sent to them: one that keeps its requests, one with memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import membuf
from membuf.base import status as st
from membuf.request import Request, RequestType


class Lower:
    """A device that keeps its requests until they are ended."""

    def __init__(self, io_type: Any = membuf.BUFFERED, **options: Any) -> None:
        self.device = membuf.Device(io_type=io_type, **options)
        self.got: list[Any] = []
        self.arrived = threading.Semaphore(0)
        self.device.on_default(self.receive)

    def receive(self, request: Any) -> None:
        self.got.append(request)
        if request.type in (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE):
            self.got.pop().complete()
        else:
            self.arrived.release()

    def one(self) -> Any:
        """The next request that arrived."""
        assert self.arrived.acquire(timeout=30)
        return self.got.pop(0)


def ended(lower: Lower) -> Iterator[Lower]:
    yield lower
    for request in lower.got:
        request.complete(st.STATUS_CANCELLED, 0)
    lower.device.delete()


def formatted(target: Any, memory: Any, verb: str = "format_write", **options: Any) -> Request:
    request = Request(target)
    getattr(request, verb)(memory, **options)
    return request


def memory_disk(io_type: Any, name: str | None = None, lower: Any = None) -> membuf.Device:
    """A device with 64 KiB of memory."""
    disk = bytearray(65536)
    device = membuf.Device(name, io_type=io_type, lower=lower)

    @device.on_read
    def read(request: Any) -> None:
        data = disk[request.offset : request.offset + request.length]
        request.output_memory().copy_from(data)
        request.complete(information=len(data))

    @device.on_write
    def write(request: Any) -> None:
        disk[request.offset : request.offset + request.length] = request.input_buffer()
        request.complete(information=request.length)

    @device.on_default
    def other(request: Any) -> None:
        request.complete()

    return device

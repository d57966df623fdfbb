"""A device whose requests a test holds in its hands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

import membuf
from membuf.request import ControlCode

BUFFERED, IN_DIRECT, OUT_DIRECT, NEITHER = (
    ControlCode(0x22, 0x800, method).encode() for method in range(4)
)


class Lab:
    """A device with a manual default queue, and a handle to send it what is wanted."""

    def __init__(self, io_type: Any = membuf.BUFFERED, mode: Any = "user", **options: Any) -> None:
        self.device = membuf.Device("lab", io_type, **options)
        self.queue = self.device.queue(
            "default", dispatch="manual", default=True, allow_zero_length=True
        )
        self.handle = self.device.open(mode=mode)

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
        request = self.queue.retrieve_next()
        assert request is not None
        return request, pending


@contextmanager
def refused(status: int, bugcheck: tuple[int, ...] | None = None) -> Any:
    """Expect a MembufError of a status."""
    with pytest.raises(membuf.MembufError) as caught:
        yield caught
    assert hex(caught.value.status) == hex(status)
    if bugcheck is not None:
        assert caught.value.bugcheck is not None
        assert caught.value.bugcheck[: len(bugcheck)] == bugcheck


def status_of(call: Callable[[], object]) -> int:
    """The status of a call's error, 0 where it succeeds."""
    try:
        call()
    except membuf.MembufError as error:
        return int(error.status)
    return 0

"""Buffered reads and writes through a device."""

from __future__ import annotations

import gc
import threading

import pytest

import membuf
from membuf.request import Irp, RequestType


@pytest.fixture
def disk() -> bytearray:
    return bytearray(range(256))


@pytest.fixture
def device(disk: bytearray) -> membuf.Device:
    device = membuf.Device("buffered-test")

    @device.on_read
    def read(request) -> None:
        part = disk[request.offset : request.offset + request.length]
        if part:
            request.output_memory().copy_from(part)
        request.complete(information=len(part))

    @device.on_write
    def write(request) -> None:
        disk[request.offset : request.offset + request.length] = request.input_buffer()
        request.complete(information=request.length)

    return device


def test_bytes_come_and_go(device: membuf.Device, disk: bytearray) -> None:
    with device.open() as handle:
        assert handle.read(4, 10) == bytes([10, 11, 12, 13])
        assert handle.write(b"abcd", 10) == 4
        assert disk[10:14] == b"abcd"
        into = bytearray(300)
        assert handle.read_into(into, 250) == 6
        assert into[:8] == bytes(range(250, 256)) + b"\0\0"


def test_memory_is_the_same_object_and_of_the_request(device: membuf.Device) -> None:
    seen = []

    @device.on_read
    def read(request) -> None:
        memory = request.output_memory()
        seen.extend([memory, memory is request.output_memory(), memory.source, memory.size])
        seen.append(memory.parent is request)
        view = memory.buffer
        view[:] = b"\x55" * len(view)
        seen.append(view)
        request.complete(information=2)

    with device.open() as handle:
        into = bytearray(4096)
        assert handle.read_into(into) == 2
        assert into[:3] == b"\x55\x55\0"
        memory, same, source, size, owned, view = seen
        assert (same, source, size, owned) == (True, "request", 4096, True)
        with pytest.raises(membuf.ObjectDeletedError):
            _ = memory.buffer
        handle.read_into(into)
        assert bytes(view) == b"\x55" * 4096
        seen.clear()
        del memory, view


def test_memory_that_is_held_refuses_the_completion(device: membuf.Device) -> None:
    errors = []

    @device.on_read
    def read(request) -> None:
        memory = request.output_memory()
        memory.reference("sent")
        try:
            request.complete(information=1)
        except membuf.MembufError as error:
            errors.append(error)
        memory.dereference("sent")
        request.complete(information=1)

    with device.open() as handle:
        assert handle.read(1) == b"\0"
    assert errors[0].bugcheck[:2] == (0x10D, 3)


def test_a_second_completion_is_refused(device: membuf.Device) -> None:
    kept = []

    @device.on_read
    def read(request) -> None:
        request.complete(membuf.Status(0xC0000022))
        kept.append(request)

    with device.open() as handle, pytest.raises(membuf.AccessDeniedError):
        handle.read(1)
    with pytest.raises(membuf.InvalidDeviceStateError) as caught:
        kept[0].complete()
    assert caught.value.status == 0xC0000010


def test_handlers_on_other_threads_and_at_once() -> None:
    device = membuf.Device("threads-test")
    kept: list = []

    @device.on_read
    def read(request) -> None:
        kept.append(request)

    with device.open() as handle:
        pending = [handle.start_read(bytearray(8), i) for i in range(5)]
        assert [request.offset for request in kept] == list(range(5))

        def end() -> None:
            for request in kept:
                request.complete(information=8)

        thread = threading.Thread(target=end)
        thread.start()
        assert [p.wait(5) for p in pending] == [(0, 8)] * 5
        thread.join()


def test_a_dropped_request_ends_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    device = membuf.Device("dropped-test")
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    @device.on_read
    def read(request) -> None:
        del request

    with device.open() as handle:
        pending = handle.start_read(bytearray(8))
        gc.collect()
        assert pending.wait(5) == (0xC00000E5, 0)
    assert "without being completed" in str(told[0].exc_value)


@pytest.mark.parametrize("size", [2**63, 2**64, 2**100])
def test_what_no_position_reaches_is_refused_by_name(size: int) -> None:
    with membuf.Device().open() as handle:
        with pytest.raises(membuf.IntegerOverflowError, match="length must be below"):
            handle.read(size)
        with pytest.raises(membuf.IntegerOverflowError, match="offset must be below"):
            handle.write(b"abc", size)


@pytest.mark.parametrize("durable", [False, True])
def test_a_request_says_whether_its_bytes_are_to_be_durable(durable: bool) -> None:
    device, told = membuf.Device("durable"), []

    @device.on_write
    def write(request: membuf.request.ReceivedRequest) -> None:
        told.append(request.write_through)
        request.complete(information=request.length)

    irp = Irp(RequestType.WRITE, length=4, write_through=durable)
    irp.system_buffer = bytearray(4)
    irp.push(lambda irp: told.append(irp.write_through))
    device.submit(irp)
    assert told == [durable, durable]
    assert not Irp(RequestType.WRITE).write_through

"""Cases of DMA over the buffers of requests (3.6), through the framework's names."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from membuf import wdf
from membuf.request import BUFFERED, DIRECT, NEITHER, Device
from tests.conformance.cases import case

READ, WRITE = wdf.WdfDmaDirectionReadFromDevice, wdf.WdfDmaDirectionWriteToDevice


def code(method: int) -> int:
    """A control code of a transfer method."""
    return int(wdf.CTL_CODE(0x22, 0x800, method, 0))


class Asked:
    """What a device made of one request: each direction's status, length and bytes."""

    def __init__(self, io_type: Any = BUFFERED, *, strict: bool = False) -> None:
        self.device = Device("asked", io_type)
        self.strict = strict
        self.answers: dict[int, Any] = {}
        for handler in ("on_read", "on_write", "on_ioctl"):
            getattr(self.device, handler)(self.take)

    def take(self, request: Any) -> None:
        """Try both directions, then complete."""
        with wdf.driver("Asked", strict=self.strict) as driver:
            for direction in (READ, WRITE):
                enabler = dma.Enabler(self.device, strict=driver.strict)
                t = wdf.WdfDmaTransactionCreate(enabler, None)[1]
                status = wdf.WdfDmaTransactionInitializeUsingRequest(t, request, print, direction)
                run = t._run
                self.answers[direction] = (
                    status.name.removeprefix("STATUS_"),
                    None if run is None else run.length,
                )
                wdf.WdfObjectDelete(enabler)
        request.complete()

    def by(self, send: Callable[[Any], object]) -> tuple[Any, Any]:
        """The answers to a request, reading and writing."""
        with self.device.open() as handle:
            send(handle)
        return self.answers[READ], self.answers[WRITE]


REFUSED, SMALL = ("INVALID_DEVICE_REQUEST", None), ("BUFFER_TOO_SMALL", None)


@case("P62")
@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT])
def test_reads_and_writes_go_one_way(io_type: Any) -> None:
    assert Asked(io_type).by(lambda h: h.read(100)) == (("SUCCESS", 100), REFUSED)
    assert Asked(io_type).by(lambda h: h.write(bytes(100))) == (REFUSED, ("SUCCESS", 100))


@case("R3.6-neither")
def test_a_request_of_ones_own_has_no_buffer_for_dma() -> None:
    with wdf.driver("Asked") as driver:
        device = Device("own", parent=driver)
        t = wdf.WdfDmaTransactionCreate(dma.Enabler(device), None)[1]
        request = membuf.Request()
        status = wdf.WdfDmaTransactionInitializeUsingRequest(t, request, print, READ)
        assert status == wdf.STATUS_INVALID_DEVICE_REQUEST
        assert t.state == dma.TransactionState.CREATED


def test_neither_has_no_mdl() -> None:
    assert Asked(NEITHER).by(lambda h: h.read(100)) == (REFUSED, REFUSED)
    assert Asked().by(lambda h: h.ioctl(code(3), bytes(10), 20)) == (REFUSED, REFUSED)


@case("R3.6-direct")
def test_direct_control_requests_go_one_way_with_the_output_length() -> None:
    def send(method: int) -> Callable[[Any], object]:
        return lambda h: h.ioctl(code(method), bytes(10), 20)

    assert Asked().by(send(1)) == (REFUSED, ("SUCCESS", 20))
    assert Asked().by(send(2)) == (("SUCCESS", 20), REFUSED)


@case("R3.6-buffered")
def test_buffered_control_requests_go_both_ways() -> None:
    def send(given: int, wanted: int) -> Callable[[Any], object]:
        return lambda h: h.ioctl(code(0), bytes(given), wanted)

    assert Asked().by(send(10, 20)) == (("SUCCESS", 20), ("SUCCESS", 10))
    assert Asked().by(send(0, 20)) == (("SUCCESS", 20), SMALL)
    # The source takes the input side's MDL for both: too short, or none at all.
    assert Asked(strict=True).by(send(10, 20)) == (SMALL, ("SUCCESS", 10))
    assert Asked(strict=True).by(send(0, 20)) == (SMALL, SMALL)
    assert Asked(strict=True).by(send(20, 10))[0] == ("SUCCESS", 10)


@case("P76")
def test_a_request_lives_until_its_transaction_ends() -> None:
    device, log = Device("held", DIRECT), []
    held: list[Any] = []

    @device.on_read
    def read(request: Any) -> None:
        request.add_context(dict, on_destroy=lambda *_: log.append("destroyed"))
        t = dma.Enabler(device).transaction()
        t.initialize_using_request(request, lambda *_: None, dma.READ_FROM_DEVICE)
        before = request.reference_count
        t.execute()
        assert request.reference_count == before + 1
        held.append(t)
        request.complete(information=0)

    with device.open() as handle:
        handle.read(100)
    gc.collect()
    t = held.pop()
    assert t.request is not None
    assert log == []
    assert t.completed()
    t.release()
    gc.collect()
    assert (t.request, log) == (None, ["destroyed"])


def test_a_device_moves_the_bytes_of_requests() -> None:
    """A read and a write of a direct device, by a model of its hardware."""
    device, disk = Device("disk", DIRECT), bytearray(8192)
    enabler = dma.Enabler(device, maximum_length=4096)

    def program(t: Any, _: Any, request: Any, direction: int, elements: Any) -> None:
        at = request.offset + t.bytes_transferred
        for address, length in elements:
            if direction == dma.WRITE_TO_DEVICE:
                disk[at : at + length] = enabler.translate(address, length, "read")
            else:
                enabler.translate(address, length, "write")[:] = disk[at : at + length]
            at += length
        if t.completed():
            t.delete()
            request.complete(information=request.length)

    @device.on_default
    def transfer(request: Any) -> None:
        writes = request.type == membuf.request.RequestType.WRITE
        t = enabler.transaction()
        t.initialize_using_request(request, program, int(writes))
        t.execute(request)

    contents = bytes(i % 251 for i in range(8000))
    with device.open() as handle:
        assert handle.write(contents, 100) == 8000
        assert handle.read(8000, 100) == contents
    assert enabler.statistics().transfers >= 4

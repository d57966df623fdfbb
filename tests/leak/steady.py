"""What requests cost in memory once a driver runs: the scenarios, each of one request a round."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import membuf

Round = Callable[[], object]
Scenario = Callable[[Path], AbstractContextManager[Round]]
SCENARIOS: dict[str, Scenario] = {}

SIZE = 4096


def scenario(make: Callable[[Path], Iterator[Round]]) -> Callable[[Path], Iterator[Round]]:
    """Enter a scenario under its name."""
    SCENARIOS[make.__name__.replace("_", " ")] = contextlib.contextmanager(make)
    return make


def answering(name: str, **options: Any) -> membuf.Device:
    """A device that fills reads and takes writes."""
    device = membuf.Device(name, **options)

    @device.on_read
    def read(request: membuf.ReceivedRequest) -> None:
        request.output_memory()
        request.complete(information=request.length)

    @device.on_write
    def write(request: membuf.ReceivedRequest) -> None:
        request.input_memory()
        request.complete(information=request.length)

    return device


def forwarding(name: str, target: Any) -> membuf.Device:
    """A device that sends its reads on, and completes them when they come back."""
    device = membuf.Device(name, lower=target)

    @device.on_read
    def read(request: membuf.request.ReceivedRequest) -> None:
        request.format_current_type()
        request.send(completed)

    def completed(request: Any, target: Any, params: Any, context: Any) -> None:
        request.complete(params.status, params.information)

    return device


@scenario
def buffered_read(_: Path) -> Iterator[Round]:
    buffer = bytearray(SIZE)
    with answering("steady").open() as handle:
        yield lambda: handle.read_into(buffer)


@scenario
def buffered_write(_: Path) -> Iterator[Round]:
    data = bytes(SIZE)
    with answering("steady").open() as handle:
        yield lambda: handle.write(data)


@scenario
def direct_read(_: Path) -> Iterator[Round]:
    buffer = bytearray(SIZE)
    with answering("steady", io_type=membuf.DIRECT).open() as handle:
        yield lambda: handle.read_into(buffer)


@scenario
def control_request(_: Path) -> Iterator[Round]:
    code = membuf.ControlCode(0x22, 0x800).encode()
    device = membuf.Device("steady")

    @device.on_ioctl
    def control(request: membuf.request.ReceivedRequest) -> None:
        request.output_buffer(8)[:4] = request.input_buffer(4)[:4]
        request.complete(information=8)

    with device.open() as handle:
        yield lambda: handle.ioctl(code, b"abcd", 8)


@scenario
def stack_of_three(_: Path) -> Iterator[Round]:
    """A function that forwards, over a filter without handlers, over a device with memory."""
    lowest = answering("steady bottom")
    with membuf.open_target("device:steady bottom") as below:
        middle = membuf.Device("steady middle", lower=below, filter=True)
        with membuf.open_target("device:steady middle") as target:
            buffer = bytearray(SIZE)
            with forwarding("steady top", target).open() as handle:
                yield lambda: handle.read_into(buffer)
        middle.delete()
    lowest.delete()


@scenario
def a_copy_below_by_a_request_of_ones_own(_: Path) -> Iterator[Round]:
    """What a driver does that may not change the bytes it was given."""
    lowest = answering("steady bottom")
    with membuf.open_target("device:steady bottom") as below:
        device = membuf.Device("steady top")
        copies = membuf.LookasideList(SIZE, parent=device)
        own = membuf.Request(below, parent=device)

        @device.on_write
        def write(request: membuf.request.ReceivedRequest) -> None:
            with copies.allocate() as copy:
                copy.copy_from(request.input_memory())
                own.reuse()
                own.format_write(copy)
                own.send(synchronous=True)
                own.reuse()
            request.complete(own.status, request.length)

        data = bytes(SIZE)
        with device.open() as handle:
            yield lambda: handle.write(data)
        device.delete()
    lowest.delete()


@scenario
def device_over_a_file(folder: Path) -> Iterator[Round]:
    path = folder / "data"
    path.write_bytes(bytes(SIZE))
    with membuf.open_target(f"file:{path}", access="read") as target:
        device = forwarding("steady file", target)
        buffer = bytearray(SIZE)
        with device.open() as handle:
            yield lambda: handle.read_into(buffer)
        device.delete()


@scenario
def own_request_reused(folder: Path) -> Iterator[Round]:
    memory = membuf.Memory(SIZE, zero=True)
    with membuf.open_target(f"file:{folder / 'data'}", create=True) as target:
        request = membuf.Request(target)

        def once() -> None:
            request.format_write(memory, offset=0)
            request.send(synchronous=True)
            request.reuse()

        yield once
    memory.delete()


@scenario
def a_file_read_into_lookaside_memory(folder: Path) -> Iterator[Round]:
    path = folder / "data"
    path.write_bytes(bytes(SIZE))
    pages = membuf.LookasideList(SIZE)
    with membuf.open_target(f"file:{path}") as target:

        def once() -> None:
            with pages.allocate() as page:
                target.read(page)

        yield once
    pages.delete()


@scenario
def received_write_by_dma(_: Path) -> Iterator[Round]:
    """A direct write whose pages a device fetches."""
    device = membuf.Device("steady nic", io_type=membuf.DIRECT)
    enabler = membuf.dma.Enabler(device, maximum_length=SIZE)
    transaction = enabler.transaction()

    def program(t: Any, d: Any, c: Any, direction: Any, elements: Any) -> None:
        for address, length in elements:
            enabler.translate(address, length, "read")

    @device.on_write
    def write(request: membuf.request.ReceivedRequest) -> None:
        to_device = membuf.dma.WRITE_TO_DEVICE
        transaction.initialize_using_request(request, program, to_device)
        transaction.execute()
        assert transaction.completed()
        transaction.release()
        request.complete(information=request.length)

    data = bytes(SIZE)
    with device.open() as handle:
        yield lambda: handle.write(data)
    device.delete()


@scenario
def awaited_read(_: Path) -> Iterator[Round]:
    """A read whose handler is a coroutine, awaited on one loop."""
    loop = asyncio.new_event_loop()
    device = membuf.Device("steady async", loop=loop)

    @device.on_read
    async def read(request: membuf.request.ReceivedRequest) -> None:
        await asyncio.sleep(0)
        request.complete(information=request.length)

    buffer = bytearray(SIZE)

    async def opened() -> Any:
        return device.open()

    handle = loop.run_until_complete(opened())
    yield lambda: loop.run_until_complete(handle.read_into_async(buffer))
    handle.close()
    device.delete()
    loop.close()

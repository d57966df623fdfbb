"""What requests cost in memory once a driver runs: the scenarios, each of one request a round."""

from __future__ import annotations

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

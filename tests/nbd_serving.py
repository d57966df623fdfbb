"""Disks served to the NBD programs of others: in this process, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import membuf
from membuf.bus.nbd import NbdUri, Server

MIB = 1 << 20
FILTERS = "stats+log+checksum+delay(time=100us)+rate(limit=10GiB/s)"
PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"
LIBNBD_PYTHON = "/usr/bin/python3"
"""The interpreter that the packaged libnbd module is for."""


def run(*command: object, ok: int | None = 0, **options: Any) -> str:
    """Run a program; what it printed. It must end with the code `ok` (None: with any failure)."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env=os.environ | {"PATH": PROGRAMS},
        **options,
    )
    good = done.returncode == ok if ok is not None else done.returncode != 0
    assert good, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def libnbd(script: str, *arguments: object) -> str:
    """Run a Python script with libnbd as `nbd`; what it printed. Its failed asserts fail."""
    return run(LIBNBD_PYTHON, "-W", "error", "-c", script, *arguments)


@contextmanager
def served(
    targets: Any, *, tcp: bool = False, export: str = "", **options: Any
) -> Iterator[Server]:
    """A server at a unix socket, or on a free port of the loopback."""
    with tempfile.TemporaryDirectory(prefix="membuf-") as folder:
        uri = NbdUri(socket=f"{folder}/s", export=export)
        if tcp:
            uri = NbdUri(host="127.0.0.1", port=0, export=export)
        with Server(targets, uri, **options) as server:
            yield server


@contextmanager
def opened(name: str, folder: Path, size: int) -> Iterator[Any]:
    """One of the `KINDS` of things to serve."""
    served = KINDS[name](folder, size)
    try:
        yield served
    finally:
        served.delete() if isinstance(served, membuf.Disk) else served.close()


async def others(count: int) -> None:
    """Let others run, more often or less."""
    for _ in range(1 + count % 3):
        await asyncio.sleep(0)


def coroutine_disk(_: Path, size: int) -> membuf.Disk:
    """A disk whose handlers are all coroutines, which end in another order than they begin."""
    store = bytearray(size)
    disk = membuf.Disk("coroutines", size=size)

    @disk.on_read
    async def read(request: Any) -> None:
        await others(store[0])
        view = memoryview(store)[request.offset : request.offset + request.length]
        request.output_memory().copy_from(view)
        request.complete(information=request.length)

    @disk.on_write
    async def write(request: Any) -> None:
        await others(store[0])
        view = memoryview(store)[request.offset : request.offset + request.length]
        request.input_memory().copy_to(view)
        request.complete(information=request.length)

    @disk.on_flush
    async def flush(request: Any) -> None:
        await others(store[0])
        request.complete()

    @disk.on_trim
    @disk.on_zero
    async def clear(offset: int, length: int) -> None:
        await others(store[0])
        store[offset : offset + length] = bytes(length)

    @disk.on_extents
    async def extents(offset: int, length: int) -> list[membuf.Extent]:
        await others(store[0])
        found = range(offset // 4096 * 4096, offset + length, 4096)
        return [
            membuf.Extent(block, 4096, data=True)
            for block in found
            if bytes(4096) != store[block : block + 4096]
        ]

    return disk


def sparse_file(folder: Path, size: int) -> Path:
    """A file that is one hole."""
    path = folder / "disk.img"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def from_name(name: str) -> Callable[[Path, int], Any]:
    """What opens a target over a new file, or in memory."""

    def make(folder: Path, size: int) -> Any:
        file = sparse_file(folder, size)
        return membuf.open_target(name.format(file=file, size=size))

    return make


KINDS: Mapping[str, Callable[[Path, int], Any]] = {
    "ram": from_name("ram:{size}"),
    "file": from_name("file:{file}"),
    "filters": from_name(FILTERS + "+file:{file}"),
    "coroutines": coroutine_disk,
}
"""What is served, by name: each is called with a folder for its files, and a size."""

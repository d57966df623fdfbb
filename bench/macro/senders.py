"""The ways to keep a queue of transfers full, ours and others': each a function of a `Load`.

All of them read or write blocks of one file at prepared offsets, through as many page-aligned
buffers as the queue is deep, for a given time; the number of transfers that ended is returned.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import membuf
import membuf.target.uring
from bench.case import KIB

OFFSETS = 1 << 16
BATCH = 512
BATCHES = 64
LOOK_EVERY = 16


@dataclass(frozen=True)
class Load:
    """What to transfer: blocks of a file, some at a time, for so long."""

    path: Path
    size: int  # of the file, bytes
    block: int
    depth: int
    seconds: float
    writes: bool = False
    sequential: bool = False

    def offsets(self) -> Iterator[int]:
        """Where each transfer begins, without end: the same random places every time."""
        blocks = self.size // self.block
        if self.sequential:
            return cycle(range(0, blocks * self.block, self.block))
        return cycle(random.Random(1).choices(range(0, blocks * self.block, self.block), k=OFFSETS))


@dataclass(frozen=True)
class Outcome:
    """What a way came to."""

    rate: float  # transfers a second
    cpu_ns: float  # processor time of a transfer, the system's on our behalf included


class Watch:
    """Says when the time is up, and what was reached in it; costs little to look at.

    Attributes:
        running: whether time is left. Somebody has to call `stop`, or `look` now and then.
        count: transfers that ended.
    """

    def __init__(self, seconds: float) -> None:
        self.running = True
        self.count = 0
        self._cpu, self._start = process_time(), perf_counter()
        self._end = self._start + seconds

    def stop(self) -> None:
        """The time is up."""
        self.running = False

    def look(self) -> None:
        """Stops when the time is up."""
        self.running = perf_counter() < self._end

    def outcome(self) -> Outcome:
        """What was reached until now."""
        seconds, cpu = perf_counter() - self._start, process_time() - self._cpu
        return Outcome(self.count / seconds, cpu * 1e9 / self.count)


def on_loop(seconds: float) -> Watch:
    """A watch that the running event loop stops."""
    watch = Watch(seconds)
    asyncio.get_running_loop().call_later(seconds, watch.stop)
    return watch


def target_of(load: Load) -> Any:
    """The file as a target with direct I/O, on rings as deep as the load's queue."""
    # A target's own rings are deeper than the queues that peers are given here.
    membuf.target.uring.DEPTH = load.depth  # type: ignore[misc]
    return membuf.open_target(f"file:{load.path}", direct=True, engine="io_uring")


def memories(load: Load) -> list[membuf.Memory]:
    """A buffer for each place in the queue, from one lookaside list."""
    pages = membuf.LookasideList(load.block, tag="Bnch", zero=True)
    return [pages.allocate() for _ in range(load.depth)]


def callbacks(load: Load, target: Any) -> Outcome:
    """Transfers each of which starts the next in its own callback, on an event loop."""
    offsets = load.offsets()
    start = target.write_nowait if load.writes else target.read_nowait

    async def run() -> Outcome:
        over = asyncio.get_running_loop().create_future()
        watch, flying = on_loop(load.seconds), load.depth

        def completed(memory: Any, _: int, error: Exception | None) -> None:
            nonlocal flying
            watch.count += 1
            if watch.running and error is None:
                start(memory, next(offsets), completed)
                return
            flying -= 1
            if error is not None and not over.done():
                over.set_exception(error)
            elif not flying and not over.done():
                over.set_result(watch.outcome())

        for memory in memories(load):
            start(memory, next(offsets), completed)
        outcome: Outcome = await over
        return outcome

    return asyncio.run(run())


def requests(load: Load, target: Any) -> Outcome:
    """Requests that are sent again by their own completion, on an event loop."""
    offsets = load.offsets()

    async def run() -> Outcome:
        over = asyncio.get_running_loop().create_future()
        watch, flying = on_loop(load.seconds), load.depth

        def send(request: membuf.Request, memory: membuf.Memory) -> None:
            form = request.format_write if load.writes else request.format_read
            form(memory, next(offsets))
            request.send(completed, context=memory)

        def completed(request: Any, _: Any, params: Any, memory: Any) -> None:
            nonlocal flying
            watch.count += 1
            if watch.running:
                send(request, memory)
                return
            flying -= 1
            if not flying:
                over.set_result(watch.outcome())

        for memory in memories(load):
            send(membuf.Request(target), memory)
        outcome: Outcome = await over
        return outcome

    return asyncio.run(run())


def awaits(load: Load, target: Any) -> Outcome:
    """Tasks that await one transfer after another."""
    transfer = target.write_async if load.writes else target.read_async
    return _tasks(load, transfer, memories(load))


def batches(load: Load, target: Any) -> Outcome:
    """Lists of transfers, prepared before, handed over together, one list after the other."""
    offsets, buffers = load.offsets(), cycle(memories(load))
    lists = [[(next(buffers), next(offsets)) for _ in range(BATCH)] for _ in range(BATCHES)]
    run = target.write_many if load.writes else target.read_many
    watch = Watch(load.seconds)
    for items in cycle(lists):
        run(items)
        watch.count += BATCH
        watch.look()
        if not watch.running:
            break
    return watch.outcome()


def through_device(load: Load, target: Any) -> Outcome:
    """Tasks that await the reads of a direct device, which forwards them to the target."""
    with _device_over(target).open() as handle:
        transfer = handle.write_async if load.writes else handle.read_into_async
        return _tasks(load, transfer, [mmap.mmap(-1, load.block) for _ in range(load.depth)])


def synchronous_through_device(load: Load, target: Any) -> Outcome:
    """One transfer after another through that device."""
    buffer = mmap.mmap(-1, load.block)
    with _device_over(target).open() as handle:
        transfer = handle.write if load.writes else handle.read_into
        return _one_by_one(load, lambda offset: transfer(buffer, offset))


def _device_over(target: Any) -> membuf.Device:
    device = membuf.Device("bench", membuf.DIRECT, lower=target)

    @device.on_default
    def forward(request: Any) -> None:
        request.format_current_type()
        request.send(completed)

    def completed(request: Any, _: Any, params: Any, __: Any) -> None:
        request.complete(params.status, params.information)

    return device


def synchronous(load: Load, target: Any) -> Outcome:
    """One transfer after another on this thread."""
    memory = memories(load)[0]
    transfer = target.write if load.writes else target.read
    return _one_by_one(load, lambda offset: transfer(memory, offset))


def plain_preadv(load: Load) -> Outcome:
    """os.preadv one after another, into one page-aligned mapping: what Python itself offers."""
    fd, buffers = os.open(load.path, os.O_RDWR | os.O_DIRECT), [mmap.mmap(-1, load.block)]
    try:
        return _one_by_one(load, lambda offset: os.preadv(fd, buffers, offset))
    finally:
        os.close(fd)


def _one_by_one(load: Load, transfer: Callable[[int], object]) -> Outcome:
    offsets, watch = load.offsets(), Watch(load.seconds)
    while watch.running:
        for offset in islice(offsets, LOOK_EVERY):
            transfer(offset)
        watch.count += LOOK_EVERY
        watch.look()
    return watch.outcome()


def to_thread(load: Load) -> Outcome:
    """asyncio.to_thread around os.preadv and os.pwritev, into page-aligned mappings."""
    fd = os.open(load.path, os.O_RDWR | os.O_DIRECT)
    call = os.pwritev if load.writes else os.preadv

    def transfer(buffer: mmap.mmap, offset: int) -> Awaitable[int]:
        return asyncio.to_thread(call, fd, [buffer], offset)

    try:
        return _tasks(load, transfer, [mmap.mmap(-1, load.block) for _ in range(load.depth)])
    finally:
        os.close(fd)


def by_aiofiles(load: Load) -> Outcome:
    """aiofiles: seek and readinto (or write) on a file object for each place in the queue."""
    import aiofiles

    offsets = load.offsets()

    async def slot(watch: Watch) -> None:
        buffer = mmap.mmap(-1, load.block)
        async with aiofiles.open(load.path, "r+b", buffering=0, opener=_direct) as file:
            call = file.write if load.writes else file.readinto
            while watch.running:
                await file.seek(next(offsets))
                await call(buffer)
                watch.count += 1

    async def run() -> Outcome:
        watch = on_loop(load.seconds)
        await asyncio.gather(*(slot(watch) for _ in range(load.depth)))
        return watch.outcome()

    return asyncio.run(run())


def _direct(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_DIRECT)


def _tasks(
    load: Load, transfer: Callable[[Any, int], Awaitable[int]], buffers: list[Any]
) -> Outcome:
    offsets = load.offsets()

    async def slot(buffer: Any, watch: Watch) -> None:
        while watch.running:
            await transfer(buffer, next(offsets))
            watch.count += 1

    async def run() -> Outcome:
        watch = on_loop(load.seconds)
        await asyncio.gather(*(slot(buffer, watch) for buffer in buffers))
        return watch.outcome()

    return asyncio.run(run())


def make_file(path: Path, size: int) -> None:
    """A file of that many bytes on the disk, none of them a hole, unless it is there already."""
    if path.exists() and path.stat().st_size == size:
        return
    content = random.Random(2).randbytes(1024 * KIB)
    with path.open("wb") as file:
        for done in range(0, size, len(content)):
            file.write(content[: size - done])
        file.flush()
        os.fsync(file.fileno())

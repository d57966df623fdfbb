"""Transfers against cancels, stops, purges and each other: every byte once, every end told once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import FileTarget, open_target
from membuf.request import Request
from tests.engines import ENGINES
from tests.stress.test_threads import run_threads

BLOCK = 4096
BLOCKS = 64


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbered(path: Path) -> Path:
    """A file whose every block repeats its own number."""
    path.write_bytes(b"".join(bytes([i]) * BLOCK for i in range(BLOCKS)))
    return path


def check(memory: Any, block: int) -> None:
    """What was read is the block, whole."""
    assert bytes(memory) == bytes([block]) * BLOCK


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


class Pipe:
    """A pipe: what was written to it, and what the requests that read from it said."""

    def __init__(self, chance: random.Random) -> None:
        self.reading, self.writing = os.pipe()
        self.chance = chance
        self.told: Counter[str] = Counter()
        self.received = bytearray()
        self.written = bytearray()

    def on_complete(self, _r: Any, _t: Any, params: Any, ended: threading.Event) -> None:
        self.told[params.status.name] += 1
        self.received.extend(bytes(params.memory)[: params.information])
        ended.set()

    def read_and_cancel(self, target: FileTarget) -> None:
        """One request; its cancel comes before the bytes that end it, or about with them."""
        memory = membuf.Memory(100)
        ended = threading.Event()
        request = Request(target)
        request.format_read(memory)
        request.send(self.on_complete, context=ended)
        data = os.urandom(self.chance.randrange(1, 150))
        cancel_first = self.chance.random() < 0.5
        if cancel_first:
            request.cancel()
        self.written.extend(data)
        os.write(self.writing, data)
        time.sleep(self.chance.choice((0, 0, 0.0001)))
        if not cancel_first:
            request.cancel()
        assert ended.wait(60)
        assert request.status in {st.STATUS_SUCCESS, st.STATUS_CANCELLED}
        request.delete()
        assert memory.reference_count == 1

    def make_room(self) -> None:
        """Between two requests: what cancelled ones left in the pipe must not fill it."""
        if len(self.written) - len(self.received) > 1 << 15:
            self.received.extend(os.read(self.reading, 1 << 15))

    def read_the_rest(self) -> None:
        os.set_blocking(self.reading, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.received.extend(os.read(self.reading, 1 << 16))

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


def test_cancelled_requests_lose_no_byte_of_a_stream(
    engine: str, seed: int, deadline: float
) -> None:
    """What requests say they read, and what is left in the pipe, is what was written."""
    pipe = Pipe(random.Random(seed))
    with open_target(f"fd:{pipe.reading}", engine=engine) as target:
        while time.monotonic() < deadline:
            pipe.read_and_cancel(target)
            pipe.make_room()
        pipe.read_the_rest()
        statistics = target.statistics()
    pipe.close()
    assert bytes(pipe.received) == bytes(pipe.written)
    assert statistics.reads == sum(pipe.told.values())
    assert statistics.in_flight == 0


def test_cancelled_tasks_never_get_their_memory_back_early(
    tmp_path: Path, engine: str, seed: int, deadline: float
) -> None:
    """A task that goes on after its cancelling finds nothing in flight on its memory."""
    chance = random.Random(seed)
    pages = membuf.LookasideList(BLOCK)

    async def worker(target: FileTarget) -> None:
        while time.monotonic() < deadline:
            memory, block = pages.allocate(), chance.randrange(BLOCKS)
            try:
                await target.read_async(memory, block * BLOCK)
                check(memory, block)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            assert memory.reference_count == 1
            memory.delete()

    async def disturb(tasks: list[asyncio.Task[None]]) -> None:
        while time.monotonic() < deadline:
            chance.choice(tasks).cancel()
            await asyncio.sleep(0)

    async def main(target: FileTarget) -> None:
        tasks = [asyncio.create_task(worker(target)) for _ in range(20)]
        await disturb(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)

    with open_target(f"file:{numbered(tmp_path / 'image')}", engine=engine) as target:
        asyncio.run(main(target))
        assert target.statistics().in_flight == 0
    assert pages.statistics().outstanding == 0


def by_call(target: FileTarget, chance: random.Random) -> None:
    block = chance.randrange(BLOCKS)
    memory = membuf.Memory(BLOCK)
    target.read(memory, block * BLOCK, timeout=chance.choice((None, 5.0)))
    check(memory, block)


def together(target: FileTarget, chance: random.Random) -> None:
    blocks = [chance.randrange(BLOCKS) for _ in range(chance.randrange(20))]
    memories = [membuf.Memory(BLOCK) for _ in blocks]
    target.read_many([(m, b * BLOCK) for m, b in zip(memories, blocks, strict=True)])
    for memory, block in zip(memories, blocks, strict=True):
        check(memory, block)


def by_request(target: FileTarget, chance: random.Random) -> None:
    block = chance.randrange(BLOCKS)
    told = threading.Event()
    request = Request(target)
    request.format_read(membuf.Memory(BLOCK), block * BLOCK)
    request.send(lambda *_: told.set(), timeout=chance.choice((None, 5.0)))
    if chance.random() < 0.3:
        request.cancel()
    assert told.wait(60)
    if request.status == st.STATUS_SUCCESS:
        check(request.completion.memory, block)
    else:
        assert request.status in {st.STATUS_CANCELLED, st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT}


def on_a_loop(target: FileTarget, chance: random.Random) -> None:
    async def some() -> None:
        blocks = [chance.randrange(BLOCKS) for _ in range(20)]
        memories = [membuf.Memory(BLOCK) for _ in blocks]
        counts = await asyncio.gather(
            *(target.read_async(m, b * BLOCK) for m, b in zip(memories, blocks, strict=True)),
            return_exceptions=True,
        )
        for memory, block, count in zip(memories, blocks, counts, strict=True):
            if count == BLOCK:
                check(memory, block)
            else:
                assert isinstance(count, membuf.MembufError), count

    asyncio.run(some())


def change(target: FileTarget, chance: random.Random) -> None:
    chance.choice((target.stop, target.purge, target.start))()
    time.sleep(0.001)
    target.start()
    time.sleep(0.001)


def is_refusal(error: BaseException) -> bool:
    """Whether it says that a purge came before, or that all it groups were refused."""
    if isinstance(error, ExceptionGroup):
        return all(map(is_refusal, error.exceptions))
    return getattr(error, "status", None) in {
        st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT,
        st.STATUS_CANCELLED,
        st.STATUS_INVALID_DEVICE_STATE,
    }


def test_everything_at_once_on_one_target(
    tmp_path: Path, engine: str, seed: int, deadline: float
) -> None:
    """Threads that read in every way beside one that stops, purges and starts the target."""
    deeds = (by_call, together, by_request, on_a_loop, change)
    ended: Counter[str] = Counter()
    target = open_target(f"file:{numbered(tmp_path / 'image')}", engine=engine)

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        while time.monotonic() < deadline:
            try:
                deeds[number](target, chance)
                ended["well"] += 1
            except (membuf.MembufError, ExceptionGroup) as error:
                if not is_refusal(error):
                    raise

    run_threads(work, len(deeds))
    assert ended["well"] > 0
    assert target.statistics().in_flight == 0
    target.close()


def test_closing_while_everybody_sends(
    tmp_path: Path, engine: str, seed: int, deadline: float
) -> None:
    """A close comes back, whatever is being sent; afterwards the descriptor is really gone."""
    path = numbered(tmp_path / "image")
    while time.monotonic() < deadline:
        target = open_target(f"file:{path}", engine=engine)
        fd = target.fileno()

        def send(number: int, target: FileTarget = target) -> None:
            if number == 0:
                time.sleep(random.Random(seed).random() * 0.003)
                target.close()
                return
            with contextlib.suppress(membuf.InvalidDeviceStateError, membuf.RequestCancelledError):
                while True:
                    memory = membuf.Memory(BLOCK)
                    if number == 1:
                        target.read(memory, BLOCK)
                    elif number == 2:
                        target.read_nowait(memory, BLOCK, lambda *_: None)
                    else:
                        with contextlib.suppress(ExceptionGroup):
                            target.read_many([(memory, BLOCK)] * 9)

        run_threads(send, 4)
        assert target.statistics().in_flight == 0
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_requests_are_sent_once_though_many_threads_send(engine: str, deadline: float) -> None:
    with open_target("file:/dev/zero", access="read", engine=engine) as target:
        while time.monotonic() < deadline:
            told: list[Any] = []
            memory = membuf.Memory(16)
            request = Request(target)
            request.format_read(memory)
            sent: list[int] = []

            def send(
                number: int, request: Request = request, told: Any = told, sent: Any = sent
            ) -> None:
                with contextlib.suppress(membuf.InvalidDeviceStateError):
                    request.send(lambda *_: told.append(1))
                    sent.append(number)

            run_threads(send)
            wait_for(lambda request=request: request.reference_count == 1)
            assert (len(sent), len(told)) == (1, 1)
            request.reuse()
            assert memory.reference_count == 1

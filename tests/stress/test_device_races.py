"""Requests of one device from many threads: every end told once, whoever wins the race to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest

import membuf
import membuf.verifier
from membuf.base import status as st
from tests.receiving import Lab
from tests.stress.test_threads import run_threads

CAN, IDS = st.STATUS_CANCELLED, st.STATUS_INVALID_DEVICE_STATE
ROUNDS = 300


class Arena:
    """A device whose requests pass through a handler, a worker's hands and a manual queue."""

    def __init__(self, dispatch: Any) -> None:
        self.device = membuf.Device("arena")
        self.first = self.device.queue("first", dispatch=dispatch)
        self.second = self.device.queue("second", dispatch="manual")
        self.ends: Counter[int] = Counter()
        self.cancels: Counter[int] = Counter()
        self.kept: list[Any] = []
        self.device.on_write(self.handle)
        self.handles = [self.device.open() for _ in range(4)]

    def handle(self, request: Any) -> None:
        """One of the things that drivers do."""
        choice = request.offset % 4
        if choice == 0:
            request.complete(information=request.length)
        elif choice == 1:
            request.forward(self.second)
        elif choice == 2 and request.try_mark_cancelable(self.cancelled):
            self.kept.append(request)
        else:
            self.kept.append(request)

    def cancelled(self, request: Any) -> None:
        self.cancels[request.offset] += 1
        request.complete(CAN)

    def work(self) -> None:
        """Complete what is at hand; a marked one only where its callback will not run."""
        with contextlib.suppress(IndexError):
            request = self.kept.pop()
            with contextlib.suppress(membuf.RequestCancelledError):
                if request.offset % 4 == 2:
                    try:
                        request.unmark_cancelable()
                    except membuf.InvalidDeviceStateError:
                        if request.completed:
                            return
                request.complete(information=request.length)
        request = self.second.retrieve_next()
        if request is not None:
            if request.offset % 3:
                request.complete(information=request.length)
            else:
                request.requeue()

    def submit(self, number: int, chance: random.Random) -> list[Any]:
        """Requests of a thread, some cancelled at once."""
        pending = []
        for n in range(ROUNDS):
            offset = number * ROUNDS + n
            one = self.handles[number].start_write(b"data", offset)
            one.tell(lambda offset=offset: self.ends.update([offset]))
            pending.append(one)
            if chance.random() < 0.4:
                chance.choice(pending).cancel()
            if chance.random() < 0.6:
                self.work()
        return pending


@pytest.mark.parametrize("dispatch", ["sequential", "parallel"])
def test_every_request_ends_once(dispatch: Any) -> None:
    arena, everything = Arena(dispatch), [list[Any]() for _ in range(4)]

    def work(number: int) -> None:
        everything[number] = arena.submit(number, random.Random(number))

    threads_running(work)
    deadline = time.monotonic() + 60
    pending = [one for part in everything for one in part]
    while not all(one.done for one in pending):
        assert time.monotonic() < deadline, arena.first.state
        for one in pending[::7]:
            one.cancel()
        arena.work()
        arena.work()
        while arena.second.waiting:
            request = arena.second.retrieve_next()
            if request is not None:
                request.complete(information=request.length)
    assert set(arena.ends.values()) == {1}
    assert len(arena.ends) == len(pending)
    assert max(arena.cancels.values(), default=1) == 1
    assert {one.status for one in pending} <= {0, CAN}
    assert (arena.first.owned, arena.first.waiting, arena.second.owned) == (0, 0, 0)


def threads_running(work: Any) -> None:
    run_threads(work, 4)


def test_a_sequential_queue_presents_one_at_a_time_whoever_submits() -> None:
    device, inside, most = membuf.Device("one"), [0], [0]
    device.queue("q", dispatch="sequential")
    seen: list[int] = []

    @device.on_write
    def write(request: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        seen.append(request.offset)
        if request.offset % 50 == 0:
            time.sleep(0.0001)
        inside[0] -= 1
        request.complete(information=1)

    def work(number: int) -> None:
        with device.open() as handle:
            pending = [handle.start_write(b"x", number * 1000 + n) for n in range(400)]
            assert {one.wait(30) for one in pending} == {(0, 1)}

    threads_running(work)
    assert most == [1]
    for number in range(4):
        mine = [offset for offset in seen if offset // 1000 == number]
        assert mine == sorted(mine)


class Marking:
    """A device that marks every request, and a thread that takes them back and completes them."""

    def __init__(self) -> None:
        self.device = membuf.Device("states")
        self.queue = self.device.queue("q", dispatch="parallel", maximum=8)
        self.device.on_write(self.mark)
        self.kept: list[Any] = []
        self.over = threading.Event()

    def mark(self, request: Any) -> None:
        if request.try_mark_cancelable(lambda request: request.complete(CAN)):
            self.kept.append(request)
        else:
            request.complete(CAN)

    def end_some(self) -> None:
        while not self.over.is_set() or self.kept:
            with contextlib.suppress(IndexError, membuf.MembufError):
                request = self.kept.pop()
                request.unmark_cancelable()
                request.complete(information=1)

    def turn(self, operation: str) -> None:
        """Stop and start, as often as it takes to meet every state of a request."""
        for _ in range(40):
            told = threading.Event()
            getattr(self.queue, operation)(lambda _, told=told: told.set())
            assert told.wait(60)
            self.queue.start()


@pytest.mark.parametrize("operation", ["purge", "stop_and_purge", "drain", "stop"])
def test_states_change_under_traffic(operation: str) -> None:
    marking, ends = Marking(), Counter[int]()

    def submit(number: int) -> None:
        with marking.device.open() as handle:
            pending = [handle.start_write(b"x") for _ in range(500)]
            ends.update(one.wait(60)[0] for one in pending)

    worker = threading.Thread(target=marking.end_some)
    turner = threading.Thread(target=marking.turn, args=(operation,))
    worker.start()
    turner.start()
    run_threads(submit, 3)
    turner.join()
    marking.over.set()
    worker.join()
    assert sum(ends.values()) == 1500
    assert set(ends) <= {0, CAN, IDS}
    assert marking.queue.idle


def test_tasks_and_threads_use_one_device() -> None:
    async def scenario() -> None:
        device = membuf.Device("both")

        @device.on_read
        async def read(request: Any) -> None:
            await asyncio.sleep(0)
            request.output_buffer()[:] = bytes([request.offset]) * request.length
            request.complete(information=request.length)

        handle = device.open()

        async def task(number: int) -> None:
            for _ in range(50):
                assert await handle.read_async(8, number) == bytes([number]) * 8

        def thread(number: int) -> None:
            for _ in range(50):
                assert handle.read(8, number) == bytes([number]) * 8

        await asyncio.gather(
            *(task(n) for n in range(10)),
            *(asyncio.to_thread(thread, n) for n in range(10, 14)),
        )

    asyncio.run(scenario())


def test_views_never_show_another_requests_bytes() -> None:
    lab, wrong = Lab(), []

    def work(number: int) -> None:
        chance = random.Random(number)
        kept: list[tuple[memoryview, bytes]] = []
        device = membuf.Device(f"views {number}")
        handed: list[memoryview] = []

        @device.on_write
        def write(request: Any) -> None:
            handed.append(request.input_buffer())
            request.complete(information=request.length)

        with device.open() as handle:
            for n in range(300):
                data = bytes([n % 256]) * chance.choice((8, 600, 5000))
                handle.write(data)
                kept.append((handed.pop(), data))
                if len(kept) > 20:
                    kept.pop(chance.randrange(20))
                wrong.extend(n for view, expected in kept if bytes(view) != expected)

    threads_running(work)
    assert wrong == []
    assert lab.queue.idle


def test_all_threads_retrieve_one_memory() -> None:
    lab = Lab()
    for _ in range(200):
        request, pending, _ = lab.read(64)
        got: list[Any] = []

        def retrieve(_number: int, request: Any = request, got: list[Any] = got) -> None:
            got.extend([request.output_memory(), request.output_memory()])

        threads_running(retrieve)
        assert len({id(memory) for memory in got}) == len(request.children) == 1
        request.complete()
        assert pending.done


def test_every_allocation_of_a_request_may_fail() -> None:
    device = membuf.Device("faults")

    @device.on_write
    def write(request: Any) -> None:
        request.input_memory()
        request.complete(information=request.length)

    with membuf.Domain(), device.open() as handle:
        membuf.verifier.sweep(lambda: handle.write(bytes(4096)))
        assert handle.write(bytes(4096)) == 4096
    assert device.statistics().queues[0].owned == 0

"""The states of a target: what each does with what is sent, and what changing them waits for."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import FileTarget, open_target
from membuf.request import Request
from membuf.target import StopAction, TargetState
from tests.engines import ENGINES

PROMPT_SECONDS = 5.0
"""What must not wait for anything takes less than this on the slowest machine."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def target(tmp_path: Path, engine: str) -> Iterator[FileTarget]:
    (tmp_path / "image").write_bytes(bytes(range(256)))
    with open_target(f"file:{tmp_path / 'image'}", engine=engine) as target:
        yield target


class Silent:
    """A pipe whose reads wait until something is sent."""

    def __init__(self, engine: str) -> None:
        self.reading, self.writing = os.pipe()
        self.target = open_target(f"fd:{self.reading}", engine=engine)
        self.told: list[Any] = []

    def send(self, data: bytes) -> None:
        os.write(self.writing, data)

    def read_by_request(self, **options: Any) -> Request:
        """A read in flight, whose end is appended to `told`."""
        request = Request(self.target)
        request.format_read(membuf.Memory(10))
        request.send(lambda _r, _t, params, _c: self.told.append(params), **options)
        return request

    def close(self) -> None:
        self.target.delete()
        self.told.clear()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def silent(engine: str) -> Iterator[Silent]:
    pipe = Silent(engine)
    yield pipe
    pipe.close()


def in_thread(function: Any) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


# ---- Started, Stopped ---------------------------------------------------------------------------


def test_an_opened_target_is_started(target: FileTarget) -> None:
    assert target.state is TargetState.STARTED
    target.start()
    assert target.state is TargetState.STARTED


def test_a_stopped_target_queues_and_start_sends_in_order(target: FileTarget) -> None:
    target.stop()
    assert target.state is TargetState.STOPPED
    order: list[int] = []
    ended = threading.Semaphore(0)
    requests = []
    for i in range(3):
        request = Request(target)
        request.format_write(bytes([i]), 0)
        request.send(lambda *told: (order.append(told[3]), ended.release()), context=i)
        requests.append(request)
    assert all(request.in_flight for request in requests)
    assert target.statistics().waiting == 3
    assert target.statistics().writes == 0
    target.start()
    for _ in range(3):
        assert ended.acquire(timeout=30)
    assert sorted(order) == [0, 1, 2]
    assert target.statistics().waiting == 0
    assert {request.status for request in requests} == {st.STATUS_SUCCESS}


def test_what_waits_in_a_stopped_pipe_is_sent_in_order(silent: Silent) -> None:
    silent.target.stop()
    requests = [silent.read_by_request() for _ in range(3)]
    silent.send(b"0123456789" * 3)
    silent.target.start()
    while len(silent.told) < 3:
        time.sleep(0.001)
    assert [request.information for request in requests] == [10, 10, 10]


def test_synchronous_calls_wait_for_the_start(target: FileTarget) -> None:
    target.stop()
    counts: list[Any] = []
    threads = [
        in_thread(lambda: counts.append(target.read(bytearray(3), 0))),
        in_thread(lambda: counts.append(target.write(b"ab", 0))),
        in_thread(lambda: counts.append(target.read_many([(bytearray(4), 0)]))),
        in_thread(lambda: counts.append(target.flush())),
        in_thread(lambda: counts.append(target.read(bytearray(5), 0, timeout=60))),
    ]
    time.sleep(0.05)
    assert counts == []
    target.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, counts)) == ["2", "3", "5", "None", "[4]"]


def test_a_timeout_ends_the_wait_in_a_stopped_target(target: FileTarget) -> None:
    target.stop()
    with pytest.raises(membuf.IoTimeoutError) as caught:
        target.read(bytearray(3), 0, timeout=0.02)
    assert caught.value.status == st.STATUS_IO_TIMEOUT
    request = Request(target)
    request.format_read(bytearray(3), 0)
    request.send(timeout=0.02, synchronous=True)
    assert request.status == st.STATUS_IO_TIMEOUT
    statistics = target.statistics()
    assert (statistics.waiting, statistics.reads) == (0, 2)


def test_what_waits_can_be_cancelled(target: FileTarget) -> None:
    target.stop()
    told: list[Any] = []
    request = Request(target)
    request.format_read(bytearray(3), 0)
    request.send(lambda _r, _t, params, _c: told.append(params))
    assert request.cancel() is True
    while not told:
        time.sleep(0.001)
    assert (told[0].status, told[0].information) == (st.STATUS_CANCELLED, 0)
    target.start()


def test_ignoring_the_state_delivers_to_a_stopped_and_a_purged_target(target: FileTarget) -> None:
    for leave in (target.stop, target.purge):
        leave()
        request = Request(target)
        request.format_write(b"x", 0)
        request.send(synchronous=True, ignore_target_state=True)
        assert request.result() == 1


@pytest.mark.parametrize("action", [StopAction.CANCEL, StopAction.WAIT, StopAction.LEAVE])
def test_stop_and_what_is_in_flight(silent: Silent, action: StopAction) -> None:
    silent.read_by_request()
    stopping = in_thread(lambda: silent.target.stop(action))
    if action is StopAction.CANCEL:
        stopping.join(30)
        assert silent.told[0].status == st.STATUS_CANCELLED
    elif action is StopAction.WAIT:
        stopping.join(0.05)
        assert stopping.is_alive()
        silent.send(b"data")
        stopping.join(30)
        assert (silent.told[0].status, silent.told[0].information) == (st.STATUS_SUCCESS, 4)
    else:
        stopping.join(30)
        assert silent.told == []
        silent.send(b"data")
    assert not stopping.is_alive()
    assert silent.target.state is TargetState.STOPPED


def test_stop_leaves_alone_what_ignores_the_state(silent: Silent) -> None:
    request = silent.read_by_request(ignore_target_state=True)
    silent.target.stop()
    assert silent.target.state is TargetState.STOPPED
    assert request.in_flight
    silent.target.close()
    assert silent.told[0].status == st.STATUS_CANCELLED


# ---- Purged -------------------------------------------------------------------------------------


def test_purge_ends_what_waits_with_a_status_of_its_own(target: FileTarget) -> None:
    target.stop()
    told: list[Any] = []
    request = Request(target)
    request.format_read(bytearray(3), 0)
    request.send(lambda _r, _t, params, _c: told.append(params))
    target.purge()
    while not told:
        time.sleep(0.001)
    assert told[0].status == st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT
    assert told[0].information == 0
    assert target.state is TargetState.PURGED


def test_a_purged_target_refuses_and_can_be_started(target: FileTarget) -> None:
    target.purge()
    memory = membuf.Memory(4)
    for attempt in (
        lambda: target.read(memory, 0),
        lambda: target.read(memory, 0, timeout=1),
        lambda: target.read_many([(memory, 0)]),
        target.flush,
        lambda: asyncio.run(read_async(target, memory)),
    ):
        with pytest.raises(membuf.InvalidDeviceStateError) as caught:
            attempt()
        assert caught.value.status == st.STATUS_INVALID_DEVICE_STATE
    assert memory.reference_count == 1
    target.start()
    assert target.read(memory, 0) == 4


async def read_async(target: FileTarget, memory: Any, **options: Any) -> int:
    return await target.read_async(memory, **options)


def test_purge_cancels_what_is_in_flight_and_waits(silent: Silent) -> None:
    silent.read_by_request()
    errors: list[Exception] = []

    def read() -> None:
        try:
            silent.target.read(membuf.Memory(10))
        except membuf.RequestCancelledError as error:
            errors.append(error)

    reading = in_thread(read)
    while silent.target.statistics().in_flight < 2:
        time.sleep(0.001)
    silent.target.purge()
    assert silent.target.statistics().in_flight == 0
    assert silent.told[0].status == st.STATUS_CANCELLED
    reading.join(30)
    assert len(errors) == 1


# ---- Closed, deleted ----------------------------------------------------------------------------


def test_a_closed_target_refuses_everything(target: FileTarget) -> None:
    fd = target.fileno()
    target.close()
    assert target.state is TargetState.CLOSED
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    request_memory = membuf.Memory(4)
    for attempt in (
        lambda: target.read(request_memory, 0),
        lambda: target.read_many([(request_memory, 0)]),
        target.flush,
        target.fileno,
        target.start,
        target.stop,
        target.purge,
        lambda: target.size,
        lambda: Request(target),
        lambda: asyncio.run(read_async(target, request_memory)),
    ):
        with pytest.raises(membuf.InvalidDeviceStateError):
            attempt()
    target.close()
    target.delete()
    assert target.state is TargetState.DELETED
    with pytest.raises(membuf.ObjectDeletedError):
        target.read(request_memory, 0)


def test_a_request_formatted_before_the_close_is_refused_even_ignoring_the_state(
    target: FileTarget,
) -> None:
    request = Request(target)
    request.format_write(b"x", 0)
    target.close()
    for ignore in (False, True):
        with pytest.raises(membuf.InvalidDeviceStateError):
            request.send(ignore_target_state=ignore)
    assert request.status == st.STATUS_INVALID_DEVICE_STATE


def in_use() -> tuple[list[str], set[threading.Thread]]:
    """The descriptors and the threads of this process."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir()), set(threading.enumerate())


def test_what_a_closed_target_is_sent_starts_nothing(target: FileTarget) -> None:
    """No thread and no descriptor that nobody would end, however often it is tried."""

    def try_all(request: Request) -> None:
        for send in (
            request.send,
            lambda: target.read_nowait(bytearray(1), 0, print),
            lambda: target.write_nowait(b"x", 0, print),
            lambda: target.read_many([(bytearray(1), 0)] * 3),
        ):
            with pytest.raises(membuf.InvalidDeviceStateError):
                send()

    async def try_on_a_loop(request: Request) -> None:
        before = in_use()
        try_all(request)
        for send in (target.read_async, target.write_async):
            with pytest.raises(membuf.InvalidDeviceStateError):
                await send(bytearray(1))
        assert in_use() == before

    requests = [Request(target) for _ in range(2)]
    for request in requests:
        request.format_read(bytearray(1), 0)
    target.close()
    before = in_use()
    try_all(requests[0])
    asyncio.run(try_on_a_loop(requests[1]))
    assert in_use() == before


@pytest.mark.parametrize("way", ["close", "delete", "parent"])
def test_closing_ends_what_is_in_flight_first(engine: str, way: str) -> None:
    reading, writing = os.pipe()
    parent = membuf.Object()
    target = open_target(f"fd:{reading}", engine=engine, parent=parent)
    events: list[str] = []
    request = Request(target)
    memory = membuf.Memory(10)
    request.format_read(memory)
    request.send(lambda _r, _t, params, _c: events.append(params.status.name))
    {"close": target.close, "delete": target.delete, "parent": parent.delete}[way]()
    assert events == ["STATUS_CANCELLED"]
    request.delete()
    assert memory.reference_count == 1
    os.close(reading)
    os.close(writing)


def test_dropping_a_target_closes_it(tmp_path: Path, engine: str) -> None:
    (tmp_path / "image").write_bytes(b"x")
    target = open_target(f"file:{tmp_path / 'image'}", engine=engine)
    target.read_many([(bytearray(1), 0)])
    fd = target.fileno()
    del target
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_callback_may_close_its_own_target(silent: Silent) -> None:
    closed = threading.Event()
    fd = silent.target.fileno()
    request = Request(silent.target)
    request.format_read(membuf.Memory(10))
    request.send(lambda *_: (silent.target.close(), closed.set()))
    silent.send(b"x")
    assert closed.wait(30)
    assert silent.target.state is TargetState.CLOSED
    deadline = time.monotonic() + PROMPT_SECONDS
    while True:
        try:
            os.fstat(fd)
        except OSError:
            break
        assert time.monotonic() < deadline
        time.sleep(0.001)


# ---- asyncio ------------------------------------------------------------------------------------


def test_a_cancelled_await_returns_when_the_transfer_has_ended(silent: Silent) -> None:
    memory = membuf.Memory(10)

    async def cancel_it() -> None:
        task = asyncio.ensure_future(read_async(silent.target, memory, offset=None))
        await asyncio.sleep(0.02)
        assert memory.reference_count == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert memory.reference_count == 1
        assert silent.target.statistics().in_flight == 0

    asyncio.run(cancel_it())
    assert silent.target.statistics().cancelled == 1


@pytest.mark.parametrize("wait", ["wait_for", "timeout", "own"])
def test_timeouts_of_asyncio_and_our_own(silent: Silent, wait: str) -> None:
    memory = membuf.Memory(10)

    async def run_out_of_time() -> None:
        if wait == "wait_for":
            await asyncio.wait_for(silent.target.read_async(memory), 0.02)
        elif wait == "timeout":
            async with asyncio.timeout(0.02):
                await silent.target.read_async(memory)
        else:
            await silent.target.read_async(memory, timeout=0.02)

    with pytest.raises(TimeoutError):
        asyncio.run(run_out_of_time())
    assert memory.reference_count == 1


def test_awaits_in_a_stopped_target(target: FileTarget) -> None:
    async def stop_and_go() -> None:
        target.stop()
        waiting = [target.read_async(bytearray(4), 4 * i) for i in range(20)]
        victim = target.read_async(bytearray(4), 0)
        victim.cancel()
        await asyncio.sleep(0.01)
        assert victim.cancelled()
        assert not any(future.done() for future in waiting)
        target.start()
        assert await asyncio.gather(*waiting) == [4] * 20

    asyncio.run(stop_and_go())


def test_purge_and_close_from_the_loop_end_its_awaits(silent: Silent) -> None:
    async def close_here() -> None:
        future = silent.target.read_async(membuf.Memory(10))
        await asyncio.sleep(0.01)
        silent.target.close()
        with pytest.raises(membuf.RequestCancelledError):
            await future

    asyncio.run(close_here())


def test_close_from_another_thread_ends_the_awaits_of_a_running_loop(silent: Silent) -> None:
    async def be_closed() -> None:
        future = silent.target.read_async(membuf.Memory(10))
        closing = asyncio.get_running_loop().run_in_executor(None, silent.target.close)
        with pytest.raises(membuf.RequestCancelledError):
            await future
        await closing

    asyncio.run(be_closed())


def test_a_loop_that_ended_with_transfers_in_flight_holds_nothing_up(silent: Silent) -> None:
    memory = membuf.Memory(10)
    loop = asyncio.new_event_loop()

    async def leave_it() -> None:
        silent.target.read_async(memory)

    loop.run_until_complete(leave_it())
    loop.close()
    assert memory.reference_count == 2
    silent.target.close()
    assert memory.reference_count == 1


def test_many_loops_one_after_the_other(target: FileTarget) -> None:
    before = descriptors()
    for _ in range(20):
        assert asyncio.run(read_async(target, bytearray(4))) == 4
    assert descriptors() <= before + 4


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_error_of_a_transfer_nobody_awaits_reaches_the_loop(
    tmp_path: Path, engine: str
) -> None:
    (tmp_path / "image").write_bytes(b"x")
    reports: list[dict[str, Any]] = []

    async def forget() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        target.write_async(b"lost", 0)
        await asyncio.sleep(0.05)

    with open_target(f"file:{tmp_path / 'image'}", access="read", engine=engine) as target:
        asyncio.run(forget())
    assert isinstance(reports[0]["exception"], OSError)
    assert "never awaited" in reports[0]["message"]


@pytest.mark.parametrize("way", ["read", "timed", "request"])
def test_a_signal_ends_a_synchronous_wait_and_nothing_stays_in_flight(
    silent: Silent, way: str
) -> None:
    memory = membuf.Memory(10)
    request = Request(silent.target)
    request.format_read(memory)
    attempts: dict[str, Any] = {
        "read": lambda: silent.target.read(memory),
        "timed": lambda: silent.target.read(memory, timeout=60),
        "request": lambda: request.send(synchronous=True, timeout=60),
    }

    def interrupt() -> None:
        while not silent.target.statistics().in_flight:
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        attempts[way]()
    interrupting.join(30)
    assert silent.target.statistics().in_flight == 0
    request.reuse()
    assert memory.reference_count == 1
    assert request.reference_count == 1

"""What goes wrong outside: full devices, closed ends, threads that die or cannot be started."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus import open_target
from membuf.request import Request
from membuf.target import threads
from tests.engines import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def image(tmp_path: Path) -> str:
    (tmp_path / "image").write_bytes(bytes(range(256)) * 64)
    return f"file:{tmp_path / 'image'}"


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def eventually(condition: Callable[[], Any]) -> None:
    for _ in range(10000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


def send(target: Any, kind: str, memory: Any, **options: Any) -> threading.Event:
    """Send a request; the event is set once it has ended."""
    ended = threading.Event()
    request = Request(target)
    getattr(request, f"format_{kind}")(memory)
    request.send(lambda request, *_: (setattr(ended, "request", request), ended.set()), **options)
    return ended


# ---- the other end ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["call", "async"])
def test_a_full_device(engine: str, way: str) -> None:
    async def write_async(target: Any) -> int:
        return await target.write_async(b"x" * 5000)

    with open_target("file:/dev/full", access="write", engine=engine) as target:
        with pytest.raises(OSError, match=r"write of 5000 bytes .*No space left") as caught:
            if way == "call":
                target.write(b"x" * 5000)
            else:
                asyncio.run(write_async(target))
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.status == membuf.base.status.STATUS_DISK_FULL
        assert caught.value.done == 0


def test_a_pipe_that_nobody_reads(engine: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open_target(f"fd:{writing}", engine=engine) as target:
        os.close(writing)
        with pytest.raises(BrokenPipeError):
            target.write(b"x")
        ended = send(target, "write", b"x")
        assert ended.wait(30)
        with pytest.raises(BrokenPipeError):
            ended.request.result()  # type: ignore[attr-defined]


def test_the_end_of_a_pipe(engine: str) -> None:
    reading, writing = os.pipe()
    with open_target(f"fd:{reading}", engine=engine) as target:
        os.write(writing, b"last")
        os.close(writing)
        os.close(reading)
        memory = membuf.Memory(10)
        assert [target.read(memory), target.read(memory)] == [4, 0]
        ended = send(target, "read", memory)
        assert ended.wait(30)
        assert ended.request.result() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["call", "request"])
def test_a_large_write_to_a_slow_reader_arrives_whole(
    engine: str, pipe: tuple[int, int], way: str
) -> None:
    data = os.urandom(1 << 20)
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data):
            received.extend(os.read(pipe[0], 30000))

    reader = threading.Thread(target=drain)
    reader.start()
    with open_target(f"fd:{pipe[1]}", engine=engine) as target:
        if way == "call":
            assert target.write(data) == len(data)
        else:
            ended = send(target, "write", data)
            assert ended.wait(30)
            assert ended.request.result() == len(data)  # type: ignore[attr-defined]
    reader.join(30)
    assert received == data


@pytest.mark.parametrize("way", ["call", "request"])
def test_descriptors_that_do_not_block_are_waited_for(
    engine: str, pipe: tuple[int, int], way: str
) -> None:
    for end in pipe:
        os.set_blocking(end, False)
    memory = membuf.Memory(10)
    with open_target(f"fd:{pipe[0]}", engine=engine) as target:
        timer = threading.Timer(0.05, os.write, (pipe[1], b"late"))
        timer.start()
        if way == "call":
            assert target.read(memory) == 4
        else:
            ended = send(target, "read", memory)
            assert ended.wait(30)
            assert ended.request.result() == 4  # type: ignore[attr-defined]
        timer.join()
        late = send(target, "read", memory)
        until(lambda: target.statistics().in_flight)
        target.purge()
        assert late.wait(30)
        assert late.request.status == membuf.base.status.STATUS_CANCELLED  # type: ignore[attr-defined]
    assert memory.reference_count == 2 + (way == "request")


def test_a_blocked_write_can_be_purged(engine: str, pipe: tuple[int, int]) -> None:
    with open_target(f"fd:{pipe[1]}", engine=engine) as target:
        errors: list[Any] = []

        def write() -> None:
            try:
                target.write(bytes(1 << 20))
            except membuf.RequestCancelledError as error:
                errors.append(error)

        blocked = threading.Thread(target=write)
        blocked.start()
        ended = send(target, "write", bytes(1 << 20))
        time.sleep(0.05)
        target.purge()
        blocked.join(30)
        assert ended.wait(30)
        assert ended.request.status == membuf.base.status.STATUS_CANCELLED  # type: ignore[attr-defined]
        written = errors[0].done + ended.request.information  # type: ignore[attr-defined]
    os.set_blocking(pipe[0], False)
    assert len(os.read(pipe[0], 1 << 21)) == written


def test_a_file_opened_to_append_is_a_stream(tmp_path: Path, engine: str) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with open_target(f"fd:{fd}", engine=engine) as target:
        assert target.stream
        with pytest.raises(membuf.InvalidParameterError):
            target.write(b"x", 1)
        for i in range(50):
            assert target.write(bytes([i]) * 3000) == 3000
    os.close(fd)
    assert (tmp_path / "log").read_bytes() == b"".join(bytes([i]) * 3000 for i in range(50))


@pytest.mark.parametrize("way", ["call", "async", "many"])
def test_a_descriptor_that_became_another_file(image: str, engine: str, way: str) -> None:
    async def read(target: Any) -> int:
        return await target.read_async(bytearray(4))

    with open_target(image, engine=engine) as target, Path("/dev/null").open("wb") as sink:
        os.dup2(sink.fileno(), target.fileno())
        with pytest.raises((OSError, ExceptionGroup)):
            if way == "call":
                target.read(bytearray(4))
            elif way == "async":
                asyncio.run(read(target))
            else:
                target.read_many([(bytearray(4), 0)] * 3)
        assert target.statistics().errors == (3 if way == "many" else 1)


def test_an_error_of_the_close_is_told(image: str, engine: str) -> None:
    target = open_target(image, engine=engine)
    os.close(target.fileno())
    with pytest.raises(OSError, match="closed with an error"):
        target.close()
    target.delete()


# ---- the engine's own threads -------------------------------------------------------------------


class Planted(BaseException):
    """Raised into a thread from outside."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_raised_into_the_engines_threads_stops_nothing(
    engine: str, pipe: tuple[int, int], image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))
    names = {"threads": "membuf-io", "io_uring": "membuf-ring"}
    with open_target(f"fd:{pipe[0]}", engine=engine) as silent:
        memory = membuf.Memory(10)
        ended = send(silent, "read", memory)
        time.sleep(0.1)  # the thread has gone to wait
        own = [t for t in threading.enumerate() if t.name == names[engine]]
        for thread in own:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(Planted)
            )
        os.write(pipe[1], b"data")
        assert ended.wait(30)
        again = send(silent, "read", memory)
        os.write(pipe[1], b"more data")
        assert again.wait(30)
        assert again.request.result() > 0  # type: ignore[attr-defined]
    assert seen == [Planted] * len(own)


def test_where_no_thread_can_be_started_nothing_is_in_flight(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with open_target(image, engine="threads") as target:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        memory = membuf.Memory(10)
        request = Request(target)
        request.format_read(memory)
        with pytest.raises(membuf.InsufficientResourcesError, match="can't start new thread"):
            request.send()
        assert not request.in_flight
        assert target.statistics().in_flight == 0
        assert target.read(memory) == 10
        assert target.read_many([(memory, 0)] * 5) == [10] * 5
        monkeypatch.undo()
        request.send(synchronous=True)
        assert request.result() == 10


def test_the_pool_has_a_limit_and_ends_with_its_engine(image: str) -> None:
    with open_target(image, engine="threads") as target:
        assert target.read_many([(bytearray(16), 0)] * 500) == [16] * 500
        mine = [t for t in threading.enumerate() if t.name == "membuf-io"]
        assert 0 < len(mine) <= threads.MAXIMUM_THREADS
    assert not [t for t in mine if t.is_alive()]


def test_a_callback_may_make_synchronous_calls(image: str, engine: str) -> None:
    results: list[Any] = []
    with open_target(image, engine=engine) as target:
        ended = threading.Event()

        def on_complete(*_: Any) -> None:
            results.append(target.read(bytearray(4), 0))
            results.append(target.read(bytearray(5), 0, timeout=30))
            results.append(target.read_many([(bytearray(6), 0)]))
            request = Request(target)
            request.format_read(bytearray(7))
            request.send(synchronous=True, timeout=30)
            results.append(request.result())
            ended.set()

        target.read_nowait(bytearray(3), 0, on_complete)
        assert ended.wait(30)
    assert results == [4, 5, [6], 7]


# ---- callbacks ----------------------------------------------------------------------------------


def test_notices_tell_memory_count_and_error(image: str, engine: str) -> None:
    async def both() -> list[Any]:
        told: list[Any] = []
        with open_target(image, access="read", engine=engine) as target:
            memory, data = bytearray(10), b"refused"
            target.read_nowait(memory, 5, lambda *end: told.append(end))
            target.write_nowait(data, 0, lambda *end: told.append(end), memory_length=3)
            await eventually(lambda: len(told) == 2)
            told.sort(key=lambda end: end[1], reverse=True)
            assert told[0] == (memory, 10, None)
            assert told[0][0] is memory
            assert told[1][:2] == (data, 0)
            assert told[1][2].errno == errno.EBADF
            assert memory == bytes(range(5, 15))
        return told

    asyncio.run(both())


def test_notices_wait_in_a_stopped_target_and_are_refused_by_a_purged_one(
    image: str, engine: str
) -> None:
    told: list[Any] = []
    with open_target(image, engine=engine) as target:
        target.stop()
        target.read_nowait(bytearray(3), 0, lambda _m, count, _e: told.append(count))
        assert target.statistics().waiting == 1
        target.start()
        until(lambda: told == [3])
        target.purge()
        memory = membuf.Memory(3)
        with pytest.raises(membuf.InvalidDeviceStateError):
            target.read_nowait(memory, 0, lambda *_: told.append("never"))
        assert memory.reference_count == 1
    assert told == [3]


def test_a_loop_hears_of_errors_in_callbacks(image: str, engine: str) -> None:
    reports: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        with open_target(image, engine=engine) as target:
            target.read_nowait(bytearray(3), 0, lambda *_: 1 / 0)
            await eventually(lambda: reports)

    asyncio.run(main())
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


def test_a_task_that_exits_the_program_does(image: str, engine: str) -> None:
    async def main() -> None:
        with open_target(image, engine=engine) as target:
            await target.read_async(bytearray(3))
            raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 3


def test_two_targets_on_one_loop(image: str, tmp_path: Path, engine: str) -> None:
    async def copy() -> None:
        with (
            open_target(image, engine=engine) as source,
            open_target(f"file:{tmp_path / 'copy'}", create=True, engine=engine) as sink,
        ):

            async def move(offset: int) -> None:
                memory = membuf.Memory(256)
                count = await source.read_async(memory, offset)
                assert await sink.write_async(memory, offset, memory_length=count) == count

            await asyncio.gather(*(move(offset) for offset in range(0, 64 * 256, 256)))

    asyncio.run(copy())
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "image").read_bytes()

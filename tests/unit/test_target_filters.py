"""What each filter does to transfers, alone and in a stack, sent in every way."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import FileTarget, open_target, register_filter
from membuf.request import Request
from membuf.target import Target
from membuf.target.filters import Cow, Delay, Error, Filter, Pause, Send, Stats, Steps, Transfer
from membuf.testing.expecting import Told
from tests.engines import ENGINES
from tests.nbd import eventually

CONTENT = bytes(range(256)) * 64


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def opened(image: Path, engine: str) -> Iterator[Callable[[str], Any]]:
    targets: list[Target] = []

    def open_under(filters: str, **options: Any) -> Target:
        target = open_target(f"{filters}+file:{image}", engine=engine, **options)
        targets.append(target)
        return target

    yield open_under
    for target in targets:
        target.delete()


def synchronously(target: Target, memory: Any, offset: int) -> int:
    return target.read(memory, offset)


def on_a_loop(target: Target, memory: Any, offset: int) -> int:
    async def read() -> int:
        return await target.read_async(memory, offset)

    return asyncio.run(read())


def by_request(target: Target, memory: Any, offset: int) -> int:
    request, told = Request(target), Told()
    request.format_read(memory, offset)
    request.send(told)
    told.one()
    told.forget()
    try:
        return request.result()
    finally:
        request.release()


def in_a_batch(target: Target, memory: Any, offset: int) -> int:
    failed: Any = None
    try:
        return target.read_many([(memory, offset)])[0]
    except ExceptionGroup as group:
        failed = group.exceptions[0]
    raise failed


WAYS = [synchronously, on_a_loop, by_request, in_a_batch]


# ---- the stack ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "filters",
    [
        "delay(time=1ms)",
        "error",
        "log",
        "rate(limit=1GiB)",
        "readonly",
        "stats",
        "checksum(block=512)",
        "cow(block=512)",
        "log+stats+delay(time=0s)+error(rate=0%)+checksum+cow+rate+readonly",
    ],
)
def test_bytes_come_through(opened: Any, filters: str, way: Any) -> None:
    target, memory = opened(filters), membuf.Memory(1000)
    assert way(target, memory, 300) == 1000
    assert bytes(memory) == CONTENT[300:1300]
    assert memory.reference_count == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_the_file_is_a_short_read(opened: Any, way: Any) -> None:
    for filters in ("stats", "cow(block=512)", "checksum(block=512)"):
        memory = membuf.Memory(1000)
        assert way(opened(filters), memory, len(CONTENT) - 100) == 100
        assert bytes(memory)[:100] == CONTENT[-100:]


@pytest.mark.parametrize("way", WAYS)
def test_an_error_below_is_the_error_above(image: Path, engine: str, way: Any) -> None:
    uri = f"log+delay(time=0s)+stats+checksum+file:{image}"
    with open_target(uri, access="write", engine=engine) as target:
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            way(target, membuf.Memory(10), 0)
        assert caught.value.errno == errno.EBADF
        assert target.statistics().errors == 1


def test_closing_closes_everything_below(opened: Any) -> None:
    target = opened("log+cow+stats")
    below = [target.lower, target.lower.lower, target.lower.lower.lower, target.lower._overlay]
    target.close()
    assert {layer.state.name for layer in below} == {"CLOSED"}


def test_a_failed_filter_closes_what_was_opened(image: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(membuf.InvalidParameterError, match="at least 1 byte"):
        open_target(f"checksum(block=0)+file:{image}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_direct_limits_hold_above(image: Path) -> None:
    with open_target(f"stats+file:{image}", direct=True) as target:
        with pytest.raises(membuf.InvalidParameterError, match="direct I/O"):
            target.read(membuf.Memory(100), 1)
        assert target.read(membuf.Memory(4096, alignment=4096), 0) == 4096


def test_a_stream_below_is_a_stream_above(engine: str) -> None:
    reading, writing = os.pipe()
    with open_target(f"log+stats+fd:{reading}", engine=engine) as target:
        os.write(writing, b"through")
        memory = membuf.Memory(100)
        assert target.read(memory) == 7
        with pytest.raises(membuf.InvalidParameterError, match="stream"):
            target.read(memory, 5)
    os.close(reading)
    os.close(writing)


def test_what_lies_below_can_be_stopped_on_its_own(opened: Any) -> None:
    target, memory = opened("stats"), membuf.Memory(8)
    target.lower.stop()
    thread = threading.Timer(0.05, target.lower.start)
    thread.start()
    assert target.read(memory, 0) == 8
    thread.join()
    target.lower.purge()
    with pytest.raises(membuf.InvalidDeviceStateError):
        target.read(memory, 0)


# ---- cancelling and time ------------------------------------------------------------------------


@pytest.mark.parametrize("filters", ["delay(time=1min)", "log+delay(time=1min)+stats"])
def test_a_pause_is_cancelled_at_once(opened: Any, filters: str) -> None:
    target, memory, told = opened(filters), membuf.Memory(8), Told()
    request = Request(target)
    request.format_read(memory, 0)
    request.send(told)
    assert request.cancel()
    assert told.one()[2].status == st.STATUS_CANCELLED
    told.forget()
    request.release()
    assert memory.reference_count == 1


@pytest.mark.parametrize("way", ["synchronous", "request", "loop"])
def test_time_is_up_during_a_pause(opened: Any, way: str) -> None:
    target, memory = opened("stats+delay(time=1min)"), membuf.Memory(8)
    begin = time.monotonic()
    if way == "synchronous":
        with pytest.raises(membuf.IoTimeoutError):
            target.read(memory, 0, timeout=0.03)
    elif way == "request":
        request, told = Request(target), Told()
        request.format_read(memory, 0)
        request.send(told, timeout=0.03)
        assert told.one()[2].status == st.STATUS_IO_TIMEOUT
    else:
        with pytest.raises(membuf.IoTimeoutError):
            asyncio.run(read_with_timeout(target, memory))
    assert 0.02 < time.monotonic() - begin < 20


async def read_with_timeout(target: Target, memory: Any) -> int:
    return await target.read_async(memory, 0, timeout=0.03)


def test_a_stop_ends_pauses(opened: Any) -> None:
    target, told = opened("delay(time=1min)"), Told()
    target.read_nowait(membuf.Memory(8), 0, told)
    target.stop()
    assert isinstance(told.one()[2], membuf.RequestCancelledError)


def test_a_stop_on_the_loop_that_sent_waits_for_pauses(opened: Any) -> None:
    from membuf.target import StopAction

    target = opened("delay(time=50ms)+stats")

    async def stop_while_reading() -> int:
        reading = target.read_async(membuf.Memory(8), 0)
        target.stop(StopAction.WAIT)
        assert reading.done()
        return await reading

    assert asyncio.run(stop_while_reading()) == 8


def test_a_silent_stream_is_cancelled_through_the_stack(engine: str) -> None:
    reading, writing = os.pipe()
    with open_target(f"log+stats+fd:{reading}", engine=engine) as target:
        with pytest.raises(membuf.IoTimeoutError):
            target.read(membuf.Memory(8), timeout=0.03)
        told, request = Told(), Request(target)
        request.format_read(membuf.Memory(8))
        request.send(told)
        request.cancel()
        assert told.one()[2].status == st.STATUS_CANCELLED
    os.close(reading)
    os.close(writing)


# ---- each filter --------------------------------------------------------------------------------


def test_delay_takes_its_time_and_only_where_it_is_told(opened: Any) -> None:
    target = opened("delay(time=400ms,on=write)")
    begin = time.monotonic()
    target.read(membuf.Memory(8), 0)
    assert time.monotonic() - begin < 0.4
    target.write(b"x", 0)
    assert time.monotonic() - begin >= 0.4


def test_error_fails_what_it_is_told_to(opened: Any) -> None:
    target = opened("error(kind=enospc,after=2,on=write)")
    assert [target.write(b"x", i) for i in range(2)] == [1, 1]
    for _ in range(3):
        with pytest.raises(membuf.TargetError) as caught:
            target.write(b"x", 0)
        assert (caught.value.errno, caught.value.status) == (errno.ENOSPC, st.STATUS_DISK_FULL)
    assert target.read(membuf.Memory(8), 0) == 8
    assert target.lower.statistics().writes == 2


def test_error_by_rate_is_the_same_for_the_same_seed(opened: Any) -> None:
    def run() -> str:
        target = opened("error(rate=25%,seed=7)")
        return "".join("x" if fails(target) else "." for _ in range(200))

    pattern = run()
    assert run() == pattern
    assert 20 < pattern.count("x") < 80


def fails(target: Target) -> bool:
    try:
        target.read(bytearray(1), 0)
    except OSError:
        return True
    return False


def test_error_by_trigger(opened: Any) -> None:
    target = opened("error")
    assert not fails(target)
    target.trigger(2)
    assert [fails(target) for _ in range(3)] == [True, True, False]


def test_readonly_refuses_writes_alone(opened: Any) -> None:
    target = opened("readonly")
    with pytest.raises(membuf.TargetError) as caught:
        target.write(b"x", 0)
    assert caught.value.status == st.STATUS_MEDIA_WRITE_PROTECTED
    target.flush()
    assert target.lower.statistics().writes == 0


def test_rate_spreads_transfers(opened: Any) -> None:
    target = opened("rate(limit=100KiB/s)")
    begin = time.monotonic()
    for _ in range(4):
        target.read(bytearray(4096), 0)
    assert time.monotonic() - begin > 0.11


def test_stats_measures_by_kind(opened: Any) -> None:
    target = opened("stats+error(after=2,on=read)")
    target.write(b"abc", 0)
    for _ in range(2):
        target.read(bytearray(10), 0)
    assert fails(target)
    reads, writes = target.figures["read"], target.figures["write"]
    assert (reads.count, reads.errors, reads.bytes) == (3, 1, 20)
    assert (writes.count, writes.bytes) == (1, 3)
    assert 0 < reads.shortest <= reads.mean <= reads.longest
    assert sum(reads.histogram) == 3


def test_log_records_every_end(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    target = opened("log(logger=story,level=warning)+error(after=1)")
    with caplog.at_level(logging.WARNING, "story"):
        target.write(b"abc", 7)
        assert fails(target)
    first, second = (record.getMessage() for record in caplog.records)
    assert "write of 3 bytes at 7: 3 bytes" in first
    assert "read of 1 bytes at 0: failed: [Errno 5] injected" in second


def test_checksum_finds_what_was_changed_below(opened: Any, image: Path) -> None:
    target = opened("checksum(block=512)")
    target.write([b"a" * 700, b"b" * 836], 512)
    assert target.read(bytearray(2048), 0) == 2048
    with image.open("r+b") as file:
        file.seek(1030)
        file.write(b"Z")
    assert target.read(bytearray(512), 512) == 512
    with pytest.raises(membuf.TargetError, match=r"block 2 .512 bytes at 1024. is not what"):
        target.read(bytearray(4096), 0)
    target.write(b"part", 1100)
    assert target.read(bytearray(4096), 0) == 4096


def test_checksum_does_not_know_which_of_two_writes_came_last() -> None:
    store, held = bytearray(512), list[Any]()
    disk = membuf.Disk("held", size=512)
    disk.on_write(held.append)

    @disk.on_read
    def read(request: Any) -> None:
        request.output_memory().copy_from(store)
        request.complete(information=512)

    with membuf.open_target("checksum(block=512)+device:held") as target:
        writers = [
            threading.Thread(target=target.write, args=(bytes([fill]) * 512, 0)) for fill in (1, 2)
        ]
        for count, writer in enumerate(writers, 1):
            writer.start()
            eventually(lambda count=count: len(held) == count)
        # The second arrives first, and is told of last.
        for request in reversed(held):
            request.input_memory().copy_to(store)
        for request, writer in zip(held, writers, strict=True):
            request.complete(information=512)
            writer.join()
        assert target.read(bytearray(512), 0) == 512
        assert store == b"\1" * 512
    disk.delete()


def test_checksum_is_silent_where_writes_meet_reads(opened: Any) -> None:
    target = opened("checksum(block=512)")
    stop = threading.Event()

    def write() -> None:
        fill = 0
        while not stop.is_set():
            fill = (fill + 1) % 256
            target.write(bytes([fill]) * 2048, 0)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        counts = {target.read(bytearray(2048), 0) for _ in range(300)}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert counts == {2048}


def test_cow_leaves_what_lies_below_alone(opened: Any, image: Path) -> None:
    target = opened("cow(block=512)")
    model = bytearray(CONTENT)
    for offset, length in ((0, 10), (500, 30), (1024, 1024), (3000, 5000), (15700, 600)):
        data = bytes([offset % 251]) * length
        assert target.write(data, offset) == length
        model[offset : offset + length] = data
        found = bytearray(len(model))
        assert target.read(found, 0) == target.size == len(model)
        assert found == model
    assert image.read_bytes() == CONTENT
    assert target.blocks == 17
    target.flush()


def test_cow_reads_zeros_between_the_old_end_and_a_far_write(opened: Any) -> None:
    target = opened("cow(block=512)")
    target.write(b"far", len(CONTENT) + 5000)
    found = bytearray(5003)
    assert target.read(found, len(CONTENT)) == 5003
    assert found == bytes(5000) + b"far"


def test_cow_writes_to_one_block_do_not_lose_each_other(opened: Any) -> None:
    target = opened("cow(block=4096)+delay(time=2ms)")

    async def write_all() -> list[int]:
        writes = (target.write_async(bytes([i]) * 64, i * 64) for i in range(64))
        return list(await asyncio.gather(*writes))

    assert asyncio.run(write_all()) == [64] * 64
    found = bytearray(4096)
    target.read(found, 0)
    assert found == b"".join(bytes([i]) * 64 for i in range(64))


def test_cow_waiting_for_its_turn_can_be_cancelled(image: Path) -> None:
    with open_target(f"cow+delay(time=1min)+file:{image}") as target:
        first, second, told = Request(target), Request(target), [Told(), Told()]
        for request, routine in zip((first, second), told, strict=True):
            request.format_write(b"x", 0)
            request.send(routine)
        with pytest.raises(membuf.IoTimeoutError):
            target.write(b"x", 0, timeout=0.02)
        assert second.cancel()
        assert told[1].one()[2].status == st.STATUS_CANCELLED
        assert first.cancel()
        assert told[0].one()[2].status == st.STATUS_CANCELLED


# ---- filters of one's own -----------------------------------------------------------------------


class Mirror(Filter):
    """Writes twice, and reads after a pause."""

    filter_name = "mirror"

    def __init__(self, lower: Target, *, second: Target) -> None:
        super().__init__(lower)
        self._second = second

    def steps(self, transfer: Transfer) -> Steps:
        if transfer.verb == "write":
            for view in transfer.views():
                yield Send(self._second, 4, view, transfer.offset)
        yield Pause(0)
        return (yield transfer.down())


def test_a_filter_may_send_elsewhere_too(image: Path, tmp_path: Path, engine: str) -> None:
    (tmp_path / "second").write_bytes(b"")
    with (
        open_target(f"file:{tmp_path / 'second'}", engine=engine) as second,
        Mirror(open_target(f"file:{image}", engine=engine), second=second) as target,
    ):
        assert target.write(b"twice", 0) == 5
        asyncio.run(write_once(target))
    assert (tmp_path / "second").read_bytes() == b"twice again"
    assert image.read_bytes()[:11] == b"twice again"


async def write_once(target: Target) -> int:
    return await target.write_async(b" again", 5)


class Broken(Filter):
    """Has a mistake in it."""

    filter_name = "broken"

    def steps(self, transfer: Transfer) -> Steps:
        yield transfer.down()
        raise ZeroDivisionError("planted")


@pytest.mark.parametrize("way", WAYS)
def test_a_mistake_in_a_filter_ends_the_transfer(image: Path, way: Any) -> None:
    with Broken(open_target(f"file:{image}")) as target:
        with pytest.raises(membuf.MembufError, match=r"the filter failed.*planted") as caught:
            way(target, membuf.Memory(8), 0)
        assert caught.value.status == st.STATUS_UNSUCCESSFUL
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_name_of_a_filter_is_taken_once() -> None:
    class Impostor(Filter):
        filter_name = "delay"

        def steps(self, transfer: Transfer) -> Steps:
            return (yield transfer.down())

    with pytest.raises(membuf.InvalidParameterError, match="'delay' is taken"):
        register_filter(Impostor)


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("dely+file:x", "there is no filter 'dely'.*; there are checksum, cow, delay, error"),
        ("delay(times=1)+file:x", "filter delay has no option 'times'; it has on, time"),
        ("readonly(x=1)+file:x", "filter readonly has no option 'x'; it has none"),
        ("delay(time=soon)+file:x", "option time of the filter delay is not 'soon': a time is"),
        ("error(kind=eoops)+file:x", "an error is named like eio"),
        ("error(rate=2)+file:x", "a share lies between 0 and 1"),
        ("error(on=reads)+file:x", "'reads' is no kind of transfer"),
        ("error(after=-1)+file:x", "a count is written in digits"),
        ("rate(limit=0)+file:/dev/null", "a rate must be above 0"),
        ("rate(limit=fast)+file:x", "a size is written like"),
        ("log(level=loud)+file:x", "a level is one of"),
        ("delay(time)+file:x", "an option is written NAME=VALUE; got 'time'"),
        ("delay(time=1ms+file:x", "SCHEME:REST"),
        ("delay(time=1ms)x+file:x", "not closed"),
        ("delay+nothing:x", "a scheme among .*device:, .*fd:, file:"),
        ("delay", "filters before it as in"),
        ("cow(block=100)+fd:0", "cow needs"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(uri: str, message: str) -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(membuf.InvalidParameterError, match=message):
            open_target(uri.replace("fd:0", f"fd:{reading}"))
    finally:
        os.close(reading)
        os.close(writing)


def test_options_are_read(image: Path) -> None:
    with open_target(
        f"error(kind=enospc, rate=50%, seed=1)+delay(time=2ms)+file:{image}"
    ) as target:
        assert isinstance(target, Error)
        assert (target._kind, target._rate) == (errno.ENOSPC, 0.5)
        assert isinstance(target.lower, Delay)
        assert target.lower._time == 0.002
        assert isinstance(target.lower.lower, FileTarget)


def test_a_path_with_plus_and_parentheses_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a+b(c).img"
    path.write_bytes(b"plain")
    with open_target(f"stats+file:{path}") as target:
        assert isinstance(target, Stats)
        assert target.size == 5


def test_a_parent_owns_the_outermost(image: Path) -> None:
    with membuf.Object() as root:
        target = open_target(f"stats+cow+file:{image}", parent=root)
        assert root.children == (target,)
        assert isinstance(target, Stats)
        assert isinstance(target.lower, Cow)
    assert target.lower.state.name == "CLOSED"

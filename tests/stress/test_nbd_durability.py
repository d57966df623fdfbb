"""What the server said is durable is there: after SIGKILL, a power cut, a full disk, errors.

`MEMBUF_STRESS_KILLS` is how often each kind of server is killed and each power cut (3 otherwise),
`MEMBUF_STRESS_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.server.export import open_export
from membuf.request import IoType
from membuf.target.filters import Checksum, Delay, Error, Filter, Log, Rate, Send, Stats
from membuf.target.states import StopAction
from membuf.testing.durability import (
    Client,
    Ledger,
    LossyDisk,
    LostWriteError,
    begin,
    check_kills,
    check_power_cuts,
    exercise,
    inspect,
)
from tests.durability import SERVERS, SIZE, command, file_server, running, uri_in
from tests.nbd_serving import FILTERS, MIB, served, sparse_file

KILLS = int(os.environ.get("MEMBUF_STRESS_KILLS", "3"))


def with_client(server: Any, do: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine with a client of a server, or of what is at a URI."""

    async def run() -> Any:
        async with await Client.connect(getattr(server, "uri", server)) as client:
            return await asyncio.wait_for(do(client), 60)

    return asyncio.run(run())


# ---- killed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(SERVERS))
def test_a_killed_server_loses_nothing_durable(kind: str, tmp_path: Path, seed: int) -> None:
    uri = uri_in(tmp_path)
    ledger = check_kills(SERVERS[kind](tmp_path, uri), uri, kills=KILLS, seed=seed)
    assert ledger.checks == KILLS
    assert ledger.writes > 10 * KILLS


FORGETFUL = """
import membuf, random
from membuf.testing.durability import LossyDisk
disk = LossyDisk("forgetful", size=65536)
membuf.open_target = lambda name: disk
"""


def test_a_server_whose_disk_dies_with_it_is_found_out(tmp_path: Path, seed: int) -> None:
    uri = uri_in(tmp_path)
    with pytest.raises(LostWriteError, match=r"holds zeros; it must hold write \d+"):
        check_kills(command(uri, "anything", before=FORGETFUL), uri, kills=3, seconds=1, seed=seed)


def test_what_a_file_was_only_told_is_there_after_a_kill(tmp_path: Path, seed: int) -> None:
    """More than was promised: the page cache survives its process, so all that was acknowledged."""
    uri = uri_in(tmp_path)
    line, dice = file_server(tmp_path, uri), random.Random(seed)
    with running(line, uri) as process:

        async def write(client: Client) -> Ledger:
            ledger = await begin(client)
            task = asyncio.create_task(exercise(client, ledger, dice))
            await asyncio.sleep(0.2)
            process.kill()
            assert isinstance((await task)[0], ConnectionError)
            return ledger

        ledger = with_client(uri, write)
    with running(line, uri):
        with_client(uri, lambda client: inspect(client, ledger, crashed=False))
    assert ledger.writes > 10


# ---- power cuts ----------------------------------------------------------------------------------


class ByParts(Filter):
    """A filter that makes a write into writes of single sectors."""

    filter_name = "parts"

    def steps(self, transfer: Any) -> Any:
        if transfer.verb != "write":
            return (yield transfer.down())
        done = 0
        for view in transfer.views():
            for start in range(0, len(view), 512):
                yield Send(self.lower, 4, view[start : start + 512], transfer.offset + done)
                done += 512
        return done


def stack(lower: membuf.Target) -> membuf.Target:
    """The filters that pass everything on, in one stack."""
    return Stats(Log(Checksum(Delay(Rate(lower, limit=1e9), time=1e-4))))


def driver(lower: membuf.Target, *, flush: bool = True, promise: bool = False) -> membuf.Disk:
    """A driver that sends everything on, by coroutines.

    Two defects can be planted: that it does not flush, and that it promises to obey
    `write_through`.
    """
    disk = membuf.Disk(size=lower.size, write_through=promise)

    async def fill(request: Any) -> None:
        data = bytearray(request.length)
        await lower.read_async(data, request.offset)
        request.output_memory().copy_from(data)

    async def empty(request: Any) -> None:
        data = bytearray(request.length)
        request.input_memory().copy_to(data)
        await lower.write_async(data, request.offset)

    async def end(request: Any, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=request.length)

    @disk.on_read
    async def read(request: Any) -> None:
        await end(request, fill(request))

    @disk.on_write
    async def write(request: Any) -> None:
        await end(request, empty(request))

    @disk.on_flush
    async def flushed(request: Any) -> None:
        await end(request, asyncio.to_thread(lower.flush if flush else bool))

    return disk


@pytest.mark.parametrize("make", [Stats, stack, ByParts, driver, None])
@pytest.mark.parametrize("write_through", [False, True], ids=["flushed", "write-through"])
def test_a_power_cut_loses_nothing_durable(make: Any, write_through: bool, seed: int) -> None:
    disk = LossyDisk(size=MIB, write_through=write_through)
    ledger = check_power_cuts(make, disk=disk, cuts=KILLS * 2, operations=100, seed=seed)
    disk.delete()
    assert ledger.checks == KILLS * 2
    assert ledger.flushes > 0


@pytest.mark.parametrize("make", [None, stack, ByParts])
@pytest.mark.parametrize("io_type", [IoType.DIRECT, IoType.NEITHER])
def test_a_disk_gets_its_bytes_in_any_way(io_type: IoType, make: Any, seed: int) -> None:
    disk = LossyDisk(size=MIB, io_type=io_type, write_through=True)
    assert check_power_cuts(make, disk=disk, cuts=2, seed=seed).checks == 2
    disk.delete()


def without_flush(lower: membuf.Target) -> membuf.Disk:
    """A driver that answers a flush with nothing done."""
    return driver(lower, flush=False)


def promising(lower: membuf.Target) -> membuf.Disk:
    """A driver that says that it obeys `write_through`, and does not."""
    return driver(lower, promise=True)


@pytest.mark.parametrize(
    ("make", "disk"),
    [
        (None, {"defect": "flush"}),
        (stack, {"defect": "flush"}),
        (None, {"defect": "write-through", "write_through": True}),
        (without_flush, {}),
        (promising, {}),
    ],
    ids=["disk", "disk under filters", "write-through", "driver", "driver's write-through"],
)
def test_who_does_not_flush_is_found_out(make: Any, disk: dict[str, Any], seed: int) -> None:
    lossy = LossyDisk(size=MIB, **disk)
    with pytest.raises(LostWriteError, match="it must hold"):
        check_power_cuts(make, disk=lossy, cuts=20, seed=seed)
    lossy.delete()


def test_a_server_that_does_not_flush_for_fua_is_found_out(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    async def credulous(*arguments: Any, **options: Any) -> Any:
        return dataclasses.replace(await open_export(*arguments, **options), write_through=True)

    monkeypatch.setattr("membuf.bus.nbd.server.server.open_export", credulous)
    with pytest.raises(LostWriteError, match="it must hold"):
        check_power_cuts(Stats, cuts=20, seed=seed)


# ---- what goes wrong below -----------------------------------------------------------------------


def of_errno(*numbers: int) -> Callable[[Exception], bool]:
    """Whether an error is one of those that are expected."""
    return lambda error: isinstance(error, membuf.TargetError) and error.errno in numbers


def test_a_full_disk_says_so_and_keeps_what_it_has(seed: int) -> None:
    """A driver that has room for half of what is written."""
    dice, store, taken = random.Random(seed), bytearray(MIB), set[int]()
    disk = membuf.Disk("full", size=MIB)

    @disk.on_read
    def read(request: Any) -> None:
        request.output_memory().copy_from(store[request.offset :][: request.length])
        request.complete(information=request.length)

    @disk.on_write
    def write(request: Any) -> None:
        begin, end = request.offset, request.offset + request.length
        wanted = taken | set(range(begin // 4096, -(-end // 4096)))
        if len(wanted) > 128:
            request.complete(st.STATUS_DISK_FULL)
            return
        taken.update(wanted)
        request.input_memory().copy_to(memoryview(store)[begin:end])
        request.complete(information=request.length)

    async def fill(client: Client) -> list[Exception]:
        ledger = await begin(client)
        go_on = of_errno(errno.ENOSPC)
        errors = await exercise(client, ledger, dice, operations=600, go_on=go_on)
        await inspect(client, ledger, crashed=False)
        return errors

    with served(disk) as server:
        errors = with_client(server, fill)
        assert server.statistics().errors == len(errors)
    disk.delete()
    assert errors
    assert {error.errno for error in errors} == {errno.ENOSPC}


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
"""


@pytest.mark.parametrize("stack", ["", f"{FILTERS}+"], ids=["file", "filters"])
def test_a_file_that_may_not_grow(stack: str, tmp_path: Path, seed: int) -> None:
    """What is written beyond the limit fails, and only that."""
    uri, dice = uri_in(tmp_path), random.Random(seed)
    line = command(uri, f"{stack}file:{sparse_file(tmp_path, SIZE)}", before=LIMITED)

    async def fill(client: Client) -> list[Exception]:
        ledger = await begin(client)
        go_on = of_errno(errno.ENOSPC, errno.EIO)
        errors = await exercise(client, ledger, dice, operations=400, go_on=go_on)
        await inspect(client, ledger, crashed=False)
        return errors

    with running(line, uri):
        errors = with_client(uri, fill)
    assert {error.errno for error in errors} == {errno.ENOSPC}


def test_a_full_store_keeps_what_it_has(tmp_path: Path, seed: int) -> None:
    uri, dice = uri_in(tmp_path), random.Random(seed)
    line = [*SERVERS["compressed"](tmp_path, uri), "limit=256KiB"]

    async def fill(client: Client) -> tuple[Ledger, list[Exception]]:
        ledger = await begin(client)
        go_on = of_errno(errno.ENOSPC)
        return ledger, await exercise(client, ledger, dice, operations=300, go_on=go_on)

    with running(line, uri):
        ledger, errors = with_client(uri, fill)
        with_client(uri, lambda client: inspect(client, ledger, crashed=False))
    with running(line, uri):
        with_client(uri, lambda client: inspect(client, ledger))
    assert {error.errno for error in errors} == {errno.ENOSPC}


@pytest.mark.parametrize("on", ["write", "flush", "write.flush", "control"])
def test_errors_from_below_reach_the_client(on: str, tmp_path: Path, seed: int) -> None:
    path, dice = sparse_file(tmp_path, SIZE), random.Random(seed)
    rate = 0.0 if on == "control" else 0.2  # the server asks before it serves
    below = Error(
        membuf.open_target(f"file:{path}"), rate=rate, seed=seed, on=frozenset(on.split("."))
    )

    async def fill(client: Client) -> tuple[Ledger, list[Exception]]:
        ledger = await begin(client)
        below.trigger(10)
        go_on = of_errno(errno.EIO)
        return ledger, await exercise(client, ledger, dice, operations=400, go_on=go_on)

    with stack(below) as target, served(target) as server:
        ledger, errors = with_client(server, fill)
        with_client(server, lambda client: inspect(client, ledger, crashed=False))
    data = path.read_bytes()
    ledger.check(lambda offset, length: data[offset : offset + length], crashed=False)
    assert {error.errno for error in errors} == {errno.EIO}


def test_a_target_that_is_stopped_and_started(tmp_path: Path, seed: int) -> None:
    """What comes while it is stopped waits, and nothing is lost or fails."""
    dice = random.Random(seed)
    target = membuf.open_target(f"file:{sparse_file(tmp_path, SIZE)}")

    async def write(client: Client) -> Ledger:
        ledger = await begin(client)
        task = asyncio.create_task(exercise(client, ledger, dice, operations=1500))
        while not task.done():
            await asyncio.to_thread(target.stop, StopAction.WAIT)
            before = target.statistics().writes
            await asyncio.sleep(dice.random() * 0.005)
            assert target.statistics().writes == before
            target.start()
            await asyncio.sleep(dice.random() * 0.005)
        assert await task == []
        await inspect(client, ledger, crashed=False)
        return ledger

    with target, served(target) as server:
        assert with_client(server, write).writes > 1000
        assert server.statistics().errors == 0


@pytest.mark.parametrize("way", ["purge", "close"])
def test_a_target_that_goes_away_in_flight(way: str, tmp_path: Path, seed: int) -> None:
    """What it does not do any more fails, and what it said that it did is there."""
    dice, path = random.Random(seed), sparse_file(tmp_path, SIZE)
    target = Delay(membuf.open_target(f"file:{path}"), time=0.001)

    async def write(client: Client) -> tuple[Ledger, list[Exception]]:
        ledger = await begin(client)
        task = asyncio.create_task(exercise(client, ledger, dice))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(getattr(target, way))
        return ledger, await task

    with served(target) as server:
        ledger, errors = with_client(server, write)
    target.close()
    data = path.read_bytes()
    ledger.check(lambda offset, length: data[offset : offset + length], crashed=False)
    assert errors
    assert all(isinstance(error, membuf.MembufError) for error in errors)


# ---- processes -----------------------------------------------------------------------------------


def test_a_server_that_stands_still_for_a_while(tmp_path: Path, seed: int) -> None:
    uri, dice = uri_in(tmp_path), random.Random(seed)
    with running(SERVERS["filters"](tmp_path, uri), uri) as process:

        async def write(client: Client) -> None:
            ledger = await begin(client)
            task = asyncio.create_task(exercise(client, ledger, dice, operations=300))
            while not task.done():
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.02)
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.02)
            assert await task == []
            await inspect(client, ledger, crashed=False)

        with_client(uri, write)
        assert process.poll() is None


HALF = """
import os, signal, socket, sys
from membuf.bus.nbd import protocol as nbd
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.recv(18, socket.MSG_WAITALL)
sock.sendall(nbd.CLIENT_FLAGS.pack(3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, 1, 0))
sock.recv(10, socket.MSG_WAITALL)
for cookie in range(8):
    sock.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, 1, cookie, cookie << 16, 65536))
    sock.sendall(b"a" * 65536)
sock.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, 1, 9, 1 << 20, 65536) + b"b" * int(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("sent", [0, 1, 30000, 65535])
def test_a_client_that_is_killed_in_the_middle_of_a_write(sent: int, tmp_path: Path) -> None:
    """What came whole is done or not, block by block; of what came in part nothing is."""
    with membuf.open_target(f"file:{sparse_file(tmp_path, SIZE)}") as target:
        with served(target) as server:
            died = subprocess.run([sys.executable, "-c", HALF, str(server.uri.socket), str(sent)])
            assert died.returncode == -signal.SIGKILL
            until(lambda: server.statistics().connections == 0)
            assert server.statistics().in_flight == 0
            with_client(server, lambda client: client.write(1 << 20, b"c" * 512))
        data = bytearray(SIZE)
        target.read(data)
    blocks = {bytes(data[begin : begin + 65536]) for begin in range(0, 8 << 16, 65536)}
    assert blocks <= {b"a" * 65536, bytes(65536)}
    assert data[1 << 20 :].rstrip(b"\0") == b"c" * 512


def test_clients_that_vanish_while_others_write(seed: int) -> None:
    """Their commands are in flight when they go, again and again; the others notice nothing."""
    dice, disk = random.Random(seed), LossyDisk(size=MIB)
    with served(disk) as server:

        async def vanish() -> None:
            reader, writer = await asyncio.open_unix_connection(server.uri.socket)
            writer.write(nbd.CLIENT_FLAGS.pack(3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, 1, 0))
            await reader.readexactly(28)
            for cookie in range(dice.randrange(50)):
                kind = dice.choice([nbd.Command.READ, nbd.Command.FLUSH, nbd.Command.CACHE])
                length = 0 if kind is nbd.Command.FLUSH else 4096
                writer.write(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, kind, cookie, 0, length))
            await writer.drain()
            writer.transport.abort()

        async def write(client: Client) -> None:
            ledger = await begin(client)
            task = asyncio.create_task(exercise(client, ledger, dice, operations=500))
            while not task.done():
                await vanish()
            assert await task == []
            await inspect(client, ledger, crashed=False)

        with_client(server, write)
        until(lambda: server.statistics().connections == 0)
        assert server.statistics().in_flight == 0
    disk.delete()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)

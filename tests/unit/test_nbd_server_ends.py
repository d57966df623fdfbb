"""How servers, connections and what is served end, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd import Server
from membuf.bus.nbd._command import Command as NativeCommand
from membuf.bus.nbd._replies import Replies
from membuf.bus.nbd.protocol import Command
from membuf.request.completion import RequestType
from membuf.request.io_type import BUFFERED, DIRECT, NEITHER
from membuf.target.states import StopAction
from tests.nbd import (
    MIB,
    SECONDS,
    Client,
    command,
    eventually,
    memory_disk,
    nothing_left,
    serving,
    write,
)

READ, WRITE, FLUSH, TRIM = Command.READ, Command.WRITE, Command.FLUSH, Command.TRIM


class Stuck:
    """A disk that keeps its reads until it is told to answer them."""

    def __init__(self, **options: Any) -> None:
        self.disk, self.store = memory_disk(MIB, "stuck", **options)
        self.held: list[Any] = []
        self.disk.on_read(self.held.append)

    def answer(self) -> None:
        """Answer what it has."""
        while self.held:
            request = self.held.pop(0)
            request.output_memory().copy_from(b"late" + bytes(request.length - 4))
            request.complete(information=request.length)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """Such a disk."""
    one = Stuck()
    yield one
    one.answer()
    one.disk.delete()


@pytest.fixture
def ram() -> Iterator[Any]:
    """A disk in memory."""
    with membuf.open_target("ram:1MiB") as one:
        yield one


def test_nothing_further_is_begun_for_a_client_that_is_gone() -> None:
    with membuf.open_target("null:1TiB") as null, serving(null) as server:
        with Client(server.uri) as client:
            client.go()
            for _ in range(8):  # each is thousands of reads
                client.begin(Command.CACHE, 0, 0xFFFFF000)
            eventually(lambda: null.statistics().reads > 0)
        eventually(lambda: server.statistics().in_flight == 0)
        assert null.statistics().reads < 8 * 4096


def test_an_export_whose_name_is_no_text_is_described(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.img"
    with open(path, "wb") as file:  # noqa: PTH123 - pathlib takes no bytes
        file.truncate(4096)
    with membuf.open_target(f"file:{os.fsdecode(path)}") as disk, serving(disk) as server:  # noqa: SIM117
        with membuf.open_target(str(server.uri)) as seen:
            assert seen.size == 4096


def test_natives_of_no_connection_refuse_to_work() -> None:
    with pytest.raises(RuntimeError, match="no connection's"):
        NativeCommand()(None)
    with pytest.raises(RuntimeError, match="no connection's"):
        Replies().conclude(NativeCommand(), 5)


# ---- stopping ------------------------------------------------------------------------------------


def test_a_stop_waits_for_what_is_on_its_way(stuck: Stuck) -> None:
    with serving(stuck.disk) as server, Client(server.uri) as client:
        cookies = [client.go().begin(READ, 0, 4), client.begin(READ, 0, 4)]
        eventually(lambda: len(stuck.held) == 2)
        stopping = threading.Thread(target=server.stop, args=(SECONDS,))
        stopping.start()
        client.send(command(READ, 0, 4, cookie=99))  # too late
        eventually(lambda: not Path(str(server.uri.socket)).exists())
        stuck.answer()
        assert [client.reply().cookie for _ in cookies] == cookies
        stopping.join()
        assert client.hung_up
    assert stuck.held == []


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_a_stop_does_not_wait_for_ever(io_type: Any, threads: int) -> None:
    stuck = Stuck(io_type=io_type)
    with nothing_left():
        with (
            serving(stuck.disk, threads=threads) as server,
            Client(server.uri) as client,
        ):
            client.go()
            for _ in range(3):
                client.begin(READ, 0, 4096)
            eventually(lambda: len(stuck.held) == 3)
            server.stop(0.0)
            assert client.hung_up
            assert len(stuck.held) == 3
        stuck.answer()  # after the server has ended: nobody is told, and nothing is left
    stuck.disk.delete()


def test_a_stop_does_not_wait_for_a_thread_that_never_comes_back() -> None:
    disk, _ = memory_disk(MIB)
    gate, inside = threading.Event(), threading.Event()

    @disk.on_read
    def read(request: Any) -> None:
        inside.set()
        gate.wait()
        request.complete(information=request.length)

    with nothing_left():
        with serving(disk, threads=1) as server, Client(server.uri) as client:
            client.go().begin(READ, 0, 4)
            inside.wait()
            server.stop(0.0)
            assert client.hung_up
        gate.set()
    disk.delete()


def test_a_handler_may_stop_its_server() -> None:
    disk, _ = memory_disk(MIB)
    servers: list[Server] = []

    @disk.on_flush
    def flush(request: Any) -> None:
        servers[0].stop(0.0)
        request.complete()

    for threads in (0, 1):
        with serving(disk, threads=threads) as server, Client(server.uri) as client:
            servers[:] = [server]
            client.go().begin(FLUSH)
            assert client.hung_up
    disk.delete()


def test_a_stop_does_not_wait_for_who_has_not_asked_for_anything(ram: Any) -> None:
    with serving(ram) as server:
        clients = [Client(server.uri) for _ in range(4)]
        clients[1].greet()
        clients[2].go()
        clients[3].greet()
        clients[3].send(b"IHAVE")
        stopping = threading.Thread(target=server.stop, args=(10 * SECONDS,))
        stopping.start()
        stopping.join(SECONDS)
        assert not stopping.is_alive()
        for client in clients:
            assert client.hung_up
            client.close()


def test_a_client_that_never_reads_does_not_keep_a_server(ram: Any) -> None:
    with serving(ram) as server, Client(server.uri, receive_buffer=4096) as client:
        client.go()
        for _ in range(64):
            client.begin(READ, 0, 65536)
        eventually(lambda: server.statistics().in_flight > 1)
        server.stop(0.05)
        eventually(lambda: server.statistics().connections == 0)
        assert client.hung_up


def test_a_half_sent_write_does_not_keep_a_server_and_is_not_done(ram: Any) -> None:
    with serving(ram) as server, Client(server.uri) as client:
        client.go().send(write(0, b"x" * 4096)[:-1])
        eventually(lambda: server.statistics().in_flight == 1)
        server.stop(0.05)
        assert client.hung_up
    with membuf.open_target("ram:1MiB"):
        data = bytearray(4096)
        ram.read(data, 0)
        assert data == bytes(4096)


def test_a_write_whose_rest_comes_while_the_server_stops_is_done(ram: Any) -> None:
    with serving(ram) as server, Client(server.uri) as client:
        whole = write(0, b"x" * 300_000)
        client.go().send(whole[:-1000])
        eventually(lambda: server.statistics().in_flight == 1)
        stopping = threading.Thread(target=server.stop, args=(SECONDS,))
        stopping.start()
        eventually(lambda: not Path(str(server.uri.socket)).exists())
        # What comes behind it is more than is received at once, and is not begun.
        client.send(whole[-1000:])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(*[command(READ, 0, 4096, cookie=7)] * 40_000)
        assert client.reply().error == 0
        stopping.join()
    data = bytearray(300_000)
    ram.read(data, 0)
    assert data == b"x" * 300_000


def test_goodbye_waits_for_what_was_asked_before(stuck: Stuck) -> None:
    with serving(stuck.disk) as server, Client(server.uri) as client:
        cookie = client.go().begin(READ, 0, 4)
        client.send(command(Command.DISC), bytes(200_000))
        client.sock.shutdown(socket.SHUT_WR)
        eventually(lambda: stuck.held)
        stuck.answer()
        done = client.reply()
        assert (done.cookie, done.data[8:]) == (cookie, b"late")
        assert client.hung_up


def test_a_server_serves_once(ram: Any) -> None:
    with serving(ram) as server:
        with pytest.raises(membuf.InvalidDeviceStateError, match="make another"):
            server.start()
        server.stop()
        server.stop()
        with pytest.raises(membuf.InvalidDeviceStateError, match="make another"):
            server.start()
    assert server.statistics().connections == 0


def test_a_server_that_was_never_started_may_be_stopped(ram: Any) -> None:
    server = Server(ram, "nbd://localhost")
    server.stop()
    assert server.statistics().connections_total == 0


# ---- what is served ends -------------------------------------------------------------------------


def test_what_is_sent_to_a_stopped_file_waits_for_its_start(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 8192)
    with (
        membuf.open_target(f"file:{path}") as target,
        serving(target) as server,
        Client(server.uri) as client,
    ):
        client.go()
        target.stop(StopAction.LEAVE)
        cookie = client.begin(READ, 0, 4)
        eventually(lambda: server.statistics().in_flight == 1)
        target.start()
        assert client.reply().cookie == cookie
        target.purge()
        assert client.error(READ, 0, 4) == "ESHUTDOWN"
        target.start()
        assert client.read(0, 4) == b"xxxx"


@pytest.mark.parametrize("name", ["ram:1MiB", "file:", "stats+ram:1MiB", "stats+file:"])
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("end", ["close", "delete"])
def test_a_target_may_be_closed_while_it_is_served(
    name: str, threads: int, end: str, tmp_path: Path
) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(MIB))
    target = membuf.open_target(f"{name}{path}" if name.endswith("file:") else name)
    with serving(target, threads=threads) as server, Client(server.uri) as client:
        client.go().write(0, b"before")
        getattr(target, end)()
        for kind in (READ, WRITE, FLUSH, TRIM, Command.WRITE_ZEROES, Command.CACHE):
            data = b"x" * 512 if kind == WRITE else b""
            assert client.error(kind, 0, 512, data=data) in ("ESHUTDOWN", "EIO")
    if end == "close":
        target.delete()


@pytest.mark.parametrize("threads", [0, 2])
def test_a_device_may_be_deleted_while_it_is_served(threads: int) -> None:
    disk, _ = memory_disk(MIB)
    queue = disk.queue(dispatch="manual")
    disk.route(RequestType.READ, queue)
    with serving(disk, threads=threads) as server, Client(server.uri) as client:
        cookie = client.go().begin(READ, 0, 4)
        eventually(lambda: server.statistics().in_flight == 1)
        client.write(0, b"behind it")
        disk.delete()
        done = client.reply()
        assert done.cookie == cookie
        assert done.error
        assert client.error(WRITE, 0, data=b"x") == "ESHUTDOWN"
        assert client.error(TRIM, 0, 512) == ""  # which it never knew
        assert client.error(FLUSH) == "ESHUTDOWN"


def test_a_device_hears_of_the_end_of_each_client() -> None:
    disk, _ = memory_disk(MIB)
    log: list[str] = []

    @disk.on_create
    def create(request: Any) -> None:
        log.append("create")
        request.complete()

    disk.on_cleanup(lambda file: log.append("cleanup"))
    disk.on_close(lambda file: log.append("close"))
    with serving(disk) as server:
        del log[:]  # of who looked what there is to be served
        with Client(server.uri) as client:
            assert client.go().disconnect()
        eventually(lambda: log == ["create", "cleanup", "close"])
        with Client(server.uri) as client:
            client.go()
        eventually(lambda: log == ["create", "cleanup", "close"] * 2)
    disk.delete()


def test_the_end_of_a_file_comes_after_its_last_packet(stuck: Stuck) -> None:
    log: list[str] = []
    stuck.disk.on_cleanup(lambda file: log.append("cleanup"))
    stuck.disk.on_close(lambda file: log.append("close"))
    with serving(stuck.disk) as server:
        del log[:]
        with Client(server.uri) as client:
            client.go().begin(READ, 0, 4)
            eventually(lambda: stuck.held)
        eventually(lambda: log == ["cleanup"])
        server.stop(0.0)
        assert log == ["cleanup"]
        stuck.answer()
        assert log == ["cleanup", "close"]


def test_a_device_that_does_not_let_itself_be_opened_ends_the_connection() -> None:
    disk, _ = memory_disk(MIB)
    opened: list[int] = []

    @disk.on_create
    def create(request: Any) -> None:
        opened.append(1)
        full = len(opened) > 1
        request.complete(st.STATUS_ACCESS_DENIED if full else st.STATUS_SUCCESS)

    with serving(disk) as server, Client(server.uri) as client:
        client.go()
        assert client.hung_up
    disk.delete()


def test_a_device_that_opens_in_a_coroutine_is_waited_for_and_others_are_served(ram: Any) -> None:
    disk, _ = memory_disk(MIB)
    gate = threading.Event()
    gate.set()
    entered = threading.Event()

    @disk.on_create
    async def create(request: Any) -> None:
        entered.set()
        await asyncio.to_thread(gate.wait)
        request.complete()

    with serving({"slow": disk, "quick": ram}) as server:
        gate.clear()
        entered.clear()
        with Client(server.uri) as slow, Client(server.uri) as quick:
            slow.go(b"slow")
            cookie = slow.begin(READ, 0, 4)
            entered.wait()
            quick.go(b"quick").write(0, b"meanwhile")
            gate.set()
            assert slow.reply().cookie == cookie
    disk.delete()


def test_a_client_that_leaves_while_its_device_opens_leaves_nothing() -> None:
    disk, _ = memory_disk(MIB)
    waiting: list[Any] = []
    log: list[str] = []

    @disk.on_create
    def create(request: Any) -> None:
        if log:
            waiting.append(request)
        else:
            log.append("looked")
            request.complete()

    disk.on_close(lambda file: log.append("close"))
    with serving(disk) as server, Client(server.uri) as client:
        client.go()
        eventually(lambda: waiting)
        del log[1:]
        server.stop(0.0)
        assert client.hung_up
    waiting.pop().complete()
    eventually(lambda: log == ["looked", "close"])
    disk.delete()


# ---- replacing and dropping ----------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(targets: Any, folder: Path, **options: Any) -> AsyncIterator[Server]:
    """A server on this loop."""
    server = Server(targets, f"nbd+unix:///?socket={folder}/s", **options)
    ready = asyncio.Event()
    task = asyncio.ensure_future(server.serve(ready.set))
    await asyncio.wait([task, asyncio.ensure_future(ready.wait())], return_when="FIRST_COMPLETED")
    yield server
    server.stop(1.0)
    await task


def test_who_connects_after_a_replacement_gets_the_new_disk(ram: Any, tmp_path: Path) -> None:
    def before(server: Server) -> Client:
        client = Client(server.uri).go()
        client.write(0, b"old")
        return client

    def after(server: Server, old: Client) -> None:
        with Client(server.uri) as new:
            assert new.go().size == 2 * MIB
            assert new.read(0, 3) == bytes(3)
        assert (old.size, old.read(0, 3)) == (MIB, b"old")

    async def scenario() -> None:
        with membuf.open_target("ram:2MiB") as other:
            async with running(ram, tmp_path) as server:
                old = await asyncio.to_thread(before, server)
                await server.replace(other)
                await asyncio.to_thread(after, server, old)
                server.drop()
                assert await asyncio.to_thread(lambda: old.hung_up)
                old.close()
                with pytest.raises(membuf.InvalidParameterError):
                    await server.replace({})
                assert set(server.exports) == {""}

    asyncio.run(scenario())


def test_who_is_dropped_gets_what_was_asked_for(stuck: Stuck, tmp_path: Path) -> None:
    def answered(client: Client, cookie: int) -> None:
        stuck.answer()
        assert client.reply().cookie == cookie
        assert client.hung_up
        client.close()

    async def scenario() -> None:
        async with running(stuck.disk, tmp_path) as server:
            client = await asyncio.to_thread(lambda: Client(server.uri).go())
            cookie = client.begin(READ, 0, 4)
            await asyncio.to_thread(eventually, lambda: stuck.held)
            server.drop()
            client.begin(READ, 0, 4)
            await asyncio.to_thread(answered, client, cookie)

    asyncio.run(scenario())
    assert stuck.held == []


def test_a_cancelled_server_ends(ram: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = Server(ram, f"nbd+unix:///?socket={tmp_path}/s")
        ready = asyncio.Event()
        task = asyncio.ensure_future(server.serve(ready.set))
        await ready.wait()
        client = await asyncio.to_thread(lambda: Client(server.uri).go())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(lambda: client.hung_up)
        client.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_what_should_not_happen_costs_one_command(
    ram: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    with serving(ram) as server, Client(server.uri) as one, Client(server.uri) as other:
        other.go()
        with monkeypatch.context() as patch:
            patch.setattr("membuf.bus.nbd.server.connection.Connection.perform", lambda *_: 1 / 0)
            assert one.go().error(TRIM, 0, 4) == "EIO"
        assert one.error(TRIM, 0, 4) == ""
        assert other.read(0, 4) == bytes(4)
    assert len(reports) == 1

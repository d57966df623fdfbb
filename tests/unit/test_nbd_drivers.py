"""What is served to NBD clients: devices of every kind, their threads, queues and mistakes."""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd.protocol import Command
from membuf.request.completion import RequestType
from membuf.request.io_type import BUFFERED, DIRECT, NEITHER
from tests.nbd import MIB, Client, connected, eventually, memory_disk, serving

READ, WRITE, FLUSH, TRIM = Command.READ, Command.WRITE, Command.FLUSH, Command.TRIM
CACHE, ZERO, STATUS = Command.CACHE, Command.WRITE_ZEROES, Command.BLOCK_STATUS
READ_TYPE, WRITE_TYPE = RequestType.READ, RequestType.WRITE

# ---- order, threads, coroutines ------------------------------------------------------------------


def test_replies_come_in_the_order_in_which_commands_end() -> None:
    disk = membuf.Disk("out of order", size=MIB)
    held: list[Any] = []

    @disk.on_read
    def read(request: Any) -> None:
        held.append(request)
        if len(held) == 4:
            for one in reversed(held):
                one.output_memory().copy_from(bytes([one.offset]) * one.length)
                one.complete(information=one.length)
            held.clear()

    with connected(disk) as client:
        cookies = [client.begin(READ, offset, 3) for offset in range(4)]
        replies = [client.reply() for _ in cookies]
    disk.delete()
    assert [reply.cookie for reply in replies] == cookies[::-1]
    assert [reply.data[8:] for reply in replies] == [bytes([n]) * 3 for n in (3, 2, 1, 0)]


def test_coroutines_end_out_of_order() -> None:
    loop = asyncio.new_event_loop()
    disk = membuf.Disk("coroutines", size=MIB, loop=loop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    gates = [asyncio.Event() for _ in range(3)]

    @disk.on_read
    async def read(request: Any) -> None:
        await gates[request.offset].wait()
        request.output_memory().copy_from(bytes([request.offset + 1]))
        request.complete(information=1)

    with connected(disk) as client:
        cookies = [client.begin(READ, offset, 1) for offset in range(3)]
        for number in (1, 2, 0):
            loop.call_soon_threadsafe(gates[number].set)
            reply = client.reply()
            assert (reply.cookie, reply.data[8:]) == (cookies[number], bytes([number + 1]))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    disk.delete()


def test_handlers_run_on_threads_where_they_are_to() -> None:
    disk = membuf.Disk("threads", size=MIB)
    together = threading.Barrier(4, timeout=30)
    names = set()

    @disk.on_read
    def read(request: Any) -> None:
        names.add(threading.current_thread().name)
        together.wait()
        request.output_memory().copy_from(bytes([7]) * request.length)
        request.complete(information=request.length)

    with connected(disk, threads=4) as client:
        cookies = {client.begin(READ, offset, 8) for offset in range(4)}
        replies = [client.reply() for _ in cookies]
    disk.delete()
    assert {reply.cookie for reply in replies} == cookies
    assert {reply.data[8:] for reply in replies} == {bytes([7]) * 8}
    assert names == {"membuf-io"}


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_every_io_type_carries_every_command(io_type: Any, threads: int) -> None:
    disk, store = memory_disk(MIB, io_type=io_type)
    with connected(disk, threads=threads) as client:
        data = bytes(range(256)) * 300
        client.write(1000, data)
        assert store[1000 : 1000 + len(data)] == data
        assert client.read(999, len(data) + 2) == b"\0" + data + b"\0"
        assert client.error(ZERO, 1000, 256) == ""
        assert store[1000:1256] == bytes(256)
        assert client.error(CACHE, 0, MIB) == ""
        assert client.error(FLUSH) == ""
        assert client.extents(0, 1000) == [(1000, 0)]
    disk.delete()


@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
@pytest.mark.parametrize("filters", ["", "stats+log+"])
def test_a_devices_target_is_served_as_the_device(io_type: Any, filters: str) -> None:
    disk, store = memory_disk(MIB, "reached by name", io_type=io_type)
    name = f"{filters}device:reached by name"
    with membuf.open_target(name) as target, connected(target) as client:
        client.write(5, b"hello" * 1000)
        assert client.read(5, 5000) == b"hello" * 1000
    assert store[5:10] == b"hello"
    disk.delete()


def test_a_manual_queue_holds_what_its_driver_takes() -> None:
    disk = membuf.Disk("manual", size=MIB)
    queue = disk.queue(dispatch="manual")
    disk.route(RequestType.READ, queue)
    disk.on_write(lambda request: request.complete(information=request.length))
    with connected(disk) as client:
        cookies = [client.begin(READ, offset, 4) for offset in range(3)]
        client.write(0, b"x")  # behind them, and answered before
        taken = [queue.retrieve_next() for _ in cookies]
        for request in reversed(taken):
            request.output_memory().copy_from(b"late")
            request.complete(information=4)
        assert [client.reply().cookie for _ in cookies] == cookies[::-1]
    disk.delete()


def test_a_client_that_leaves_takes_what_waits_with_it() -> None:
    disk = membuf.Disk("left", size=MIB)
    queue = disk.queue(dispatch="manual")
    disk.route(RequestType.READ, queue)
    with serving(disk) as server:
        with Client(server.uri) as client:
            client.go()
            for offset in range(5):
                client.begin(READ, offset, 4)
            eventually(lambda: server.statistics().in_flight == 5)
        eventually(lambda: server.statistics().in_flight == 0)
        assert queue.retrieve_next() is None
        eventually(lambda: server.statistics().connections == 0)
    disk.delete()


def test_a_client_that_leaves_cancels_what_lets_itself_be_cancelled() -> None:
    disk = membuf.Disk("cancelable", size=MIB)
    cancelled = []

    def on_cancel(request: Any) -> None:
        cancelled.append(request.offset)
        request.complete(st.STATUS_CANCELLED)

    disk.on_read(lambda request: request.mark_cancelable(on_cancel))
    with serving(disk) as server:
        with Client(server.uri) as client:
            client.go().begin(READ, 7, 4)
            eventually(lambda: server.statistics().in_flight == 1)
        eventually(lambda: server.statistics().connections == 0)
    disk.delete()
    assert cancelled == [7]


# ---- drivers that go wrong -----------------------------------------------------------------------

MISTAKES: dict[str, Any] = {}
"""What a handler may do, and the error that its client sees."""


def mistake(error: str, *, told: bool = True) -> Any:
    """Register a handler; `told`: whether what it does is reported, too."""

    def register(handler: Any) -> Any:
        MISTAKES[handler.__name__] = (handler, error, told)
        return handler

    return register


@mistake("EIO")
def raises(request: Any) -> None:
    raise ZeroDivisionError


@mistake("ENOSPC")
def has_no_room(request: Any) -> None:
    raise OSError(errno.ENOSPC, "full")


@mistake("EPERM")
def writes_to_a_readonly_file(request: Any) -> None:
    raise OSError(errno.EROFS, "read-only")


@mistake("ENOMEM")
def has_no_memory(request: Any) -> None:
    raise MemoryError


@mistake("EIO", told=False)
def is_short(request: Any) -> None:
    request.complete(information=request.length - 1)


@mistake("EIO", told=False)
def does_nothing(request: Any) -> None:
    request.complete(information=0)


@mistake("")
def completes_twice(request: Any) -> None:
    request.complete(information=request.length)
    request.complete(information=request.length)


@mistake("EINVAL")
def says_too_much(request: Any) -> None:
    request.complete(information=request.length + 1)


@mistake("EIO")
def drops_it(request: Any) -> None:
    pass


@mistake("ENOTSUP", told=False)
def knows_nothing(request: Any) -> None:
    request.complete(st.STATUS_NOT_SUPPORTED)


@mistake("ESHUTDOWN", told=False)
def is_gone(request: Any) -> None:
    request.complete(st.STATUS_NO_SUCH_DEVICE)


@mistake("EIO", told=False)
def warns(request: Any) -> None:
    request.complete(st.STATUS_BUFFER_OVERFLOW, request.length)


@mistake("EIO")
def raises_after_it(request: Any) -> None:
    request.complete(st.STATUS_UNSUCCESSFUL)
    raise ZeroDivisionError


@mistake("EIO")
async def raises_later(request: Any) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


@mistake("EIO")
async def is_cancelled(request: Any) -> None:
    raise asyncio.CancelledError


@mistake("EIO")
async def drops_it_later(request: Any) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was reported through the hook for what nobody can catch."""
    reports: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: reports.append(str(one.exc_value)))
    return reports


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_driver_that_goes_wrong_costs_one_command(
    name: str, io_type: Any, threads: int, told: list[str]
) -> None:
    handler, error, reported = MISTAKES[name]
    disk, store = memory_disk(MIB, io_type=io_type)
    right = disk._handlers[READ_TYPE], disk._handlers[WRITE_TYPE]
    with connected(disk, threads=threads) as client:
        for kind, data in ((READ, b""), (WRITE, b"x" * 4096)):
            disk.on_read(handler)
            disk.on_write(handler)
            assert client.error(kind, 4096, 4096, data=data) == error
            disk._handlers[READ_TYPE], disk._handlers[WRITE_TYPE] = right
            client.write(0, b"well")
            assert client.read(0, 4) == b"well"
    disk.delete()
    assert bool(told) == reported
    assert not any(store[4096:8192])


@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_what_a_driver_leaves_out_shows_nothing_of_others(io_type: Any) -> None:
    disk = membuf.Disk("lazy", size=MIB, io_type=io_type)
    disk.on_write(lambda request: request.complete(information=request.length))
    disk.on_read(lambda request: request.complete(information=request.length))
    with (
        serving(disk) as server,
        Client(server.uri) as one,
        Client(server.uri) as other,
    ):
        one.go().write(0, b"secret" * 1000)
        other.go()
        for length in (1, 512, 4096, 6000, 8192, 65536):
            assert other.read(0, length) == bytes(length)
    disk.delete()


def test_what_a_driver_below_leaves_out_shows_nothing_either() -> None:
    disk = membuf.Disk("lazy below", size=MIB)
    disk.on_write(lambda request: request.complete(information=request.length))
    disk.on_read(lambda request: request.complete(information=request.length))
    for name in ("device:lazy below", "stats+device:lazy below"):
        with membuf.open_target(name) as target, connected(target) as client:
            client.write(0, b"secret" * 1000)
            assert client.read(0, 6000) == bytes(6000)
    disk.delete()


@pytest.mark.parametrize("kept", ["memory", "view"])
@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_a_driver_that_keeps_memory_neither_sees_nor_changes_what_is_others(
    io_type: Any, kept: str, told: list[str]
) -> None:
    disk, _ = memory_disk(MIB, io_type=io_type)
    views: list[memoryview] = []
    right = disk._handlers[READ_TYPE]

    @disk.on_read
    def keeps(request: Any) -> None:
        memory = request.output_memory()
        memory.copy_from(b"k" * request.length)
        views.append(memory.buffer if kept == "view" else memoryview(memory))
        request.complete(information=request.length)

    with serving(disk) as server, Client(server.uri) as one, Client(server.uri) as other:
        one.go()
        other.go()
        assert one.read(0, 4096) == b"k" * 4096
        disk._handlers[READ_TYPE] = right
        for number in range(50):
            data = bytes([number]) * 4096
            other.write(0, data)
            for view in views:
                assert set(view) <= {ord("k"), 255}
                view[:] = b"\xff" * len(view)
            assert other.read(0, 4096) == data
        for view in views:
            view.release()
    disk.delete()
    assert len(views) == 1


@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_a_driver_that_keeps_a_write_sees_nothing_that_comes_later(io_type: Any) -> None:
    disk, _ = memory_disk(MIB, io_type=io_type)
    views: list[memoryview] = []
    right = disk._handlers[WRITE_TYPE]

    @disk.on_write
    def keeps(request: Any) -> None:
        views.append(memoryview(request.input_memory()))
        request.complete(information=request.length)

    with serving(disk) as server, Client(server.uri) as one, Client(server.uri) as other:
        one.go().write(0, b"k" * 4096)
        disk._handlers[WRITE_TYPE] = right
        other.go()
        for number in range(50):
            other.write(0, bytes([number]) * 4096)
            assert other.read(0, 4096) == bytes([number]) * 4096
        assert [bytes(view) for view in views] == [b"k" * 4096]
        views.pop().release()
    disk.delete()


OPERATIONS = {TRIM: "on_trim", ZERO: "on_zero", STATUS: "on_extents"}


@pytest.mark.parametrize("later", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (OSError(errno.ENOSPC, "full"), "ENOSPC"),
        (ZeroDivisionError(), "EIO"),
        (membuf.InvalidParameterError("no"), "EINVAL"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_operation_that_raises_fails_its_command(
    kind: int, later: bool, raised: Exception, error: str, told: list[str]
) -> None:
    disk, _ = memory_disk(MIB)

    def plain(offset: int, length: int) -> Any:
        raise raised

    async def coroutine(offset: int, length: int) -> Any:
        await asyncio.sleep(0)
        raise raised

    getattr(disk, OPERATIONS[kind])(coroutine if later else plain)
    with connected(disk) as client:
        assert client.error(kind, 0, 4096) == error
        assert client.read(0, 4) == bytes(4)
    disk.delete()
    assert bool(told) != isinstance(raised, membuf.MembufError)


@pytest.mark.parametrize(
    "answer",
    [None, 5, [(1, 2)], ["x"], [membuf.Extent("a", "b", True)]],  # type: ignore[arg-type]
    ids=repr,
)
def test_extents_that_are_none_fail_their_command(answer: Any, told: list[str]) -> None:
    disk, _ = memory_disk(MIB)
    disk.on_extents(lambda offset, length: answer if length < MIB else [])
    with connected(disk) as client:
        assert client.error(STATUS, 0, 4096) == "EIO"
        assert client.extents(0, MIB) == [(MIB, 3)]
    disk.delete()
    assert told


@pytest.mark.parametrize(
    ("given", "told_to_clients"),
    [
        ([], [(8192, 3)]),
        ([(0, 1 << 62, True)], [(8192, 0)]),
        ([(-5, 10, True)], [(5, 0), (8187, 3)]),
        ([(0, 4096, True), (0, 100, True), (50, 5000, True)], [(5050, 0), (3142, 3)]),
        ([(0, -1, True), (8191, 5, True)], [(8191, 3), (1, 0)]),
        ([(0, 4096, False), (4096, 4096, True)], [(4096, 3), (4096, 0)]),
        ([(9000, 10, True)], [(8192, 3)]),
    ],
)
def test_extents_are_cut_to_what_was_asked(
    given: list[tuple[int, int, bool]], told_to_clients: list[tuple[int, int]]
) -> None:
    disk, _ = memory_disk(MIB)
    disk.on_extents(lambda offset, length: [membuf.Extent(*one) for one in given])
    with connected(disk) as client:
        assert client.extents(0, 8192) == told_to_clients
    disk.delete()


def test_extents_out_of_order_are_no_holes() -> None:
    disk, _ = memory_disk(MIB)
    given = [membuf.Extent(4096, 4096, data=True), membuf.Extent(0, 100, data=True)]
    disk.on_extents(lambda offset, length: given)
    with connected(disk) as client:
        assert client.error(STATUS, 0, 8192) == "EINVAL"
    disk.delete()


def test_thousands_of_extents_are_told_in_part_and_in_order() -> None:
    disk, _ = memory_disk(MIB, block_size=16)
    every_other = range(0, MIB, 32)
    disk.on_extents(lambda offset, length: [membuf.Extent(at, 16, data=True) for at in every_other])
    with connected(disk) as client:
        runs = client.extents(0, MIB)
    disk.delete()
    assert runs[:3] == [(16, 0), (16, 3), (16, 0)]
    assert 4000 < len(runs) < 9000
    assert runs == [(16, 0 if number % 2 == 0 else 3) for number in range(len(runs))]

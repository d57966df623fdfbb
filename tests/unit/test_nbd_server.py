"""The server on the wire: every command, its flags, its errors, and what is served."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import NbdUri, Server, ServerLimits
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk, Command, Flag, Info, Option, Reply
from membuf.request.storage import GET_LENGTH
from tests.nbd import (
    DF,
    FAST_ZERO,
    FUA,
    MIB,
    NO_HOLE,
    REQ_ONE,
    Client,
    command,
    connected,
    eventually,
    handshake,
    memory_disk,
    named,
    nothing_left,
    serving,
    write,
)

READ, WRITE, FLUSH, TRIM = Command.READ, Command.WRITE, Command.FLUSH, Command.TRIM
CACHE, ZERO, STATUS = Command.CACHE, Command.WRITE_ZEROES, Command.BLOCK_STATUS
ALL = (READ, WRITE, FLUSH, TRIM, CACHE, ZERO, STATUS)


@pytest.fixture(params=["simple", "structured"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of a disk in memory, with replies of either kind."""
    structured = request.param == "structured"
    with (
        membuf.open_target("ram:1MiB") as disk,
        serving(disk) as server,
        Client(server.uri) as one,
    ):
        yield one.go(structured=structured)


@pytest.fixture
def full() -> Iterator[Client]:
    """A client that has agreed on everything, of a disk in memory."""
    with membuf.open_target("ram:1MiB") as disk, connected(disk) as one:
        yield one


# ---- what succeeds -------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 511, 4096, 65537, MIB])
def test_what_is_written_is_read(client: Client, length: int) -> None:
    data = bytes(number * 7 & 0xFF for number in range(length))
    client.write(MIB - length, data)
    assert client.read(MIB - length, length) == data
    assert client.disconnect()


def test_a_client_is_told_size_and_flags(client: Client) -> None:
    assert client.size == MIB
    assert bool(client.flags & Flag.SEND_DF) == client.structured
    for flag in (Flag.SEND_FLUSH, Flag.SEND_FUA, Flag.SEND_TRIM, Flag.SEND_WRITE_ZEROES):
        assert client.flags & flag
    assert not client.flags & (Flag.READ_ONLY | Flag.ROTATIONAL | Flag.SEND_RESIZE)


@pytest.mark.parametrize("kind", ALL)
def test_every_command_may_have_fua(full: Client, kind: int) -> None:
    data = b"x" * 512 if kind == WRITE else b""
    assert full.error(kind, 0, 512, flags=FUA, data=data) == ""


def test_a_read_may_refuse_fragments(full: Client) -> None:
    full.write(0, b"whole")
    assert full.read(0, 5, flags=DF) == b"whole"


def test_zeros_are_zeros_with_every_flag(client: Client) -> None:
    for flags in (0, NO_HOLE, FUA, NO_HOLE | FUA, FAST_ZERO, FAST_ZERO | FUA):
        client.write(0, b"x" * 8192)
        assert client.error(ZERO, 1, 8190, flags=flags) == ""
        assert client.read(0, 8192) == b"x" + bytes(8190) + b"x"


def test_zeros_that_keep_their_room_are_no_fast_ones(client: Client) -> None:
    client.write(0, b"x" * 512)
    assert client.error(ZERO, 0, 512, flags=FAST_ZERO | NO_HOLE) == "ENOTSUP"
    assert client.read(0, 512) == b"x" * 512


def test_holes_are_told(full: Client) -> None:
    full.write(8192, b"x" * 4096)
    assert full.extents(0, MIB) == [(8192, 3), (4096, 0), (MIB - 12288, 3)]
    assert full.extents(0, MIB, flags=REQ_ONE) == [(8192, 3)]
    assert full.extents(9000, 10) == [(10, 0)]
    assert full.error(TRIM, 8192, 4096) == ""
    assert full.extents(0, MIB) == [(MIB, 3)]


def test_zeros_make_a_hole_unless_they_keep_their_room(full: Client) -> None:
    full.error(ZERO, 0, 8192, flags=NO_HOLE)
    assert full.extents(0, 8192) == [(8192, 0)]
    full.error(ZERO, 0, 8192)
    assert full.extents(0, 8192) == [(8192, 3)]


def test_a_flush_takes_no_notice_of_its_range(client: Client) -> None:
    assert client.error(FLUSH, 1 << 63, 4096) == ""


def test_a_command_may_come_with_any_cookie(client: Client) -> None:
    for cookie in (0, 1 << 63, (1 << 64) - 1):
        client.send(command(FLUSH, cookie=cookie))
        assert client.reply().cookie == cookie


def test_counters_say_what_was_done() -> None:
    with membuf.open_target("ram:1MiB") as disk, serving(disk) as server:
        with Client(server.uri) as client:
            client.go()
            client.write(0, bytes(1000))
            client.read(0, 500)
            client.do(FLUSH)
            client.extents(0, 1)
            assert client.error(READ, MIB, 1) == "EINVAL"
            now = server.statistics()
        eventually(lambda: server.statistics().connections == 0)
        later = server.statistics()
    assert (now.connections, later.connections_total, later.refused) == (1, 1, 0)
    done = {name: count for name, count in now.requests.items() if count}
    assert done == {"read": 2, "write": 1, "flush": 1, "status": 1}
    assert set(now.requests) - set(done) == {"trim", "zero", "cache"}
    assert (now.bytes_read, now.bytes_written, now.errors) == (500, 1000, 1)
    assert later.in_flight == 0


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [READ, WRITE, TRIM, CACHE, ZERO, STATUS])
@pytest.mark.parametrize(
    ("offset", "length"),
    [(MIB, 1), (MIB - 1, 2), (0, MIB + 1), ((1 << 64) - 1, 1), ((1 << 64) - 1, 2), (1 << 63, 512)],
)
def test_what_is_not_inside_is_refused(full: Client, kind: int, offset: int, length: int) -> None:
    data = b"x" * length if kind == WRITE else b""
    expected = "ENOSPC" if kind in (WRITE, ZERO) else "EINVAL"
    assert full.error(kind, offset, length, data=data) == expected
    assert full.read(0, 16) == bytes(16)


@pytest.mark.parametrize("kind", [READ, WRITE, TRIM, CACHE, ZERO, STATUS])
def test_nothing_at_all_is_refused(full: Client, kind: int) -> None:
    assert full.error(kind, 0, 0) == "EINVAL"


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (READ, NO_HOLE),
        (READ, FAST_ZERO),
        (WRITE, DF),
        (WRITE, REQ_ONE),
        (FLUSH, DF),
        (TRIM, NO_HOLE),
        (CACHE, FAST_ZERO),
        (ZERO, DF),
        (STATUS, DF),
        *[(kind, 1 << 15) for kind in ALL],
        *[(kind, 1 << 5) for kind in ALL],  # of a command with a longer header
    ],
)
def test_flags_that_a_command_has_not_are_refused(full: Client, kind: int, flags: int) -> None:
    data = b"x" * 512 if kind == WRITE else b""
    assert full.error(kind, 0, 512, flags=flags, data=data) == "EINVAL"
    assert full.read(0, 512) == bytes(512)


@pytest.mark.parametrize("kind", [8, 9, 255, 0xFFFF])
def test_unknown_commands_are_refused(client: Client, kind: int) -> None:
    assert client.error(kind, 0, 4096) == "EINVAL"
    assert client.read(0, 4) == bytes(4)


def test_a_status_that_was_not_agreed_on_is_refused() -> None:
    with membuf.open_target("ram:1MiB") as disk, serving(disk) as server:
        for structured in (False, True):
            with Client(server.uri) as client:
                client.go(structured=structured, status=False)
                assert client.error(STATUS, 0, 512) == "EINVAL"


def test_errors_of_reads_and_status_are_chunks(full: Client) -> None:
    assert full.do(READ, MIB, 1).kind == Chunk.ERROR
    assert full.do(STATUS, MIB, 1).kind == Chunk.ERROR
    assert full.do(TRIM, MIB, 1).kind is None


def test_what_is_no_command_ends_the_connection(client: Client) -> None:
    client.send(command(READ, 0, 1, magic=0x12345678) + command(FLUSH))
    assert client.hung_up


def test_a_transfer_that_is_too_long_is_refused_and_passed_over() -> None:
    limits = ServerLimits(request_bytes=65536)
    with membuf.open_target("ram:1MiB") as disk, connected(disk, limits=limits) as client:
        assert client.error(READ, 0, 65537) == "EINVAL"
        assert client.error(WRITE, 0, data=b"x" * 300_000) == "EINVAL"
        assert client.read(0, 65536) == bytes(65536)
        assert client.error(ZERO, 0, MIB) == ""  # brings nothing, and may be longer


def test_a_disk_that_is_only_read_is_only_read() -> None:
    with membuf.open_target("ram:1MiB") as disk, connected(disk, readonly=True) as client:
        assert client.flags & Flag.READ_ONLY
        assert not client.flags & (Flag.SEND_TRIM | Flag.SEND_WRITE_ZEROES | Flag.SEND_FAST_ZERO)
        assert client.error(WRITE, 0, data=b"x" * 4096) == "EPERM"
        assert client.error(TRIM, 0, 512) == "EPERM"
        assert client.error(ZERO, 0, 512) == "EPERM"
        assert client.error(FLUSH, 0, 0) == ""
        assert client.read(0, 4096) == bytes(4096)


@pytest.mark.parametrize("kind", [READ, WRITE, TRIM, CACHE, ZERO, STATUS])
def test_blocks_are_whole(kind: int) -> None:
    disk, store = memory_disk(MIB, block_size=4096)
    disk.on_trim(lambda offset, length: None)
    with connected(disk) as client:
        for offset, length in ((1, 4096), (0, 4095), (512, 512), (2048, 4096), (0, 1)):
            data = b"x" * length if kind == WRITE else b""
            assert client.error(kind, offset, length, data=data) == "EINVAL"
        data = b"y" * 4096 if kind == WRITE else b""
        assert client.error(kind, 4096, 4096, data=data) == ""
    disk.delete()
    assert b"x" not in store


@pytest.mark.parametrize(
    ("limit", "block", "preferred", "told"),
    [
        (1 << 25, 1, 4096, (1, 4096, 1 << 25)),
        (1 << 25, 4096, 512, (4096, 4096, 1 << 25)),
        (1 << 20, 512, 1 << 22, (512, 1 << 20, 1 << 20)),
        (512, 4096, 4096, (4096, 4096, 4096)),
    ],
)
def test_block_sizes_are_in_order(
    limit: int, block: int, preferred: int, told: tuple[int, int, int]
) -> None:
    disk, _ = memory_disk(MIB, block_size=block, preferred_size=preferred)
    with (
        serving(disk, limits=ServerLimits(request_bytes=limit)) as server,
        Client(server.uri) as client,
    ):
        client.greet()
        answers = client.ask(Option.INFO, named(b"", Info.BLOCK_SIZE))
    disk.delete()
    assert struct.unpack(">HIII", answers[1].data) == (Info.BLOCK_SIZE, *told)


# ---- exports -------------------------------------------------------------------------------------


def test_exports_are_their_own_disks() -> None:
    with (
        membuf.open_target("ram:1MiB") as one,
        membuf.open_target("ram:2MiB") as two,
        serving({"one": one, "größe": two}) as server,
        Client(server.uri) as first,
        Client(server.uri) as second,
        Client(server.uri) as third,
    ):
        first.go(b"one")
        second.go("größe".encode())
        third.greet()
        assert (first.size, second.size) == (MIB, 2 * MIB)
        first.write(0, b"first")
        second.write(0, b"second")
        assert first.read(0, 6) == b"first\0"
        assert second.read(0, 6) == b"second"
        assert third.ask(Option.GO, named(b"three"))[-1].kind == Reply.ERR_UNKNOWN
        assert len(third.ask(Option.LIST)) == 3


def test_one_disk_may_have_two_names() -> None:
    with (
        membuf.open_target("ram:1MiB") as disk,
        serving({"a": disk, "b": disk}) as server,
        Client(server.uri) as first,
        Client(server.uri) as second,
    ):
        first.go(b"a").write(0, b"shared")
        assert second.go(b"b").read(0, 6) == b"shared"


@pytest.mark.parametrize(
    ("targets", "why"),
    [({}, "at least one"), ({"x" * 4097: None}, "4097"), ({"\udcff": None}, "UTF-8")],
)
def test_exports_that_cannot_be_are_refused(targets: Any, why: str) -> None:
    with pytest.raises(membuf.InvalidParameterError, match=why):
        Server(targets, "nbd://localhost")


def test_what_is_no_disk_is_not_served(tmp_path: Path) -> None:
    device = membuf.Device("no disk")
    device.on_read(lambda request: request.complete())
    server = Server(device, f"nbd+unix:///?socket={tmp_path}/s")
    with pytest.raises(membuf.InvalidParameterError, match="no length"):
        server.start()
    device.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_device_says_its_length_itself() -> None:
    device = membuf.Device("odd size")

    @device.on_ioctl
    def ioctl(request: Any) -> None:
        if request.code != GET_LENGTH:
            request.complete(membuf.base.status.STATUS_NOT_SUPPORTED)
            return
        request.output_memory().copy_from(struct.pack("<Q", 1001))
        request.complete(information=8)

    with connected(device) as client:
        assert client.size == 1001
        assert client.error(TRIM, 0, 1001) == ""  # which nobody was told that it can
        assert client.error(ZERO, 0, 1001, flags=FAST_ZERO) == "ENOTSUP"
        assert client.extents(1, 1000) == [(1000, 0)]
    device.delete()


# ---- FUA -----------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["flushes", "write through"])
def logged(request: pytest.FixtureRequest) -> Iterator[tuple[Any, list[Any], bool]]:
    """A disk that notes what it is asked, in order; whether it writes through itself."""
    disk = membuf.Disk("logged", size=MIB, write_through=request.param)
    log: list[Any] = []

    @disk.on_read
    def read(request: Any) -> None:
        log.append(("read", request.write_through))
        request.complete(information=request.length)

    @disk.on_write
    def write_(request: Any) -> None:
        log.append(("write", request.write_through))
        request.complete(information=request.length)

    @disk.on_flush
    def flush(request: Any) -> None:
        log.append("flush")
        request.complete()

    @disk.on_trim
    def trim(offset: int, length: int) -> None:
        log.append("trim")

    @disk.on_zero
    def zero(offset: int, length: int) -> None:
        log.append("zero")

    yield disk, log, request.param
    disk.delete()


def test_a_write_with_fua_is_durable_before_its_reply(logged: tuple[Any, list[Any], bool]) -> None:
    disk, log, through = logged
    with connected(disk) as client:
        client.write(0, b"x")
        client.write(0, b"x", flags=FUA)
        seen = list(log)
    expected = (
        [("write", False), ("write", True)] if through else [("write", False)] * 2 + ["flush"]
    )
    assert seen == expected


def test_trim_and_zero_with_fua_are_followed_by_a_flush(
    logged: tuple[Any, list[Any], bool],
) -> None:
    disk, log, _ = logged
    with connected(disk) as client:
        for kind in (TRIM, ZERO):
            assert client.error(kind, 0, 4096) == ""
            assert client.error(kind, 0, 4096, flags=FUA) == ""
    assert log == ["trim", "trim", "flush", "zero", "zero", "flush"]


def test_what_changes_nothing_is_not_flushed(logged: tuple[Any, list[Any], bool]) -> None:
    disk, log, _ = logged
    with connected(disk) as client:
        assert client.read(0, 8, flags=FUA) == bytes(8)
        assert client.error(CACHE, 0, 8, flags=FUA) == ""
        assert client.error(STATUS, 0, 8, flags=FUA) == ""
        assert client.error(FLUSH, flags=FUA) == ""
    assert log == [("read", False), ("read", False), "flush"]


def test_a_write_whose_flush_fails_has_failed() -> None:
    disk = membuf.Disk("no flush", size=MIB)
    disk.on_write(lambda request: request.complete(information=request.length))
    disk.on_flush(lambda request: request.complete(membuf.base.status.STATUS_DISK_FULL))
    with connected(disk) as client:
        assert client.error(WRITE, 0, data=b"x") == ""
        assert client.error(WRITE, 0, data=b"x", flags=FUA) == "ENOSPC"
        assert client.error(FLUSH) == "ENOSPC"
    disk.delete()


# ---- the negotiation on the wire -----------------------------------------------------------------


def test_all_of_a_session_in_one_segment() -> None:
    said = b""
    with (
        membuf.open_target("ram:1MiB") as disk,
        serving(disk) as server,
        Client(server.uri) as client,
    ):
        client.send(
            handshake(status=True),
            write(0, b"at once", cookie=5),
            command(READ, 0, 7, cookie=6),
            command(Command.DISC),
        )
        while part := client.sock.recv(MIB):
            said += part
    assert said.endswith(struct.pack(">IHHQIQ7s", nbd.CHUNK_MAGIC, 1, 1, 6, 15, 0, b"at once"))


def test_the_old_way_to_an_export() -> None:
    with membuf.open_target("ram:1MiB") as disk, serving(disk) as server:
        for flags, zeroes in ((nbd.FIXED_NEWSTYLE, 124), (nbd.NO_ZEROES, 0), (0, 124)):
            with Client(server.uri) as client:
                client.greet(flags)
                client.send(nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.EXPORT_NAME, 0))
                size, _ = nbd.EXPORT.unpack(client.take(nbd.EXPORT.size))
                assert client.take(zeroes) == bytes(zeroes)
                assert size == MIB
                assert client.read(0, 5) == bytes(5)
                assert client.disconnect()


def test_a_long_list_waits_for_who_reads_it_slowly() -> None:
    names = [f"{number}{'x' * 4000}" for number in range(500)]
    with (
        membuf.open_target("null:1MiB") as disk,
        serving(dict.fromkeys(names, disk)) as server,
        Client(server.uri, receive_buffer=4096) as client,
    ):
        client.greet()
        client.send(nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.LIST, 0))
        eventually(lambda: readable_bytes(client) > 0)
        answers = [client.answer(Option.LIST) for _ in range(501)]
    assert [answer.data[4:].decode() for answer in answers[:-1]] == names
    assert answers[-1].kind == Reply.ACK


def readable_bytes(client: Client) -> int:
    """What has arrived for a client that reads nothing."""
    return len(client.sock.recv(MIB, socket.MSG_PEEK | socket.MSG_DONTWAIT))


def test_an_abort_is_no_refusal() -> None:
    with membuf.open_target("null:1MiB") as disk, serving(disk) as server:
        with Client(server.uri) as client:
            client.greet()
            assert client.ask(Option.ABORT)[-1].kind == Reply.ACK
            assert client.hung_up
        with Client(server.uri) as client:
            client.greet()
            client.send(b"not an option at all")
            assert client.hung_up
        eventually(lambda: server.statistics().connections == 0)
        assert (server.statistics().connections_total, server.statistics().refused) == (2, 1)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_a_server_gives_everything_back(tcp: bool) -> None:
    with (
        membuf.open_target("ram:1MiB") as disk,
        nothing_left(),
        serving(disk, tcp=tcp) as server,
        Client(server.uri) as client,
    ):
        client.go().write(0, bytes(100_000))
        assert client.read(0, 100_000) == bytes(100_000)


def test_a_free_port_is_told() -> None:
    with membuf.open_target("null:1MiB") as disk, serving(disk, tcp=True) as server:
        assert isinstance(server.uri, NbdUri)
        assert server.uri.port > 0
        with Client(server.uri) as client:
            assert client.go().size == MIB

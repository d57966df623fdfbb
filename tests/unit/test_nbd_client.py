"""The NBD client: transfers, control requests, opening, processes."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd import describe, list_exports
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk, Command, CommandFlag, Flag
from membuf.request.completion import RequestType
from membuf.request.irp import Irp
from tests.nbd_fake import (
    ALL,
    SECONDS,
    SIZE,
    Held,
    Make,
    Peer,
    Store,
    fakes,
    opened,
)
from tests.support import assert_silent, run_python


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    with fakes(tmp_path) as make:
        yield make


# ---- replies that are right ----------------------------------------------------------------------


def test_simple_replies_carry_everything(fake: Make) -> None:
    disk = bytearray(os.urandom(SIZE))

    def serve(peer: Peer) -> None:
        while True:
            asked = peer.asked()
            end = asked.offset + asked.length
            if asked.kind == Command.WRITE:
                disk[asked.offset : end] = asked.payload
            peer.simple(asked, 0, disk[asked.offset : end] if asked.kind == Command.READ else b"")

    with opened(fake(serve, structured=False)) as target:
        data = bytearray(5000)
        assert target.read(data, 77) == 5000
        assert data == disk[77:5077]
        assert target.write(b"hello", 4) == 5
        target.flush()
        assert disk[4:9] == b"hello"
        assert not target.info.structured
        assert list(target.extents()) == [membuf.Extent(0, SIZE, True)]


def test_pieces_come_in_any_order_with_zeros_between(fake: Make) -> None:
    content = os.urandom(SIZE)

    def serve(peer: Peer) -> None:
        asked = peer.asked()
        peer.data(asked, asked.offset + 3000, content[3000:4096], done=False)
        hole = struct.pack(">QI", asked.offset + 1000, 2000)
        peer.chunk(asked, Chunk.OFFSET_HOLE, hole, done=False)
        peer.data(asked, asked.offset, content[:1], done=False)
        peer.data(asked, asked.offset + 1, content[1:1000], done=False)
        peer.chunk(asked, Chunk.NONE)
        peer.asked()

    with opened(fake(serve)) as target:
        parts = [bytearray(b"x" * 1500), bytearray(b"y" * 2596)]
        assert target.read(parts, 8192) == 4096
        assert b"".join(parts) == content[:1000] + bytes(2000) + content[3000:4096]


def test_an_error_brings_the_servers_words(fake: Make) -> None:
    def serve(peer: Peer) -> None:
        asked = peer.asked()
        words = b"sector is worn out"
        failure = struct.pack(">IH", errno.ENOSPC, len(words)) + words + struct.pack(">Q", 512)
        peer.chunk(asked, Chunk.ERROR_OFFSET, failure, done=False)
        peer.chunk(asked, Chunk.NONE)
        peer.simple(peer.asked(), errno.EPERM)
        peer.chunk(peer.asked(), 0x8123, struct.pack(">IH", 95, 0))
        peer.simple(peer.asked(), 4711)
        peer.asked()

    with opened(fake(serve)) as target:
        with pytest.raises(membuf.TargetError, match="sector is worn out at 512") as caught:
            target.write(bytes(1024), 0)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.status == st.STATUS_DISK_FULL
        with pytest.raises(membuf.AccessDeniedError):
            target.read(bytearray(512), 0)
        with pytest.raises(membuf.TargetError) as unsupported:
            target.trim(0, 512)
        assert unsupported.value.errno == errno.EOPNOTSUPP
        with pytest.raises(membuf.MembufError) as unknown:
            target.flush()
        assert unknown.value.errno == errno.EINVAL
        assert target.statistics().errors == 4


def test_transfers_are_cut_to_what_the_server_takes(fake: Make) -> None:
    store = Store()
    with opened(fake(store, blocks=(512, 4096, 65536))) as target:
        data = os.urandom(300 * 1024)
        assert target.offset_alignment == 512
        assert target.write([data[:1000], data[1000:1024], data[1024:]][2], 1024) == 299 * 1024
        assert max(asked.length for asked in store.asked) == 65536
        back = [bytearray(512 * 3), bytearray(200 * 1024)]
        assert target.read(back, 1024) == 200 * 1024 + 512 * 3
        assert b"".join(back) == data[1024 : 1024 + 200 * 1024 + 512 * 3]
        with pytest.raises(membuf.InvalidParameterError, match="blocks of 512 bytes"):
            target.read(bytearray(512), 100)
        with pytest.raises(membuf.InvalidParameterError, match="multiples of 512"):
            target.zero(0, 100)


def test_a_read_ends_with_the_disk_and_a_write_beyond_it_is_refused(fake: Make) -> None:
    store = Store()
    with opened(fake(store)) as target:
        data = bytearray(b"z" * 100)
        assert target.read(data, SIZE - 10) == 10
        assert data == store.disk[-10:] + b"z" * 90
        assert target.read(data, SIZE) == 0
        assert target.read(data, SIZE + 5) == 0
        with pytest.raises(membuf.TargetError) as caught:
            target.write(data, SIZE - 10)
        assert (caught.value.errno, caught.value.available) == (errno.ENOSPC, 10)
        data += b"not held by the error"
        assert target.write(b"", 0) == 0
        assert store.kinds() == [Command.READ]


def test_an_empty_export_is_an_empty_disk(fake: Make) -> None:
    with opened(fake(Store(0), size=0)) as target:
        assert (target.size, target.read(bytearray(4)), list(target.extents())) == (0, 0, [])
        with pytest.raises(membuf.TargetError) as caught:
            target.write(b"x", 0)
        assert caught.value.errno == errno.ENOSPC


def test_extents_are_asked_until_all_is_known(fake: Make) -> None:
    def serve(peer: Peer) -> None:
        answers = [[(4096, 0), (4096, 3)], [(4096, 2)], [(1 << 19, 1)], [(1 << 21, 0)]]
        for extents in answers:
            asked = peer.asked()
            assert asked.kind == Command.BLOCK_STATUS
            packed = b"".join(nbd.EXTENT.pack(*extent) for extent in extents)
            peer.chunk(asked, Chunk.BLOCK_STATUS, struct.pack(">I", 7) + packed)
        peer.asked()

    with opened(fake(serve)) as target:
        assert list(target.extents()) == [
            membuf.Extent(0, 4096, True),
            membuf.Extent(4096, 8192, False),
            membuf.Extent(12288, SIZE - 12288, True),
        ]


def test_zeros_are_written_where_the_server_cannot_write_them_itself(fake: Make) -> None:
    store = Store()
    flags = ALL & ~(Flag.SEND_WRITE_ZEROES | Flag.SEND_TRIM | Flag.SEND_FLUSH)
    with opened(fake(store, flags=flags)) as target:
        before = bytes(store.disk)
        target.zero(100, SIZE - 300)
        assert store.disk == before[:100] + bytes(SIZE - 300) + before[-200:]
        with pytest.raises(membuf.InvalidDeviceStateError, match="has no trim"):
            target.trim(0, 4096)
        target.flush()
        assert set(store.kinds()) == {Command.WRITE}


def test_trim_and_zero_are_the_servers(fake: Make) -> None:
    store = Store()
    with opened(fake(store)) as target:
        target.trim(4096, 8192)
        target.zero(0, 10)
        assert [(one.kind, one.offset, one.length) for one in store.asked] == [
            (Command.TRIM, 4096, 8192),
            (Command.WRITE_ZEROES, 0, 10),
        ]
        with pytest.raises(membuf.InvalidParameterError):
            target.zero(SIZE - 10, 11)


@pytest.mark.parametrize(("flags", "kinds"), [(ALL, [1]), (ALL & ~Flag.SEND_FUA, [1, 3])])
def test_a_write_through_is_durable_when_it_ends(fake: Make, flags: int, kinds: list[int]) -> None:
    class Through(Irp):
        """With room for what it may not have yet."""

    store, over = Store(), threading.Event()
    with opened(fake(store, flags=flags)) as target:
        irp = Through(RequestType.WRITE, offset=512, length=4)
        irp.write_through = True
        irp.system_buffer = bytearray(b"safe")
        irp.push(lambda _: over.set())
        target.forward(irp)
        assert over.wait(SECONDS)
        assert (irp.status, irp.information) == (st.STATUS_SUCCESS, 4)
        assert store.kinds() == kinds
        assert bool(store.asked[0].flags & CommandFlag.FUA) == (kinds == [1])


# ---- several connections -------------------------------------------------------------------------


def test_requests_are_spread_over_connections(fake: Make) -> None:
    barrier = threading.Barrier(3)

    def serve(peer: Peer) -> None:
        asked = peer.asked()
        barrier.wait(SECONDS)
        peer.data(asked, asked.offset, bytes(asked.length))
        peer.asked()

    made = fake(serve, flags=ALL | Flag.CAN_MULTI_CONN)
    with opened(made, connections=3) as target:
        assert (target.connections, made.connections) == (3, 3)
        assert target.statistics().note == ""
        assert target.read_many([(bytearray(512), i * 512) for i in range(3)]) == [512] * 3


def test_a_server_that_does_not_say_so_gets_one_connection(fake: Make) -> None:
    made = fake(Store())
    with opened(made, connections=4) as target:
        assert (target.connections, made.connections) == (1, 1)
        assert "1 of 4 connections" in target.statistics().note


# ---- opening -------------------------------------------------------------------------------------


def test_a_read_only_export_is_opened_to_be_read(fake: Make) -> None:
    made = fake(Store(), flags=ALL | Flag.READ_ONLY)
    with opened(made) as target:
        assert not target.writable
        with pytest.raises(membuf.TargetError) as caught:
            target.write(b"x", 0)
        assert caught.value.status == st.STATUS_MEDIA_WRITE_PROTECTED
        with pytest.raises(membuf.MembufError):
            target.zero(0, 512)
    for access in ("write", "read-write"):
        with pytest.raises(membuf.TargetError, match="takes no writes") as refused:
            opened(made, access=access)
        assert refused.value.errno == errno.EROFS
    with opened(made, access="read") as target:
        assert target.read(bytearray(4)) == 4


def test_access_narrows_what_can_be_done(fake: Make) -> None:
    made = fake(Store())
    with opened(made, access="read") as target, pytest.raises(membuf.TargetError):
        target.write(b"x", 0)
    with opened(made, access="write") as target:
        assert target.write(b"x", 0) == 1
        with pytest.raises(membuf.TargetError) as caught:
            target.read(bytearray(4), 0)
        assert caught.value.errno == errno.EBADF
    for options in ({"access": "append"}, {"connections": 0}, {"timeout": -1}, {"reconnect": -1.0}):
        with pytest.raises(membuf.InvalidParameterError):
            opened(made, **options)


NO_SERVER: dict[str, tuple[bytes, str]] = {
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no NBD server: expected b'NBDMAGIC'"),
    "another magic": (b"NBDMAGICNBDMAGIC", "expected b'IHAVEOPT'"),
    "oldstyle": (b"NBDMAGIC" + bytes.fromhex("0000420281861253") + bytes(200), "oldstyle"),
    "nothing": (b"", "ended the negotiation"),
    "half a greeting": (b"NBDMAGICIHAVE", "ended the negotiation"),
    "no answers": (b"NBDMAGICIHAVEOPT\0\3", "ended the negotiation"),
    "garbage answers": (b"NBDMAGICIHAVEOPT\0\3" + b"garbage" * 10, "expected a reply"),
}


@pytest.mark.parametrize(("sent", "words"), NO_SERVER.values(), ids=NO_SERVER)
def test_what_is_no_nbd_server_is_told_from_one(fake: Make, sent: bytes, words: str) -> None:
    made = fake(lambda peer: peer.send(sent), raw=True)
    for ask in (lambda: opened(made), lambda: describe(made.uri), lambda: list_exports(made.uri)):
        with pytest.raises(membuf.TargetError, match=words) as caught:
            ask()
        assert str(made.path) in str(caught.value)


def test_a_silent_server_is_not_waited_for_for_ever(fake: Make) -> None:
    go = threading.Event()
    made = fake(lambda _: go.wait(SECONDS), raw=True)
    with pytest.raises(membuf.IoTimeoutError, match=r"did not answer within 0\.05 seconds"):
        opened(made, connect_timeout=0.05)
    go.set()


def test_where_nobody_listens_nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(membuf.TargetNotFoundError, match=str(tmp_path)):
        membuf.open_target(f"nbd+unix:///x?socket={tmp_path}/none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(membuf.TargetError):
        membuf.open_target(f"nbd+unix:///x?socket={tmp_path}/file")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(membuf.TargetError, match=f"127.0.0.1:{port}") as caught:
            membuf.open_target(f"nbd://127.0.0.1:{port}/x")
        assert caught.value.errno == errno.ECONNREFUSED
    with pytest.raises(membuf.InvalidParameterError, match="an export's name has at most"):
        membuf.open_target(f"nbd://localhost/{'x' * 5000}")


def test_every_address_of_a_host_is_tried(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fake(Store())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", unused.getsockname()),
            (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", str(made.path)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        with membuf.open_target("nbd://some.host/disk") as target:
            assert target.read(bytearray(512)) == 512

    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(membuf.TargetError, match="not known") as caught:
        membuf.open_target("nbd://some.host/disk")
    assert caught.value.filename == "some.host:10809"


def test_tcp_works_as_unix_sockets_do(fake: Make) -> None:
    store = Store()
    made = fake(store)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.listening, unix = listening, made.listening
        thread = threading.Thread(target=lambda: made.run(listening.accept()[0]))
        thread.start()
        with membuf.open_target(f"nbd://127.0.0.1:{listening.getsockname()[1]}/disk") as target:
            assert target.read(data := bytearray(4096), 4096) == 4096
            assert data == store.disk[4096:8192]
        thread.join()
        made.listening = unix


# ---- processes -----------------------------------------------------------------------------------


def test_a_forked_child_leaves_the_connection_alone(fake: Make) -> None:
    with opened(fake(Store())) as target:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            words = b"nothing"
            try:
                target.read(bytearray(4))
            except membuf.TargetBrokenPipeError as error:
                words = str(error).encode()
            with contextlib.suppress(BaseException):
                target.close()
                words += b"; closed"
            os.write(writing, words)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            words = pipe.read()
        assert os.waitpid(child, 0)[1] == 0
        assert b"open the target again" in words
        assert words.endswith(b"; closed")
        assert target.read(bytearray(4)) == 4


def test_the_interpreter_ends_with_requests_in_flight(fake: Make) -> None:
    server = Held(2)
    made = fake(server)
    child = run_python(
        """
        import sys, membuf
        target = membuf.open_target(sys.argv[1])
        target.read_nowait(bytearray(512), 0, lambda *end: None)
        target.write_nowait(b"data", 0, lambda *end: None)
        """,
        made.uri,
    )
    server.go.set()
    assert_silent(child)


def test_nobody_waits_for_modules_that_he_does_not_use() -> None:
    child = run_python(
        """
        import sys, membuf, membuf.bus
        membuf.open_target("null:")
        print([name for name in sys.modules if "nbd" in name])
        """
    )
    assert_silent(child)
    assert child.stdout == "[]\n"


def test_the_scheme_stands_under_filters(fake: Make) -> None:
    store = Store()
    made = fake(store)
    with membuf.open_target(f"delay(time=0s)+stats+{made.uri}", timeout=SECONDS) as target:
        assert target.read(data := bytearray(100), 100) == 100
        assert data == store.disk[100:200]
        target.trim(0, 4096)
        assert target.size == SIZE

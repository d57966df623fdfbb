"""The NBD client: lost connections, and what is honest to say of them."""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd.protocol import Command, Flag
from membuf.target import TargetState
from tests.nbd_fake import (
    ALL,
    SECONDS,
    SIZE,
    Asked,
    Held,
    Make,
    Peer,
    Store,
    chunk,
    fakes,
    opened,
)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    with fakes(tmp_path) as make:
        yield make


def test_without_reconnection_a_lost_connection_ends_everything(fake: Make) -> None:
    server = Held(2)
    made = fake(server)
    with opened(made) as target:

        async def awaited() -> list[Any]:
            futures = [target.read_async(bytearray(512), 0), target.write_async(b"x", 0)]
            await asyncio.to_thread(server.has.wait, SECONDS)
            made.cut()
            server.go.set()
            return await asyncio.gather(*futures, return_exceptions=True)

        ends = asyncio.run(awaited())
        for end in ends:
            assert isinstance(end, membuf.TargetBrokenPipeError), ends
            assert "the connection was lost" in str(end)
        with pytest.raises(membuf.TargetBrokenPipeError):
            target.write(b"x", 0)
        with pytest.raises(membuf.TargetBrokenPipeError):
            target.trim(0, 1)
        assert target.state is TargetState.STARTED


class Flaky(Store):
    """A disk that ends its connection when it is asked for some kind of command, so many times."""

    def __init__(self, kind: int, times: int = 1) -> None:
        super().__init__()
        self.kind, self.times = kind, times

    def answer(self, peer: Peer, asked: Asked) -> None:
        if asked.kind == self.kind and self.times:
            self.times -= 1
            raise EOFError
        super().answer(peer, asked)


def test_what_was_on_its_way_is_sent_again(fake: Make) -> None:
    store = Flaky(Command.READ, 3)
    with opened(fake(store), reconnect=SECONDS) as target:
        data = bytearray(100_000)
        assert target.read(data, 5) == 100_000
        assert data == store.disk[5:100_005]
        store.kind, store.times = Command.WRITE, 2
        assert target.write(b"again", 9) == 5
        assert store.disk[9:14] == b"again"
        target.flush()


def test_half_a_reply_is_received_again_from_the_beginning(fake: Make) -> None:
    first = [True]

    def serve(peer: Peer) -> None:
        asked = peer.asked()
        if first.pop() if first else False:
            peer.send(chunk(asked.cookie, 1, struct.pack(">Q", 0) + b"\xcc" * 65536)[:30_000])
            return
        peer.data(asked, 0, b"\xdd" * 65536)
        peer.asked()

    with opened(fake(serve), reconnect=SECONDS) as target:
        data = bytearray(65536)
        assert target.read(data, 0) == 65536
        assert data == b"\xdd" * 65536


def test_a_flush_says_once_that_writes_may_be_lost(fake: Make) -> None:
    made = fake(Store())
    with opened(made, reconnect=SECONDS) as target:
        target.write(b"safe", 0)
        target.flush()
        made.cut()
        target.flush()
        target.write(b"perhaps", 0)
        made.cut()
        assert target.read(bytearray(4), 0) == 4
        with pytest.raises(membuf.TargetError, match="may have lost them") as caught:
            target.flush()
        assert caught.value.errno == errno.EIO
        target.flush()
        target.zero(0, 512)
        made.cut()
        target.read(bytearray(4), 0)
        with pytest.raises(membuf.TargetError, match="may have lost them"):
            target.flush()
        target.flush()


def test_a_flush_that_was_on_its_way_says_so_itself(fake: Make) -> None:
    store = Flaky(Command.FLUSH)
    with opened(fake(store), reconnect=SECONDS) as target:
        target.write(b"perhaps", 0)
        with pytest.raises(membuf.TargetError, match="may have lost them") as caught:
            target.flush()
        assert caught.value.errno == errno.EIO
        target.flush()


def test_a_flush_of_nothing_is_sent_again(fake: Make) -> None:
    store = Flaky(Command.FLUSH)
    with opened(fake(store), reconnect=SECONDS) as target:
        target.flush()
        assert store.kinds() == [Command.FLUSH]


@pytest.mark.parametrize("name", ["size", "flags", "structured"])
def test_another_export_in_its_place_is_not_taken(fake: Make, name: str) -> None:
    made = fake(Store())
    other = {"size": SIZE * 2, "flags": ALL | Flag.READ_ONLY, "structured": False}[name]
    with opened(made, reconnect=SECONDS) as target:
        setattr(made, name, other)
        made.cut()
        with pytest.raises(membuf.TargetError, match=f"its {name} was .* and is") as caught:
            target.read(bytearray(4), 0)
        assert caught.value.errno == errno.ESTALE


def test_what_ends_every_connection_ends_with_an_error_alone(fake: Make) -> None:
    store = Flaky(Command.READ, 1000)
    with opened(fake(store), reconnect=10 * SECONDS) as target:
        with pytest.raises(membuf.TargetBrokenPipeError, match="5 connections were lost"):
            target.read(bytearray(4), 0)
        assert target.write(b"fine", 0) == 4
        assert store.times == 995


def test_reconnecting_ends_when_its_time_is_over(fake: Make, tmp_path: Path) -> None:
    made = fake(Store())
    with opened(made, reconnect=0.1) as target:
        made.path.rename(tmp_path / "away")
        made.cut()
        with pytest.raises(membuf.TargetBrokenPipeError, match=r"within 0\.1 seconds") as caught:
            target.read(bytearray(4), 0)
        assert "No such file" in str(caught.value)
        with pytest.raises(membuf.TargetBrokenPipeError):
            target.flush()


def test_what_waits_for_a_connection_can_be_given_up(fake: Make, tmp_path: Path) -> None:
    made = fake(Store())
    with opened(made, reconnect=10 * SECONDS) as target:
        made.path.rename(tmp_path / "away")
        made.cut()
        memory = bytearray(8)
        with pytest.raises(membuf.IoTimeoutError):
            target.read(memory, 0, timeout=0.05)
        memory += b"let go"
        (tmp_path / "away").rename(made.path)
        assert target.read(memory, 0) == len(memory)

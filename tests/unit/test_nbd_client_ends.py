"""The NBD client: timeouts, cancelling, and the end of a target with requests in flight."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk, Command
from membuf.target import StopAction, TargetState
from tests.nbd_fake import (
    SECONDS,
    Asked,
    Held,
    Make,
    Peer,
    Store,
    fakes,
    held,
    opened,
)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    with fakes(tmp_path) as make:
        yield make


def test_late_data_of_a_read_that_was_given_up_touches_no_memory(fake: Make) -> None:
    server = Held()
    memory = bytearray(b"\xaa" * 300_000)
    with opened(fake(server)) as target:
        with pytest.raises(membuf.IoTimeoutError):
            target.read(memory, 0, timeout=0.02)
        memory += b"let go"
        server.go.set()
        assert target.read(bytearray(512), 0, timeout=SECONDS) == 512
        assert memory == b"\xaa" * 300_000 + b"let go"
        assert target.statistics().cancelled == 1


def test_a_request_has_the_targets_time_if_none_of_its_own(fake: Make) -> None:
    server = Held(4)
    with opened(fake(server), timeout=0.02) as target:
        with pytest.raises(membuf.IoTimeoutError):
            target.read(bytearray(512))
        with pytest.raises(membuf.IoTimeoutError):
            target.flush()

        async def awaited() -> None:
            await target.write_async(b"late", 0)

        with pytest.raises(membuf.IoTimeoutError):
            asyncio.run(awaited())
        with pytest.raises(membuf.IoTimeoutError):
            target.trim(0, 512)
        server.go.set()


def test_a_write_given_up_half_way_is_sent_to_its_end_from_a_copy(fake: Make) -> None:
    begun, go, got = threading.Event(), threading.Event(), []

    def serve(peer: Peer) -> None:
        head = peer.take(nbd.REQUEST.size)
        begun.set()
        assert go.wait(SECONDS)
        asked = Asked(*nbd.REQUEST.unpack(head)[1:], b"")
        got.append(peer.take(asked.length))
        peer.chunk(asked, Chunk.NONE)
        Store()(peer)

    data = os.urandom(16 << 20)
    memory = bytearray(data)
    with opened(fake(serve, size=64 << 20)) as target:
        with pytest.raises(membuf.IoTimeoutError):
            target.write(memory, 0, timeout=0.05)
        assert begun.wait(SECONDS)
        memory[:] = bytes(len(memory))
        memory += b"let go"
        go.set()
        assert target.read(bytearray(512), 0, timeout=SECONDS) == 512
        assert got == [data]


def test_what_waits_behind_others_is_withdrawn_unsent(fake: Make) -> None:
    go, kinds = threading.Event(), []

    def serve(peer: Peer) -> None:
        assert go.wait(SECONDS)
        while True:
            asked = peer.asked()
            kinds.append((asked.kind, asked.offset))
            peer.chunk(asked, Chunk.NONE)

    with opened(fake(serve, size=64 << 20)) as target:
        told: list[Any] = []
        over = threading.Event()

        def tell(*end: Any) -> None:
            told.append(end)
            over.set()

        target.write_nowait(bytes(16 << 20), 0, tell)
        memory = bytearray(512)
        with pytest.raises(membuf.IoTimeoutError):
            target.write(memory, 32 << 20, timeout=0.02)
        memory += b"let go"
        go.set()
        assert over.wait(SECONDS)
        target.flush()
        assert [end[1:] for end in told] == [(16 << 20, None)]
        assert kinds == [(Command.WRITE, 0), (Command.FLUSH, 0)]


def test_a_cancelled_request_ends_at_once(fake: Make) -> None:
    server = Held()
    memory, ended = membuf.Memory(4096), threading.Event()
    with opened(fake(server)) as target:
        request = membuf.Request(target)
        request.format_read(memory, 0)
        request.send(lambda *_: ended.set())
        held(target, server.has)
        assert request.cancel()
        assert ended.wait(SECONDS)
        assert request.status == st.STATUS_CANCELLED
        assert not request.cancel()
        request.reuse()
        server.go.set()


@pytest.mark.parametrize("action", ["close", "purge", "stop"])
def test_what_is_in_flight_ends_with_the_target(fake: Make, action: str) -> None:
    server, told, over = Held(2), [], threading.Event()

    def tell(memory: Any, count: int, error: Any) -> None:
        told.append((count, type(error)))
        if len(told) == 2:
            over.set()

    target = opened(fake(server))
    memory = bytearray(512)
    target.read_nowait(memory, 0, tell)
    target.write_nowait(memory, 0, tell)
    held(target, server.has)
    getattr(target, action)()
    assert over.wait(SECONDS)
    assert told == [(0, membuf.RequestCancelledError)] * 2
    memory += b"let go"
    server.go.set()
    if action != "close":
        target.start()
        assert target.read(bytearray(512)) == 512
    target.close()
    assert target.state is TargetState.CLOSED
    assert not [one for one in threading.enumerate() if one.name.startswith("membuf-nbd")]


def test_a_stop_that_waits_lets_what_is_in_flight_arrive(fake: Make) -> None:
    server = Held()
    with opened(fake(server)) as target:

        async def awaited() -> int:
            data = bytearray(512)
            future = target.read_async(data, 0)
            stopping = asyncio.get_running_loop().run_in_executor(
                None, target.stop, StopAction.WAIT
            )
            server.go.set()
            count = await future
            await stopping
            assert data == b"\xbb" * 512
            return count

        assert asyncio.run(awaited()) == 512
        assert target.state is TargetState.STOPPED
        target.start()


def test_a_callback_may_wait_for_the_same_target(fake: Make) -> None:
    counts: list[int] = []
    over = threading.Event()
    with opened(fake(Store())) as target:

        def tell(memory: Any, count: int, error: Any) -> None:
            counts.extend([count, target.read(bytearray(100), 5)])
            target.flush()
            over.set()

        target.read_nowait(bytearray(512), 0, tell)
        assert over.wait(SECONDS)
        assert counts == [512, 100]


def test_a_callback_may_close_the_target(fake: Make) -> None:
    over = threading.Event()
    target = opened(fake(Store()))

    def tell(*_: Any) -> None:
        target.close()
        over.set()

    target.read_nowait(bytearray(512), 0, tell)
    assert over.wait(SECONDS)
    assert target.state is TargetState.CLOSED


def test_a_target_that_is_dropped_hangs_up(fake: Make) -> None:
    gone = threading.Event()

    def serve(peer: Peer) -> None:
        try:
            Store()(peer)
        finally:
            gone.set()

    target: Any = opened(fake(serve))
    assert target.read(bytearray(512)) == 512
    del target
    assert gone.wait(SECONDS)


def test_a_caller_that_is_interrupted_lets_its_memory_go(fake: Make) -> None:
    class StopError(Exception):
        """What the signal's handler raises."""

    def stop(*_: Any) -> None:
        raise StopError

    server, memory = Held(), bytearray(4096)
    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        assert server.has.wait(SECONDS)
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    try:
        with opened(fake(server), reconnect=SECONDS) as target:
            thread.start()
            with pytest.raises(StopError):
                target.read(memory, 0)
            memory += b"let go"
            server.go.set()
            assert target.read(bytearray(512), timeout=SECONDS) == 512
            assert memory == bytes(4096) + b"let go"
            assert target.statistics().in_flight == 0
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)

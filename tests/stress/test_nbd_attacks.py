"""Clients that attack a server: each costs itself its connection, and nobody else anything.

Behind every attack a client that behaves is served, and when the server has stopped nothing of the
pool's memory and no descriptor is left.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import membuf
from membuf.bus.nbd import Server, ServerLimits
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Command, Option
from tests.nbd import (
    FUA,
    MIB,
    SECONDS,
    Client,
    command,
    eventually,
    handshake,
    memory_disk,
    named,
    nothing_left,
    option,
    queries,
    serving,
    write,
)
from tests.support import without_sanitizer

SIZE = MIB
READ, WRITE, FLUSH, TRIM = Command.READ, Command.WRITE, Command.FLUSH, Command.TRIM
PATTERN = bytes(range(256)) * (SIZE // 256)


@contextlib.contextmanager
def attacked(**options: Any) -> Iterator[Server]:
    """A server of a disk with a pattern, which the attack has not changed; all is given back."""
    with membuf.open_target(f"ram:{SIZE}") as disk:
        disk.write(PATTERN, 0)
        with nothing_left(), serving(disk, **options) as server:
            yield server
            behaves(server)
            eventually(lambda: server.statistics().in_flight == 0)
        data = bytearray(SIZE)
        disk.read(data, 0)
        assert data == PATTERN


def behaves(server: Server) -> None:
    """A client that behaves is served."""
    with Client(server.uri) as client:
        client.go()
        client.write(0, PATTERN[:512], flags=FUA)
        assert client.read(SIZE - 65536, 65536) == PATTERN[-65536:]
        assert client.disconnect()


# ---- sessions that break off ---------------------------------------------------------------------

SESSION = (
    handshake(status=True)
    + write(512, PATTERN[512:1024], cookie=1)
    + command(READ, 0, 4096, cookie=2)
    + command(Command.BLOCK_STATUS, 0, SIZE, cookie=3)
    + command(FLUSH, cookie=4)
    + write(0, PATTERN[:4096], flags=FUA, cookie=5)
    + command(Command.CACHE, 0, 4096, cookie=6)
)


def test_a_session_may_break_off_at_every_byte() -> None:
    with attacked() as server:
        for cut in range(len(handshake(status=True)) + 64):
            with Client(server.uri) as client:
                client.send(SESSION[:cut])


@pytest.mark.parametrize("left", [1, 27, 28, 512])
def test_a_client_may_stay_in_the_middle_of_a_command(left: int) -> None:
    with attacked() as server, Client(server.uri) as client:
        client.go().send(write(0, b"x" * 512)[:-left])
        eventually(lambda: server.statistics().connections == 1)
        behaves(server)


@pytest.mark.parametrize("length", [2, 4096, 200_000])
def test_of_a_write_that_breaks_off_nothing_is_written(length: int) -> None:
    with attacked() as server:
        for cut in (1, length // 2, length - 1):
            with Client(server.uri) as client:
                client.go().send(write(0, b"x" * length)[:-cut])
        eventually(lambda: server.statistics().connections == 0)
        assert server.statistics().bytes_written == 0


@pytest.mark.parametrize(
    "garbage",
    [bytes(28), b"\xff" * 28, b"GET / HTTP/1.1\r\nHost: host\r\n\r\n", SESSION, bytes(300_000)],
)
def test_garbage_behind_the_handshake_ends_the_connection(garbage: bytes) -> None:
    with attacked() as server, Client(server.uri) as client:
        client.go()
        with contextlib.suppress(ConnectionError):
            client.send(garbage)
        assert client.hung_up


def test_garbage_behind_good_commands_takes_no_answer_from_them() -> None:
    with attacked() as server, Client(server.uri) as client:
        client.go().send(command(FLUSH, cookie=7), bytes(28))
        with contextlib.suppress(EOFError):
            assert client.reply().cookie == 7
        assert client.hung_up


# ---- numbers that wrap ---------------------------------------------------------------------------

EDGES = (0, 1, 511, 512, SIZE - 1, SIZE, SIZE + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 512)
OFFSETS = (*EDGES, (1 << 64) - 1)
LENGTHS = (0, 1, SIZE, SIZE + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


@pytest.mark.parametrize("kind", [READ, TRIM, Command.CACHE, Command.WRITE_ZEROES, 7, 8, 0xFFFF])
def test_no_offset_and_length_wraps(kind: int) -> None:
    readonly = kind in (TRIM, Command.WRITE_ZEROES)
    with attacked(readonly=False) as server, Client(server.uri) as client:
        client.go()
        for offset, length in itertools.product(OFFSETS, LENGTHS):
            inside = length and offset + length <= SIZE
            if inside and readonly:
                continue
            refused = bool(client.do(kind, offset, length).error)
            assert refused == (not inside or kind > Command.BLOCK_STATUS), (offset, length)


def test_a_write_that_is_longer_than_allowed_is_passed_over_in_pieces() -> None:
    limits = ServerLimits(request_bytes=65536, bytes=65536)
    with attacked(limits=limits) as server, Client(server.uri) as client:
        client.go()
        for offset in (0, SIZE - 1, (1 << 64) - 1):
            assert client.error(WRITE, offset, data=b"x" * (5 * MIB + 1)) == "EINVAL" or offset
        assert client.read(0, 65536) == PATTERN[:65536]


def test_a_write_of_four_gigabytes_takes_no_memory() -> None:
    with attacked() as server, Client(server.uri) as client:
        before = membuf.pool.statistics().outstanding
        client.go().send(command(WRITE, 0, (1 << 32) - 1), b"x" * MIB)
        eventually(lambda: server.statistics().in_flight == 1)
        assert membuf.pool.statistics().outstanding == before
        behaves(server)


# ---- clients that wait, or have to be waited for -------------------------------------------------


def test_who_never_reads_takes_bounded_memory_and_is_dropped() -> None:
    limits = ServerLimits(stall_seconds=2.0, bytes=4 << 20, requests=64)
    with attacked(limits=limits) as server, Client(server.uri, receive_buffer=4096) as client:
        client.go()
        client.sock.setblocking(False)
        flood = command(READ, 0, 65536) * 2000
        with contextlib.suppress(BlockingIOError):
            while flood:
                flood = flood[client.sock.send(flood) :]
        eventually(lambda: server.statistics().in_flight > 10)
        most, end = 0, time.monotonic() + SECONDS
        while server.statistics().in_flight and time.monotonic() < end:
            most = max(most, membuf.pool.statistics().outstanding)
            behaves(server)
        assert 10 < most < 100  # blocks: 64 commands, and what is being made
        eventually(lambda: server.statistics().connections == 0)
        client.sock.settimeout(SECONDS)
        assert client.hung_up


def test_who_reads_slowly_but_reads_is_not_dropped() -> None:
    limits = ServerLimits(stall_seconds=1.5)
    with attacked(limits=limits) as server, Client(server.uri, receive_buffer=4096) as client:
        client.go()
        cookies = [client.begin(READ, 0, MIB // 2) for _ in range(4)]
        end = time.monotonic() + 3
        taken = bytearray()
        while time.monotonic() < end:
            taken += client.take(8192)
            time.sleep(0.05)
        taken += client.take(len(cookies) * (28 + MIB // 2) - len(taken))
        assert taken.count(PATTERN[:4096]) == len(cookies) * (MIB // 2 // 4096)


def test_who_leaves_a_command_half_sent_is_dropped_and_who_is_idle_is_not() -> None:
    with (
        attacked(limits=ServerLimits(stall_seconds=1.0)) as server,
        Client(server.uri) as half,
        Client(server.uri) as payload,
        Client(server.uri) as idle,
    ):
        half.go().send(command(FLUSH)[:10])
        payload.go().send(write(0, b"x" * 512)[:-1])
        idle.go()
        assert half.hung_up
        assert payload.hung_up
        assert idle.read(0, 4) == PATTERN[:4]


def test_a_driver_that_is_slow_costs_no_client_its_connection() -> None:
    disk, _ = memory_disk(MIB)
    held: list[Any] = []
    disk.on_read(held.append)
    limits = ServerLimits(stall_seconds=1.0, requests=4)
    with nothing_left(), serving(disk, limits=limits) as server, Client(server.uri) as client:
        client.go()
        cookies = [client.begin(READ, 0, 4) for _ in range(12)]  # more than are begun
        eventually(lambda: len(held) == 4)
        ended = time.monotonic() + 3.5
        while time.monotonic() < ended:
            assert server.statistics().connections == 1
            assert len(held) == 4
            time.sleep(0.1)
        for cookie in cookies:
            eventually(lambda: held)
            held.pop(0).complete(information=4)
            assert client.reply().cookie == cookie
    disk.delete()


def test_a_handshake_byte_by_byte_is_a_handshake() -> None:
    with attacked() as server, Client(server.uri) as client:
        for byte in handshake(structured=True) + command(READ, 0, 16):
            client.send(bytes([byte]))
        said = client.take(nbd.GREETING.size + 20 + 20 + 12 + 20 + 28 + 16)
        assert said.endswith(PATTERN[:16])


@pytest.mark.parametrize("said", [b"", b"\0\0\0\3", handshake()[:-1]])
def test_a_handshake_that_does_not_end_is_ended(said: bytes) -> None:
    limits = ServerLimits(handshake_seconds=0.3)
    with attacked(limits=limits) as server, Client(server.uri) as client:
        client.send(said)
        assert client.hung_up
        eventually(lambda: server.statistics().refused == 1)


def test_a_handshake_that_never_stops_asking_lets_others_in() -> None:
    flood = b"".join([
        nbd.CLIENT_FLAGS.pack(3),
        *[option(Option.LIST)] * 300,
        *[option(Option.INFO, named(b"", *[1, 2, 3] * 5000))] * 200,
        *[option(Option.LIST_META_CONTEXT, queries(b"", *[b"base:"] * 60))] * 300,
        *[option(99)] * 1000,
    ])  # fmt: skip
    with attacked() as server, Client(server.uri) as client:
        sender = threading.Thread(target=swallowed, args=(client, flood))
        sender.start()
        for _ in range(5):
            behaves(server)
        assert client.hung_up
        sender.join()


def swallowed(client: Client, data: bytes) -> None:
    """Send it, as far as that goes."""
    with contextlib.suppress(OSError):
        client.send(data)


# ---- many ----------------------------------------------------------------------------------------


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for some thousand descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    """The bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@without_sanitizer
@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections_cost_little() -> None:
    with contextlib.ExitStack() as stack, attacked(limits=ServerLimits(connections=1100)) as server:
        clients = stack.enter_context(contextlib.ExitStack())
        for _ in range(20):  # what is made once
            clients.enter_context(Client(server.uri)).go()
        before, blocks = resident(), membuf.pool.statistics().outstanding
        for _ in range(1000):
            clients.enter_context(Client(server.uri)).go()
        cost = (resident() - before) / 1000
        assert membuf.pool.statistics().outstanding == blocks
        behaves(server)
        assert server.statistics().connections >= 1020
        print(f"{cost:.0f} bytes for an idle connection, the client's end included")
        assert cost < 48 << 10
        clients.close()
        eventually(lambda: server.statistics().connections == 0)


def test_who_comes_when_there_are_enough_is_turned_away() -> None:
    with attacked(limits=ServerLimits(connections=8)) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                stack.enter_context(Client(server.uri)).go()
            for _ in range(50):
                with Client(server.uri) as client:
                    assert client.hung_up
        eventually(lambda: server.statistics().connections == 0)
        assert server.statistics().refused == 50


def test_thousands_of_commands_in_one_segment() -> None:
    count = 5000
    with attacked() as server, Client(server.uri) as client:
        client.go(structured=False)
        parts = []
        for number in range(count):
            if number % 5 == 4:
                parts.append(write(number, PATTERN[number : number + 3], cookie=number))
            else:
                kind = READ if number % 2 else FLUSH
                parts.append(command(kind, number, 8, cookie=number))
        sender = threading.Thread(target=client.send, args=parts)
        sender.start()
        for number in range(count):
            reads = number % 5 != 4 and number % 2 == 1
            done = client.reply(8 if reads else 0)
            assert (done.cookie, done.error) == (number, 0)
            assert done.data == (PATTERN[number : number + 8] if reads else b"")
        sender.join()
        assert server.statistics().peak_in_flight <= ServerLimits().requests


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_a_storm_of_connections(tcp: bool, deadline: float) -> None:
    count = 0
    with attacked(tcp=tcp) as server:
        while time.monotonic() < deadline:
            with Client(server.uri) as client:
                if count % 3:
                    client.go(structured=bool(count % 2))
                    client.begin(READ, 0, 65536)
            count += 1
        eventually(lambda: server.statistics().connections == 0)
        assert server.statistics().connections_total == count


# ---- at once, against a model --------------------------------------------------------------------


def served_by(kind: str) -> contextlib.AbstractContextManager[Any]:
    """A disk of a kind, for as long as the block lasts."""

    @contextlib.contextmanager
    def device(**options: Any) -> Iterator[Any]:
        disk, _ = memory_disk(SIZE, **options)
        yield disk
        disk.delete()

    return membuf.open_target(f"ram:{SIZE}") if kind == "ram" else device()


@pytest.mark.parametrize("threads", [0, 4])
@pytest.mark.parametrize("kind", ["ram", "device"])
def test_many_clients_see_what_they_wrote(
    kind: str, threads: int, seed: int, deadline: float
) -> None:
    clients = 8
    share = SIZE // clients
    failures: list[BaseException] = []

    def work(server: Server, number: int) -> None:
        dice = random.Random(seed * 100 + number)
        model = bytearray(share)
        try:
            with Client(server.uri) as client:
                client.go(structured=bool(number % 2))
                while time.monotonic() < deadline:
                    pipelined(client, dice, model, number * share)
        except BaseException as error:  # noqa: BLE001 - told by the test's thread
            failures.append(error)

    with served_by(kind) as disk, nothing_left(), serving(disk, threads=threads) as server:
        workers = [threading.Thread(target=work, args=(server, n)) for n in range(clients)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        done = server.statistics()
    assert failures == []
    assert done.errors == 0
    assert done.requests["read"] > clients
    assert done.requests["write"] > clients


def pipelined(client: Client, dice: random.Random, model: bytearray, base: int) -> None:
    """A bunch of commands on parts that do not meet, and what each has to answer."""
    expected: dict[int, tuple[int, bytes]] = {}
    part = len(model) // 16
    for number in dice.sample(range(16), 8):
        start = number * part + dice.randrange(part // 2)
        length = dice.randrange(1, part // 2)
        choice = dice.randrange(4)
        if choice == 0:
            expected[client.begin(Command.WRITE_ZEROES, base + start, length)] = 0, b""
            model[start : start + length] = bytes(length)
        elif choice == 1:
            cookie = client.begin(READ, base + start, length)
            expected[cookie] = length, bytes(model[start : start + length])
        else:
            data = dice.randbytes(length)
            flags = FUA if choice == 3 else 0
            expected[client.begin(WRITE, base + start, flags=flags, data=data)] = 0, b""
            model[start : start + length] = data
    while expected:
        done = next_of(client, {cookie: length for cookie, (length, _) in expected.items()})
        _, data = expected.pop(done.cookie)
        assert done.error == 0
        assert done.data[8 if client.structured and data else 0 :] == data


def next_of(client: Client, lengths: dict[int, int]) -> Any:
    """The next reply; of a simple one, its cookie says how long it is."""
    if client.structured:
        return client.reply()
    head = client.sock.recv(16, socket.MSG_PEEK | socket.MSG_WAITALL)
    return client.reply(lengths[int.from_bytes(head[8:], "big")])


# ---- mutations -----------------------------------------------------------------------------------


def mutated(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """The bytes with parts replaced, put in, cut out or cut off."""
    changed = bytearray(data)
    for where, how, piece in edits:
        at = int(where * len(changed))
        if how == "replace":
            changed[at : at + len(piece)] = piece
        elif how == "insert":
            changed[at:at] = piece
        elif how == "cut":
            del changed[at : at + len(piece)]
        else:
            del changed[at:]
    return bytes(changed)


EDITS = some.lists(
    some.tuples(
        some.floats(0, 1, exclude_max=True),
        some.sampled_from(["replace", "insert", "cut", "end"]),
        some.binary(min_size=1, max_size=8)
        | some.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(4), b"\x7f" + b"\xff" * 7]),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def readonly_server() -> Iterator[Server]:
    """A server whose disk no mutation can change."""
    with membuf.open_target(f"ram:{SIZE}") as disk:
        disk.write(PATTERN, 0)
        limits = ServerLimits(request_bytes=1 << 20)
        with serving(disk, readonly=True, limits=limits) as server:
            yield server


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, pieces=some.integers(1, 4))
def test_mutations_of_a_session_harm_nobody(
    readonly_server: Server, edits: list[tuple[float, str, bytes]], pieces: int
) -> None:
    data = mutated(SESSION, edits)
    with Client(readonly_server.uri) as client:
        step = max(1, len(data) // pieces)
        with contextlib.suppress(OSError):
            for start in range(0, len(data), step):
                client.send(data[start : start + step])
            client.sock.shutdown(socket.SHUT_WR)
        assert client.hung_up
    with Client(readonly_server.uri) as client:
        assert client.go().read(1000, 100) == PATTERN[1000:1100]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.binary(max_size=200))
def test_anything_at_all_harms_nobody(readonly_server: Server, data: bytes) -> None:
    starts: list[Callable[[], bytes]] = [bytes, handshake]
    for start in starts:
        with Client(readonly_server.uri) as client:
            with contextlib.suppress(OSError):
                client.send(start() + data)
                client.sock.shutdown(socket.SHUT_WR)
            assert client.hung_up
    with Client(readonly_server.uri) as client:
        assert client.go().read(0, 16) == PATTERN[:16]

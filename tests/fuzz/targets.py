"""What is fuzzed: functions of bytes that end well whatever they get, and sessions to begin with.

What a target is allowed to raise it catches; whatever else comes out of it is a defect. The targets
need no fuzzer: `run` drives them by coverage, a test of the suite runs their seeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import membuf
from membuf.base.errors import MembufError
from membuf.bus.nbd import ServerLimits, parse_uri
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client import greeting
from membuf.bus.nbd.client.wires import LostError
from membuf.bus.nbd.protocol import Chunk, Command, CommandFlag, Info, Option, Reply
from membuf.bus.nbd.server import negotiation
from membuf.bus.nbd.server.connection import Connection
from membuf.bus.nbd.server.export import Export, open_export
from membuf.bus.nbd.server.server import Shared
from membuf.request import storage
from membuf.request.storage import Extent, Range
from tests.nbd import command, handshake, named, option, queries, write

SIZE: Final = 1 << 20
LONGEST: Final = 65536
"""Bytes of one input."""


class Target(NamedTuple):
    """Something to fuzz.

    Attributes:
        run: takes the bytes.
        seeds: good inputs.
        share: of the time that a target gets.
    """

    run: Callable[[bytes], None]
    seeds: list[bytes]
    share: float


# ---- negotiation, the server's half --------------------------------------------------------------

MODES: Final = ("off", "allow", "require")
_null = membuf.open_target("null:1MiB")


def _export(name: str) -> Export:
    return Export(
        name=name, served=_null, size=SIZE, readonly=not name, block_sizes=(1, 4096, 1 << 25),
        trims=True, zeros=True, tells=True, write_through=False, description=name * 2,
    )  # fmt: skip


_exports: Final = {"": _export(""), "größe": _export("größe")}


def negotiate(data: bytes) -> None:
    """The first byte says how TLS is used, the rest is the client's."""
    mode, said, given = MODES[data[0] % 3] if data else "off", bytearray(), memoryview(data)[1:]
    steps = negotiation.Negotiation(_exports, mode).steps()
    answer: bytes | None = None
    session: negotiation.Session | None = None
    try:
        while True:
            step = steps.send(answer)  # type: ignore[arg-type]
            answer = b""
            if isinstance(step, bytes):
                said += step
            elif isinstance(step, int):
                assert 0 < step <= nbd.LARGEST_OPTION
                if len(given) < step:
                    break
                answer, given = bytes(given[:step]), given[step:]
    except negotiation.HangUpError:
        pass
    except StopIteration as end:
        session = end.value
    if session is not None:
        assert session.export in _exports.values()
        assert session.structured or not session.allocation
    _check_options(bytes(said[nbd.GREETING.size :]))


def _check_options(said: bytes) -> None:
    """What a server says are replies to options, until the one that is none: EXPORT_NAME's."""
    while len(said) >= nbd.OPTION_REPLY.size:
        magic, _, kind, length = nbd.OPTION_REPLY.unpack_from(said)
        if magic != nbd.OPTION_REPLY_MAGIC:
            break
        assert kind in iter(Reply)
        said = said[nbd.OPTION_REPLY.size + length :]
    assert len(said) in (0, nbd.EXPORT.size, nbd.EXPORT.size + 124)


_ALLOCATION: Final = b"base:allocation"
NEGOTIATIONS: Final = [
    b"\0" + handshake(status=True),
    b"\0" + handshake("größe".encode(), structured=True),
    b"\0\0\0\0\0" + option(Option.EXPORT_NAME),
    b"\0\0\0\0\3" + option(Option.EXPORT_NAME, "größe".encode()),
    b"\1\0\0\0\1" + option(Option.STARTTLS) + handshake(status=True)[4:],
    b"\2\0\0\0\3" + option(Option.LIST) + option(Option.STARTTLS) + option(Option.ABORT),
    b"\0\0\0\0\3" + option(Option.LIST) + option(99, b"data") + option(Option.ABORT),
    b"\0\0\0\0\3" + option(Option.INFO, named(b"", *iter(Info))) + handshake()[4:],
    b"\0\0\0\0\3" + option(Option.LIST_META_CONTEXT, queries(b"", b"base:", _ALLOCATION)),
]


# ---- negotiation, the client's half --------------------------------------------------------------


def greet(data: bytes) -> None:
    """The first byte says what the client wants, the rest is the server's."""
    wish, given = data[0] if data else 0, memoryview(data)[1:]
    client = greeting.Greeting("here", tls=bool(wish & 1))
    wishes: list[Callable[[], greeting.Steps[Any]]] = [
        lambda: client.open("disk"),
        lambda: client.describe("disk"),
        client.list_exports,
    ]
    steps = wishes[(wish >> 1) % 3]()
    try:
        step = next(steps)
        while True:
            answer = b""
            if isinstance(step, int):
                assert 0 < step < 1 << 32
                answer, given = bytes(given[:step]), given[step:]
                if len(answer) < step:
                    step = steps.throw(LostError("the server closed it"))
                    continue
            step = steps.send(answer)
    except (MembufError, LostError):
        pass
    except StopIteration:
        pass


def _reply(kind: int, reply: int, data: bytes = b"") -> bytes:
    return nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, kind, reply, len(data)) + data


def _information(kind: int) -> bytes:
    words = struct.pack(">H", Info.DESCRIPTION) + b"words"
    pieces = [
        nbd.EXPORT_INFO.pack(Info.EXPORT, SIZE, 0xFFF),
        nbd.BLOCK_SIZES.pack(Info.BLOCK_SIZE, 512, 4096, 1 << 25),
        struct.pack(">H", Info.NAME) + b"disk",
        words,
    ]
    return b"".join(_reply(kind, Reply.INFO, piece) for piece in pieces) + _reply(kind, Reply.ACK)


_HELLO: Final = b"NBDMAGICIHAVEOPT\0\3"
_STRUCTURED: Final = _reply(Option.STRUCTURED_REPLY, Reply.ACK)
_LISTED: Final = b"\0\0\0\4disk and words"


def _contexts(kind: int) -> bytes:
    return _reply(kind, Reply.META_CONTEXT, b"\0\0\0\1" + _ALLOCATION) + _reply(kind, Reply.ACK)


GREETINGS: Final = [
    b"\0" + _HELLO + _STRUCTURED + _contexts(Option.SET_META_CONTEXT) + _information(Option.GO),
    b"\0" + _HELLO + _reply(Option.STRUCTURED_REPLY, Reply.ERR_UNSUP) + _information(Option.GO),
    b"\0" + _HELLO + _STRUCTURED + _contexts(10) + _reply(Option.GO, Reply.ERR_UNSUP)
    + nbd.EXPORT.pack(SIZE, 3),
    b"\0NBDMAGICIHAVEOPT\0\0" + nbd.EXPORT.pack(SIZE, 3) + bytes(124),
    b"\0NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53" + bytes(136),
    b"\1" + _HELLO + _reply(Option.STARTTLS, Reply.ACK) + _STRUCTURED + _contexts(10)
    + _information(Option.GO),
    b"\1" + _HELLO + _reply(Option.STARTTLS, Reply.ERR_POLICY, b"no"),
    b"\2" + _HELLO + _STRUCTURED + _contexts(Option.LIST_META_CONTEXT) + _information(Option.INFO),
    b"\4" + _HELLO + _STRUCTURED + _reply(Option.LIST, Reply.SERVER, _LISTED)
    + _reply(Option.LIST, Reply.ACK) + _contexts(Option.LIST_META_CONTEXT)
    + _information(Option.INFO),
]  # fmt: skip


# ---- transmission --------------------------------------------------------------------------------


class Transmission:
    """Connections of a server that has one thread and no place to listen at."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._disk = membuf.open_target(f"ram:{SIZE}")
        limits = ServerLimits(
            requests=16, bytes=1 << 18, request_bytes=1 << 16, handshake_seconds=20.0
        )  # fmt: skip
        self._shared = Shared(limits, None, 0)
        self._shared.exports[""] = self._loop.run_until_complete(
            open_export("", self._disk, largest=1 << 16)
        )
        self._reports: list[Any] = []

    def run(self, data: bytes) -> None:
        """The first byte says how the session begins, the rest are its commands."""
        begin = handshake(structured=bool(data and data[0] & 1), status=bool(data and data[0] & 2))
        before, sys.unraisablehook = sys.unraisablehook, self._reports.append
        try:
            said = self._loop.run_until_complete(self._session(begin + data[1:]))
        finally:
            sys.unraisablehook = before
        assert self._reports == []
        assert self._shared.counters.in_flight == 0
        _check_replies(said, data[1:].count(struct.pack(">I", nbd.REQUEST_MAGIC)))

    async def _session(self, data: bytes) -> bytes:
        mine, its = socket.socketpair()
        mine.setblocking(False)
        its.setblocking(False)
        serving = asyncio.ensure_future(Connection(self._shared, its, "a fuzzer").run())
        said = bytearray()
        reading = asyncio.ensure_future(self._read(mine, said))
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._loop.sock_sendall(mine, data)
                mine.shutdown(socket.SHUT_WR)
            await asyncio.wait_for(serving, 20)
            await asyncio.wait_for(reading, 20)
        finally:
            mine.close()
        return bytes(said)

    async def _read(self, mine: socket.socket, said: bytearray) -> None:
        with contextlib.suppress(ConnectionResetError):
            while part := await self._loop.sock_recv(mine, 1 << 18):
                said += part


def _check_replies(said: bytes, most: int) -> None:
    """What a server says behind the handshake are replies, at most so many; the last may be cut."""
    for _ in _option_replies(view := memoryview(said)[nbd.GREETING.size :]):
        view = _
    count = 0
    while len(view) >= nbd.SIMPLE_REPLY.size:
        (magic,) = struct.unpack_from(">I", view)
        if magic == nbd.SIMPLE_REPLY_MAGIC:
            assert nbd.SIMPLE_REPLY.unpack_from(view)[1] in {0, *nbd.ERRORS}
            # What a simple read brings has no length: the next reply is searched for.
            following = bytes(view).find(struct.pack(">I", nbd.SIMPLE_REPLY_MAGIC), 4)
            view = view[following:] if following > 0 else view[:0]
        else:
            assert magic == nbd.CHUNK_MAGIC
            if len(view) < nbd.CHUNK.size:
                break
            _, flags, kind, _, length = nbd.CHUNK.unpack_from(view)
            assert (flags, kind in iter(Chunk)) == (nbd.CHUNK_DONE, True)
            view = view[nbd.CHUNK.size + length :]
        count += 1
    assert count <= most


def _option_replies(view: memoryview) -> Iterator[memoryview]:
    """What is left behind each reply to an option."""
    while len(view) >= nbd.OPTION_REPLY.size:
        magic, _, _, length = nbd.OPTION_REPLY.unpack_from(view)
        if magic != nbd.OPTION_REPLY_MAGIC:
            return
        view = view[nbd.OPTION_REPLY.size + length :]
        yield view


_transmission: list[Transmission] = []


def transmit(data: bytes) -> None:
    """See `Transmission.run`."""
    if not _transmission:
        _transmission.append(Transmission())
    _transmission[0].run(data)


_FUA: Final = CommandFlag.FUA
TRANSMISSIONS: Final = [
    bytes([number]) + session + command(Command.DISC)
    for number in range(4)
    for session in (
        command(Command.READ, 0, 512, flags=_FUA) + command(Command.READ, SIZE - 1, 1),
        write(512, b"bytes" * 20) + write(0, b"x", flags=_FUA) + command(Command.FLUSH),
        command(Command.TRIM, 0, 4096) + command(Command.WRITE_ZEROES, 1, 9, flags=_FUA),
        command(Command.CACHE, 0, SIZE) + command(Command.BLOCK_STATUS, 0, SIZE),
        command(Command.BLOCK_STATUS, 5, 77, flags=CommandFlag.REQ_ONE) + command(9, 1, 1),
        write(SIZE, b"outside") + write(0, bytes(65537)) + command(Command.READ, 1 << 63, 1 << 31),
    )
]


# ---- URIs and storage ----------------------------------------------------------------------------


def take_apart(data: bytes) -> None:
    """A URI that is one is the same when it is written again."""
    text = data.decode(errors="surrogateescape")
    try:
        uri = parse_uri(text)
    except membuf.InvalidParameterError:
        return
    assert parse_uri(str(uri)) == uri


URIS: Final = [
    b"nbd://host:10809/name",
    b"nbd://[::1]/a%20b",
    b"nbd+unix:///name?socket=/tmp/s%26",
    b"nbds://h/?tls-certificates=/c&tls-hostname=n&tls-verify-peer=false",
    b"nbds+unix:///?socket=s&tls-verify-peer=1",
]

_CODES: Final = (storage.TRIM, storage.ZERO, storage.ALLOCATED)


def store(data: bytes) -> None:
    """Ranges are inside what can be addressed; extents cover what was asked for, in order."""
    with contextlib.suppress(MembufError):
        for offset, length in storage.ranges_of(_CODES[(data or b"\0")[0] % 3], data[1:]):
            assert 0 <= offset <= offset + length < 1 << 63
    asked, here = Range(4096, 1 << 20), 4096
    for extent in storage.extents_of(data, asked, whole=bool(data and data[0] & 1)):
        assert extent.offset == here
        assert extent.length > 0
        here += extent.length
    assert here <= asked.offset + asked.length
    pairs = [struct.unpack_from("<qq", data, at) for at in range(0, len(data) - 15, 16)]
    with contextlib.suppress(membuf.InvalidParameterError):
        output, _ = storage.allocated_output([Extent(*pair, True) for pair in pairs], asked, 4096)
        told = [one for one in storage.extents_of(output, asked, whole=True) if one.data]
        assert storage.allocated_output(told, asked, 4096) == (output, True)


STORED: Final = [
    b"\0" + storage.trim_input([Range(0, 4096), Range(8192, 1)]),
    b"\1" + storage.zero_input(Range(4096, 512)),
    b"\2" + storage.allocated_input(Range(0, 1 << 40)),
    b"".join(storage.allocated_input(Range(at, 512)) for at in (0, 4096, 8192, 1 << 20)),
]


TARGETS: Final = {
    "negotiation": Target(negotiate, NEGOTIATIONS, 1.0),
    "greeting": Target(greet, GREETINGS, 1.0),
    "transmission": Target(transmit, TRANSMISSIONS, 1.0),
    "uri": Target(take_apart, URIS, 0.25),
    "storage": Target(store, STORED, 0.25),
}


# ---- a planted defect ----------------------------------------------------------------------------


class PlantedError(Exception):
    """What a planted defect raises."""


def plant() -> None:
    """Have the server believe the length of a name, if it is more than nine bytes."""
    right = negotiation._name_and_rest

    def wrong(data: bytes) -> tuple[bytes | None, bytes]:
        name, rest = right(data)
        if name is None and len(data) > 9 and 9 < struct.unpack_from(">I", data)[0] <= 4096:
            raise PlantedError
        return name, rest

    negotiation._name_and_rest = wrong

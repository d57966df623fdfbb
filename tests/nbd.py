"""An NBD client of bare sockets that does right or wrong what each test says; servers for it."""

from __future__ import annotations

import contextlib
import gc
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import membuf
from membuf.bus.nbd import NbdUri, Server
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk, Command, CommandFlag, Option, Reply

SECONDS = 30.0
"""How long anything may take before it counts as hung."""
MIB = 1 << 20
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = CommandFlag


class Answer(NamedTuple):
    """An option's reply."""

    kind: int
    data: bytes


class Done(NamedTuple):
    """A command's reply: its chunks where replies are structured."""

    cookie: int
    error: int
    data: bytes = b""
    kind: int | None = None


# ---- bytes ---------------------------------------------------------------------------------------


def option(kind: int, data: bytes = b"", *, length: int | None = None) -> bytes:
    """An option; `length` lies about its data."""
    return nbd.OPTION.pack(nbd.OPTION_MAGIC, kind, len(data) if length is None else length) + data


def named(name: bytes, *kinds: int, count: int | None = None) -> bytes:
    """The data of INFO and GO; `count` lies about the kinds."""
    number = len(kinds) if count is None else count
    return struct.pack(f">I{len(name)}sH{len(kinds)}H", len(name), name, number, *kinds)


def queries(name: bytes, *asked: bytes, count: int | None = None) -> bytes:
    """The data of the options about metadata contexts; `count` lies about the queries."""
    number = len(asked) if count is None else count
    parts = [struct.pack(">I", len(query)) + query for query in asked]
    return struct.pack(">I", len(name)) + name + struct.pack(">I", number) + b"".join(parts)


def command(
    kind: int,
    offset: int = 0,
    length: int = 0,
    *,
    flags: int = 0,
    cookie: int = 1,
    data: bytes = b"",
    magic: int = nbd.REQUEST_MAGIC,
) -> bytes:
    """A command, and what it brings."""
    return nbd.REQUEST.pack(magic, flags, kind, cookie, offset, length) + data


def write(offset: int, data: bytes, *, flags: int = 0, cookie: int = 1) -> bytes:
    """A write of the bytes."""
    return command(Command.WRITE, offset, len(data), flags=flags, cookie=cookie, data=data)


def handshake(name: bytes = b"", *, structured: bool = False, status: bool = False) -> bytes:
    """All that a client sends until its first command."""
    parts = [nbd.CLIENT_FLAGS.pack(nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES)]
    if structured or status:
        parts.append(option(Option.STRUCTURED_REPLY))
    if status:
        parts.append(option(Option.SET_META_CONTEXT, queries(name, b"base:allocation")))
    parts.append(option(Option.GO, named(name)))
    return b"".join(parts)


# ---- the client ----------------------------------------------------------------------------------


class Client:
    """A client of bare sockets.

    Args:
        uri: the server's.
        receive_buffer: the size of the socket's, for a client that is to be slow.
    """

    def __init__(self, uri: NbdUri, *, receive_buffer: int = 0) -> None:
        if uri.socket is not None:
            self.sock = socket.socket(socket.AF_UNIX)
            place: Any = uri.socket
        else:
            self.sock = socket.socket(socket.AF_INET)
            place = (uri.host, uri.port)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(SECONDS)
        self.sock.connect(place)
        self.structured = False
        self.size = self.flags = 0
        self._cookie = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def send(self, *parts: bytes) -> None:
        """Send the bytes as they are."""
        self.sock.sendall(b"".join(parts))

    def take(self, count: int) -> bytes:
        """Exactly so many bytes; EOFError where the server hangs up before."""
        data = bytearray()
        while len(data) < count:
            try:
                part = self.sock.recv(min(count - len(data), MIB))
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError(f"{len(data)} of {count} bytes")
            data += part
        return bytes(data)

    @property
    def hung_up(self) -> bool:
        """Whether the server hangs up, once what it sent before is read; waits for it."""
        with contextlib.suppress(ConnectionResetError):
            while self.sock.recv(MIB):
                pass
        return True

    # ---- negotiation

    def greet(self, flags: int = nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES) -> int:
        """Take the greeting and answer with flags; the server's."""
        magic, options, mine = nbd.GREETING.unpack(self.take(nbd.GREETING.size))
        assert (magic, options) == (nbd.NBD_MAGIC, nbd.OPTION_MAGIC)
        self.send(nbd.CLIENT_FLAGS.pack(flags))
        return int(mine)

    def answer(self, kind: int) -> Answer:
        """One reply to an option."""
        magic, asked, answer, length = nbd.OPTION_REPLY.unpack(self.take(nbd.OPTION_REPLY.size))
        assert (magic, asked) == (nbd.OPTION_REPLY_MAGIC, kind)
        return Answer(answer, self.take(length))

    def ask(self, kind: int, data: bytes = b"") -> list[Answer]:
        """Send an option; its replies, to the last."""
        self.send(option(kind, data))
        answers = [self.answer(kind)]
        while answers[-1].kind != Reply.ACK and answers[-1].kind < Reply.ERROR:
            answers.append(self.answer(kind))
        return answers

    def go(self, name: bytes = b"", *, structured: bool = True, status: bool = True) -> Client:
        """Negotiate, as a client does that wants everything."""
        self.greet()
        if structured:
            self.structured = self.ask(Option.STRUCTURED_REPLY)[-1].kind == Reply.ACK
            if status:
                self.ask(Option.SET_META_CONTEXT, queries(name, b"base:allocation"))
        first, *_, last = self.ask(Option.GO, named(name))
        assert last.kind == Reply.ACK, last
        _, self.size, self.flags = nbd.EXPORT_INFO.unpack(first.data)
        return self

    # ---- transmission

    def begin(
        self, kind: int, offset: int = 0, length: int = 0, *, flags: int = 0, data: bytes = b""
    ) -> int:
        """Send a command; its cookie."""
        self._cookie += 1
        length = len(data) if data and not length else length
        self.send(command(kind, offset, length, flags=flags, cookie=self._cookie, data=data))
        return self._cookie

    def reply(self, expected: int = 0) -> Done:
        """The next reply; `expected`: bytes of a simple reply that succeeds."""
        (magic,) = struct.unpack(">I", self.take(4))
        if magic == nbd.SIMPLE_REPLY_MAGIC:
            error, cookie = struct.unpack(">IQ", self.take(12))
            return Done(cookie, error, b"" if error else self.take(expected))
        assert magic == nbd.CHUNK_MAGIC, hex(magic)
        assert self.structured
        flags, kind, cookie, length = struct.unpack(">HHQI", self.take(16))
        assert flags == nbd.CHUNK_DONE
        payload = self.take(length)
        if kind >= Chunk.ERROR:
            error, said = struct.unpack_from(">IH", payload)
            assert len(payload) == 6 + said
            return Done(cookie, error, kind=kind)
        return Done(cookie, 0, payload, kind)

    def do(self, kind: int, offset: int = 0, length: int = 0, **more: Any) -> Done:
        """Send a command and take its reply."""
        cookie = self.begin(kind, offset, length, **more)
        done = self.reply(length if kind == Command.READ and not self.structured else 0)
        assert done.cookie == cookie
        return done

    def read(self, offset: int, length: int, *, flags: int = 0) -> bytes:
        """Bytes that the server has."""
        done = self.do(Command.READ, offset, length, flags=flags)
        assert done.error == 0, done
        if not self.structured:
            return done.data
        assert done.kind == Chunk.OFFSET_DATA
        assert struct.unpack_from(">Q", done.data) == (offset,)
        assert len(done.data) == 8 + length
        return done.data[8:]

    def write(self, offset: int, data: bytes, *, flags: int = 0) -> None:
        """Have the server write bytes."""
        done = self.do(Command.WRITE, offset, data=data, flags=flags)
        assert done.error == 0, done

    def error(self, kind: int, offset: int = 0, length: int = 0, **more: Any) -> str:
        """The name of the error that a command ends with; "" where it succeeds."""
        done = self.do(kind, offset, length, **more)
        assert done.error in {0, *nbd.ERRORS}
        return nbd.ERRORS[done.error] if done.error else ""

    def extents(self, offset: int, length: int, *, flags: int = 0) -> list[tuple[int, int]]:
        """Lengths and flags of the runs there."""
        done = self.do(Command.BLOCK_STATUS, offset, length, flags=flags)
        assert done.error == 0, done
        assert done.kind == Chunk.BLOCK_STATUS
        assert struct.unpack_from(">I", done.data) == (1,)
        return [(size, kind) for size, kind in nbd.EXTENT.iter_unpack(done.data[4:])]

    def disconnect(self) -> bool:
        """Say goodbye; whether the server hangs up without another word."""
        self.send(command(Command.DISC))
        return self.sock.recv(1) == b""


# ---- servers -------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(targets: Any, *, tcp: bool = False, **options: Any) -> Iterator[Server]:
    """A server at a unix socket, or on a free port of the loopback."""
    with tempfile.TemporaryDirectory(prefix="membuf-") as folder:
        uri = NbdUri(host="127.0.0.1", port=0) if tcp else NbdUri(socket=f"{folder}/s")
        with Server(targets, uri, **options) as server:
            yield server


@contextlib.contextmanager
def connected(targets: Any, **options: Any) -> Iterator[Client]:
    """A client of a server that lasts as long."""
    with serving(targets, **options) as server, Client(server.uri) as client:
        yield client.go()


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """What the block took, it gives back: memory of the pool, and descriptors."""
    gc.collect()
    blocks, files = membuf.pool.statistics().outstanding, descriptors()
    yield
    eventually(lambda: membuf.pool.statistics().outstanding <= blocks)
    eventually(lambda: len(descriptors()) <= len(files))


def descriptors() -> list[str]:
    """The open descriptors of this process, and what each is."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(f"{entry.name}: {entry.readlink()}")
    return found


def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to hold"
        gc.collect()
        time.sleep(0.005)


def memory_disk(size: int = MIB, name: str = "memory", **options: Any) -> tuple[Any, bytearray]:
    """A disk whose plain handlers read and write a buffer; and the buffer."""
    store = bytearray(size)
    disk = membuf.Disk(name, size=size, **options)

    @disk.on_read
    def read(request: Any) -> None:
        end = request.offset + request.length
        request.output_memory().copy_from(memoryview(store)[request.offset : end])
        request.complete(information=request.length)

    @disk.on_write
    def write_(request: Any) -> None:
        end = request.offset + request.length
        request.input_memory().copy_to(memoryview(store)[request.offset : end])
        request.complete(information=request.length)

    return disk, store

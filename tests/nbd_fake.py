"""An NBD server that does what each test says, right or wrong."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import membuf
from membuf.bus.nbd import NbdTarget
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk, Command, Flag, Info, Option, Reply

SIZE = 1 << 20
ALL = (
    Flag.HAS_FLAGS | Flag.SEND_FLUSH | Flag.SEND_FUA | Flag.SEND_TRIM | Flag.SEND_WRITE_ZEROES
)  # fmt: skip
SECONDS = 30
ALLOCATION = struct.pack(">I", 7) + b"base:allocation"


class Asked(NamedTuple):
    """A command as it came."""

    flags: int
    kind: int
    cookie: int
    offset: int
    length: int
    payload: bytes


class Peer:
    """One connection, seen from the server."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def take(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def asked(self) -> Asked:
        """The next command; EOFError when the client has hung up or said goodbye."""
        magic, flags, kind, cookie, offset, length = nbd.REQUEST.unpack(self.take(nbd.REQUEST.size))
        assert magic == nbd.REQUEST_MAGIC
        if kind == Command.DISC:
            raise EOFError
        payload = self.take(length) if kind == Command.WRITE else b""
        return Asked(flags, kind, cookie, offset, length, payload)

    def simple(self, asked: Asked, error: int = 0, data: bytes = b"") -> None:
        self.send(nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, error, asked.cookie), data)

    def chunk(self, asked: Asked, kind: int, payload: bytes = b"", *, done: bool = True) -> None:
        self.send(chunk(asked.cookie, kind, payload, done=done))

    def data(self, asked: Asked, offset: int, data: bytes, *, done: bool = True) -> None:
        self.chunk(asked, Chunk.OFFSET_DATA, struct.pack(">Q", offset) + data, done=done)


def chunk(cookie: int, kind: int, payload: bytes = b"", *, done: bool = True) -> bytes:
    return nbd.CHUNK.pack(nbd.CHUNK_MAGIC, int(done), kind, cookie, len(payload)) + payload


class Fake:
    """A server: every connection is negotiated, then it is the test's."""

    def __init__(
        self,
        path: Path,
        serve: Callable[[Peer], object],
        *,
        size: int = SIZE,
        flags: int = ALL,
        structured: bool = True,
        blocks: tuple[int, int, int] | None = None,
        raw: bool = False,
    ) -> None:
        self.serve, self.size, self.flags = serve, size, flags
        self.structured, self.blocks, self.raw = structured, blocks, raw
        self.path = path
        self.uri = f"nbd+unix:///disk?socket={path}"
        self.errors: list[BaseException] = []
        self.connections = 0
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(64)
        self.stopping = os.eventfd(0)
        self.threads = [threading.Thread(target=self.accept)]
        self.peers: list[socket.socket] = []
        self.threads[0].start()

    def accept(self) -> None:
        poll = select.poll()
        poll.register(self.listening, select.POLLIN)
        poll.register(self.stopping, select.POLLIN)
        while all(descriptor != self.stopping for descriptor, _ in poll.poll()):
            sock, _ = self.listening.accept()
            self.connections += 1
            self.peers.append(sock)
            thread = threading.Thread(target=self.run, args=[sock])
            self.threads.append(thread)
            thread.start()

    def run(self, sock: socket.socket) -> None:
        peer = Peer(sock)
        try:
            if self.raw or self.negotiate(peer):
                self.serve(peer)
        except (EOFError, ConnectionError):
            pass  # the client has hung up
        except BaseException as error:  # noqa: BLE001
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def negotiate(self, peer: Peer) -> bool:
        peer.send(nbd.NBD_MAGIC, nbd.OPTION_MAGIC, struct.pack(">H", 3))
        peer.take(4)
        while True:
            _, option, length = nbd.OPTION.unpack(peer.take(nbd.OPTION.size))
            data = peer.take(length)
            if option in (Option.STRUCTURED_REPLY, Option.ABORT):
                taken = self.structured or option == Option.ABORT
                self.reply(peer, option, Reply.ACK if taken else Reply.ERR_UNSUP)
            elif option == Option.SET_META_CONTEXT:
                self.reply(
                    peer, option, Reply.META_CONTEXT, struct.pack(">I", 7) + b"base:allocation"
                )
                self.reply(peer, option, Reply.ACK)
            elif option == Option.GO:
                self.describe(peer, option)
                return True
            else:
                self.reply(peer, option, Reply.ERR_UNSUP, data[:0])

    def describe(self, peer: Peer, option: int) -> None:
        export = nbd.EXPORT_INFO.pack(Info.EXPORT, self.size, self.flags)
        self.reply(peer, option, Reply.INFO, export)
        if self.blocks is not None:
            blocks = nbd.BLOCK_SIZES.pack(Info.BLOCK_SIZE, *self.blocks)
            self.reply(peer, option, Reply.INFO, blocks)
        self.reply(peer, option, Reply.ACK)

    @staticmethod
    def reply(peer: Peer, option: int, kind: int, data: bytes = b"") -> None:
        peer.send(nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, option, kind, len(data)), data)

    def cut(self) -> None:
        """End every connection there is."""
        peers, self.peers = self.peers, []
        for sock in peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        os.eventfd_write(self.stopping, 1)
        self.threads[0].join()
        self.listening.close()
        self.cut()
        for thread in self.threads[1:]:
            thread.join()
        os.close(self.stopping)
        assert self.errors == []


Make = Callable[..., Fake]
"""Makes a server that is ended with the test."""


@contextlib.contextmanager
def fakes(folder: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    made: list[Fake] = []

    def make(serve: Callable[[Peer], object], **options: Any) -> Fake:
        made.append(Fake(folder / f"s{len(made)}", serve, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


class Store:
    """A server's disk; answers every command rightly."""

    def __init__(self, size: int = SIZE) -> None:
        self.disk = bytearray(os.urandom(size))
        self.asked: list[Asked] = []

    def __call__(self, peer: Peer) -> None:
        while True:
            self.answer(peer, peer.asked())

    def answer(self, peer: Peer, asked: Asked) -> None:
        self.asked.append(asked)
        end = asked.offset + asked.length
        if asked.kind == Command.READ:
            peer.data(asked, asked.offset, bytes(self.disk[asked.offset : end]))
            return
        if asked.kind == Command.WRITE:
            self.disk[asked.offset : end] = asked.payload
        elif asked.kind in (Command.WRITE_ZEROES, Command.TRIM):
            self.disk[asked.offset : end] = bytes(asked.length)
        peer.chunk(asked, Chunk.NONE)

    def kinds(self) -> list[int]:
        return [asked.kind for asked in self.asked]


def opened(server: Fake, **options: Any) -> NbdTarget:
    target = membuf.open_target(server.uri, **options)
    assert isinstance(target, NbdTarget)
    return target


def held(target: membuf.bus.nbd.NbdTarget, peer_has: threading.Event) -> None:
    """Wait until the server has what was sent."""
    assert peer_has.wait(SECONDS)
    assert target.statistics().in_flight > 0


class Held:
    """A server that answers nothing until it is told to; then reads come late, with data."""

    def __init__(self, count: int = 1) -> None:
        self.has, self.go = threading.Event(), threading.Event()
        self.count = count

    def __call__(self, peer: Peer) -> None:
        waiting = [peer.asked() for _ in range(self.count)]
        self.has.set()
        assert self.go.wait(SECONDS)
        for asked in waiting:
            if asked.kind == Command.READ:
                peer.data(asked, asked.offset, b"\xbb" * asked.length)
            else:
                peer.chunk(asked, Chunk.NONE)
        Store()(peer)

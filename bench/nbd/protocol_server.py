"""A disk in a bytearray, served by an `asyncio.BufferedProtocol`; nothing guards its buffers.

    python -m bench.nbd.protocol_server SOCKET BYTES

A wake-up of the event loop takes in all requests that have come, and answers them with one write.
The bytes of a large write are received where they belong.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from bench.nbd.wire import (
    DISCONNECT,
    FLUSH,
    INVALID,
    READ,
    REPLY,
    REPLY_MAGIC,
    REQUEST,
    WRITE,
    shake_hands,
)

ROOM = 256 * 1024  # for what came and was not looked at yet


class Session(asyncio.BufferedProtocol):
    """What one client asks, and what it is answered."""

    def __init__(self, disk: memoryview) -> None:
        self._disk = disk
        self._room = memoryview(bytearray(ROOM))
        self._filled = 0
        self._missing = disk[:0]  # the part of the disk whose bytes have yet to come
        self._writer = 0  # the cookie of the write that waits for them
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the next bytes are to go."""
        return self._missing or self._room[self._filled :]

    def buffer_updated(self, count: int) -> None:
        """Bytes have come."""
        if self._missing:
            self._missing = self._missing[count:]
            if not self._missing:
                self._transport.write(REPLY.pack(REPLY_MAGIC, 0, self._writer))
            return
        self._filled += count
        replies: list[bytes | memoryview] = []
        used = self._answer(replies)
        self._transport.writelines(replies)
        left = self._filled - used
        if used and left:
            self._room[:left] = self._room[used : self._filled]
        self._filled = left

    def _answer(self, replies: list[bytes | memoryview]) -> int:
        """Carries out every request that is whole; the bytes they had."""
        room, disk, filled, at = self._room, self._disk, self._filled, 0
        while filled - at >= REQUEST.size:
            _, _, kind, cookie, offset, length = REQUEST.unpack_from(room, at)
            at += REQUEST.size
            if kind == READ:
                replies.append(REPLY.pack(REPLY_MAGIC, 0, cookie))
                replies.append(disk[offset : offset + length])
            elif kind == WRITE:
                here = min(length, filled - at)
                disk[offset : offset + here] = room[at : at + here]
                at += here
                if here < length:
                    self._missing, self._writer = disk[offset + here : offset + length], cookie
                    break
                replies.append(REPLY.pack(REPLY_MAGIC, 0, cookie))
            elif kind == DISCONNECT:
                self._transport.close()
                break
            else:
                replies.append(REPLY.pack(REPLY_MAGIC, 0 if kind == FLUSH else INVALID, cookie))
        return at


async def serve(path: str, size: int) -> None:
    """Serves every client that connects, until the process is ended."""
    loop = asyncio.get_running_loop()
    disk = memoryview(bytearray(size))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(True)
            if await asyncio.to_thread(shake_hands, connection, size):
                connection.setblocking(False)
                await loop.connect_accepted_socket(lambda: Session(disk), connection)
            else:
                connection.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))

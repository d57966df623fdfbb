"""A disk in a bytearray, served by a thread for each client; nothing guards its buffers.

    python -m bench.nbd.threads_server SOCKET BYTES

`recv_into` takes in all requests that have come, and one `sendmsg` answers them, with the bytes
sent from where they lie on the disk. The bytes of a write are received where they belong.
"""

from __future__ import annotations

import socket
import sys
import threading

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


def serve(path: str, size: int) -> None:
    """Serves every client that connects, until the process is ended."""
    disk = memoryview(bytearray(size))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_attend, args=(connection, disk), daemon=True).start()


def _attend(connection: socket.socket, disk: memoryview) -> None:
    with connection:
        if not shake_hands(connection, len(disk)):
            return
        room, filled, staying = memoryview(bytearray(ROOM)), 0, True
        while staying:
            count = connection.recv_into(room[filled:])
            if not count:
                return
            filled += count
            replies: list[bytes | memoryview] = []
            used, staying = _answer(connection, room[:filled], disk, replies)
            _send(connection, replies)
            filled = max(filled - used, 0)
            if used and filled:
                room[:filled] = room[used : used + filled]


def _answer(
    connection: socket.socket,
    came: memoryview,
    disk: memoryview,
    replies: list[bytes | memoryview],
) -> tuple[int, bool]:
    """Carries out every request that is whole; the bytes they had, and whether more will come."""
    filled, at = len(came), 0
    while filled - at >= REQUEST.size:
        _, _, kind, cookie, offset, length = REQUEST.unpack_from(came, at)
        at += REQUEST.size
        if kind == READ:
            replies.append(REPLY.pack(REPLY_MAGIC, 0, cookie))
            replies.append(disk[offset : offset + length])
        elif kind == WRITE:
            here = min(length, filled - at)
            disk[offset : offset + here] = came[at : at + here]
            at += here
            if here < length:
                connection.recv_into(disk[offset + here : offset + length], 0, socket.MSG_WAITALL)
            replies.append(REPLY.pack(REPLY_MAGIC, 0, cookie))
        elif kind == DISCONNECT:
            return at, False
        else:
            replies.append(REPLY.pack(REPLY_MAGIC, 0 if kind == FLUSH else INVALID, cookie))
    return at, True


def _send(connection: socket.socket, replies: list[bytes | memoryview]) -> None:
    if not replies:
        return
    sent = connection.sendmsg(replies)
    whole = sum(map(len, replies))
    if sent < whole:
        connection.sendall(b"".join(replies)[sent:])


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

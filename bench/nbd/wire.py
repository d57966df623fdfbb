"""The NBD protocol as far as the plain Python servers need it: newstyle fixed, simple replies.

Source: the protocol's description, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

from __future__ import annotations

import socket
import struct
from typing import Final

READ, WRITE, DISCONNECT, FLUSH = range(4)
REQUEST: Final = struct.Struct(">IHHQQI")  # magic, flags, type, cookie, offset, length
REPLY: Final = struct.Struct(">IIQ")  # magic, error, cookie
REPLY_MAGIC = 0x67446698
INVALID = 22

_OPTION_MAGIC, _OPTION_REPLY_MAGIC = 0x49484156454F5054, 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _EXPORT, _UNSUPPORTED = 1, 3, (1 << 31) + 1
_HAS_FLAGS, _SEND_FLUSH = 1, 4
_OPTION = struct.Struct(">QII")
_OPTION_REPLY = struct.Struct(">QIII")


def shake_hands(connection: socket.socket, size: int) -> bool:
    """Offers one disk of so many bytes; whether the client wants it, or hung up."""
    greeting = struct.pack(">QH", _OPTION_MAGIC, _FIXED_NEWSTYLE | _NO_ZEROES)
    try:
        connection.sendall(b"NBDMAGIC" + greeting)
        (flags,) = struct.unpack(">I", _exactly(connection, 4))
        while True:
            _, option, length = _OPTION.unpack(_exactly(connection, _OPTION.size))
            _exactly(connection, length)
            if option == _EXPORT_NAME:
                padding = b"" if flags & _NO_ZEROES else bytes(124)
                connection.sendall(_export(size) + padding)
                return True
            _reply(connection, option, size)
            if option in (_GO, _ABORT):
                return bool(option == _GO)
    except (EOFError, ConnectionError):
        return False


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = connection.recv(length, socket.MSG_WAITALL) if length else b""
    if len(received) < length:
        raise EOFError
    return received


def _export(size: int) -> bytes:
    return struct.pack(">QH", size, _HAS_FLAGS | _SEND_FLUSH)


def _reply(connection: socket.socket, option: int, size: int) -> None:
    answers = [(_ACK if option == _ABORT else _UNSUPPORTED, b"")]
    if option in (_INFO, _GO):
        answers = [(_EXPORT, bytes(2) + _export(size)), (_ACK, b"")]
    for kind, data in answers:
        head = _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data))
        connection.sendall(head + data)

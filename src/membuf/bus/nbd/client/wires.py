"""What carries the bytes of a connection: a socket, plain or under TLS, that never waits."""

from __future__ import annotations

import contextlib
from socket import MSG_NOSIGNAL
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import socket
    import ssl

Bytes = bytes | memoryview

_RECORD: Final = 16384


class LostError(Exception):
    """A connection that is no more, or of no more use; says why."""


class Wire(Protocol):
    """What carries bytes. Its calls come one at a time.

    Attributes:
        pending: whether `send` is to be called again, with anything, once the socket takes bytes.
    """

    pending: bool

    def receive(self, view: memoryview) -> int:
        """Receive into a view; the count of bytes, 0 where there are none now.

        Raises:
            LostError: there will be none any more.
        """
        ...

    def send(self, buffers: list[Bytes]) -> int:
        """Send from buffers in their order; the count of bytes taken, 0 where none can be now.

        Raises:
            LostError: nobody receives them any more.
        """
        ...

    def fileno(self) -> int:
        """The socket's descriptor."""
        ...

    def close(self) -> None:
        """Close the socket."""


class PlainWire:
    """A socket as it is; see `Wire`.

    >>> import socket
    >>> ours, theirs = socket.socketpair()
    >>> ours.setblocking(False)
    >>> wire, data = PlainWire(ours), bytearray(8)
    >>> wire.receive(memoryview(data)), theirs.send(b"hello"), wire.receive(memoryview(data))
    (0, 5, 5)
    >>> wire.close(), theirs.close()
    (None, None)
    """

    pending = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def receive(self, view: memoryview) -> int:
        """Receive into a view."""
        try:
            count = self._sock.recv_into(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LostError(str(error)) from error
        if not count:
            raise LostError("the server closed it")
        return count

    def send(self, buffers: list[Bytes]) -> int:
        """Send from buffers."""
        try:
            return self._sock.sendmsg(buffers, (), MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LostError(str(error)) from error

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class TlsWire:
    """A socket under TLS; see `Wire`.

    What was begun to be sent must be sent to its end, whatever becomes of its memory: a record is
    copied before.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._record = b""
        self.pending = False

    def receive(self, view: memoryview) -> int:
        """Receive into a view."""
        import ssl

        try:
            count = self._sock.recv_into(view)
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLWantWriteError:
            self.pending = True
            return 0
        except OSError as error:
            raise LostError(f"TLS: {error}") from error
        if not count:
            raise LostError("the server closed it")
        return count

    def send(self, buffers: list[Bytes]) -> int:
        """Send from buffers."""
        self.pending = False
        if self._record and not self._send_record():
            return 0
        parts: list[Bytes] = []
        count = 0
        for buffer in buffers:
            part = buffer[: _RECORD - count]
            parts.append(part)
            count += len(part)
            if count == _RECORD:
                break
        self._record = b"".join(parts)
        if self._record:
            self._send_record()
        return count

    def _send_record(self) -> bool:
        """Send what was begun; whether all of it has gone."""
        import ssl

        try:
            sent = self._sock.send(self._record)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError as error:
            raise LostError(f"TLS: {error}") from error
        self._record = self._record[sent:]
        self.pending = bool(self._record)
        return not self._record

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket; a goodbye would need an answer."""
        with contextlib.suppress(OSError):
            self._sock.close()

"""From a URI to a connection on which everything is agreed: connect, negotiate, secure."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_errno, from_status
from membuf.bus.nbd.client.greeting import Agreement, Greeting, Returned, StartTls, Steps
from membuf.bus.nbd.client.wires import LostError, PlainWire, TlsWire, Wire
from membuf.bus.nbd.protocol import LARGEST_NAME

if TYPE_CHECKING:
    from membuf.bus.nbd.client.bell import Bell
    from membuf.bus.nbd.uri import NbdUri

CONNECT_SECONDS: Final = 30.0
_FULL_SECONDS: Final = 0.01


class StoppedError(Exception):
    """Nobody wants the connection any more."""


class Dialer:
    """Makes one connection.

    Args:
        uri: to what.
        seconds: how long all of it may take.
        bell: rung when it is to look whether it is still wanted.
        stopped: says whether it is not.
    """

    def __init__(
        self,
        uri: NbdUri,
        seconds: float,
        bell: Bell | None = None,
        stopped: Callable[[], bool] = bool,
    ) -> None:
        if len(uri.export.encode()) > LARGEST_NAME:
            raise InvalidParameterError(
                f"an export's name has at most {LARGEST_NAME} bytes; got {len(uri.export)} letters"
            )
        self._uri, self._seconds = uri, seconds
        self._deadline = time.monotonic() + seconds
        self._bell, self._stopped = bell, stopped
        self._sock: socket.socket | None = None
        self._wire: Wire | None = None

    def open(self) -> tuple[Wire, Agreement]:
        """Open the export.

        Raises:
            MembufError: it cannot be; the error says what was expected, what came, and where.
            StoppedError: it is not wanted any more.
        """
        agreement = self._negotiate(self._greeting.open(self._uri.export))
        wire, self._wire, self._sock = self._wire, None, None
        if wire is None:
            raise RuntimeError("a negotiation without a connection")
        return wire, agreement

    def ask(self, want: Callable[[Greeting], Steps[Returned]]) -> Returned:
        """Ask the server something, and hang up.

        Raises:
            MembufError: see `open`.
        """
        try:
            return self._negotiate(want(self._greeting))
        finally:
            self._hang_up()

    @property
    def _greeting(self) -> Greeting:
        return Greeting(self._uri.place, tls=self._uri.tls)

    def _negotiate(self, steps: Steps[Returned]) -> Returned:
        try:
            self._sock = self._connect()
            self._wire = PlainWire(self._sock)
            return self._run(steps)
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._sock is not None:
            self._sock.close()

    # ---- connecting -----------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        failed: OSError | None = None
        addresses, end = list(self._addresses()), self._deadline
        for tried, (family, address) in enumerate(addresses):
            now = time.monotonic()
            # One that does not answer leaves the others their share of the time.
            self._deadline = now + (end - now) / (len(addresses) - tried)
            sock: socket.socket | None = None
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                self._reach(sock, address)
            except OSError as error:
                if sock is not None:
                    sock.close()
                failed = error
            except BaseException:
                if sock is not None:
                    sock.close()
                raise
            else:
                self._deadline = end
                return sock
        number = errno.EHOSTUNREACH if failed is None else failed.errno or errno.EIO
        raise from_errno(number, "cannot connect to the NBD server", self._uri.place) from failed

    def _addresses(self) -> Iterator[tuple[int, Any]]:
        uri = self._uri
        if uri.socket is not None:
            yield socket.AF_UNIX, uri.socket
            return
        try:
            found = socket.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise from_errno(
                errno.EHOSTUNREACH, f"there is no such NBD server, {words}", uri.place
            ) from error
        for family, _, _, _, address in found:
            yield family, address

    def _reach(self, sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_UNIX:
            self._reach_here(sock, address)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        number = sock.connect_ex(address)
        if number == errno.EINPROGRESS:
            self._wait(sock, select.POLLOUT)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, "cannot connect")

    def _reach_here(self, sock: socket.socket, path: str) -> None:
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:  # the server is slow to take up those before
                self._wait(None, 0, _FULL_SECONDS)
            else:
                return

    # ---- negotiating ----------------------------------------------------------------------------

    def _run(self, steps: Steps[Returned]) -> Returned:
        try:
            step = next(steps)
            while True:
                answer = b""
                try:
                    if isinstance(step, StartTls):
                        self._secure()
                    elif isinstance(step, int):
                        answer = self._receive(step)
                    else:
                        # If nobody takes it, the next answer says why; it may be here already.
                        with contextlib.suppress(LostError):
                            self._send(step)
                except LostError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            returned: Returned = stop.value
            return returned
        except LostError as error:
            raise from_errno(
                errno.ECONNRESET,
                f"the NBD server {self._uri.place} ended the negotiation, {error}",
            ) from error

    def _receive(self, count: int) -> bytes:
        data = bytearray(count)
        with memoryview(data) as view:
            done = 0
            while done < count:
                got = self._now().receive(view[done:])
                done += got
                if not got:
                    self._wait(self._sock, select.POLLIN)
        return bytes(data)

    def _send(self, data: bytes) -> None:
        while data or self._now().pending:
            sent = self._now().send([data])
            data = data[sent:]
            if data or self._now().pending:
                self._wait(self._sock, select.POLLOUT)

    def _now(self) -> Wire:
        if self._wire is None:
            raise RuntimeError("a negotiation without a connection")
        return self._wire

    @property
    def _plain(self) -> socket.socket:
        if self._sock is None:
            raise RuntimeError("a negotiation without a connection")
        return self._sock

    def _secure(self) -> None:
        import ssl

        from membuf.bus.nbd.tls import client_context, server_name

        secure = client_context(self._uri).wrap_socket(
            self._plain, server_hostname=server_name(self._uri), do_handshake_on_connect=False
        )
        self._sock, self._wire = secure, TlsWire(secure)
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(secure, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(secure, select.POLLOUT)
            except OSError as error:
                raise self._insecure(error) from error
            else:
                return

    def _insecure(self, error: OSError) -> MembufError:
        words = getattr(error, "verify_message", "") or str(error)
        return from_status(
            st.STATUS_ACCESS_DENIED, f"no TLS with the NBD server {self._uri.place}: {words}"
        )

    # ---- waiting --------------------------------------------------------------------------------

    def _wait(self, sock: socket.socket | None, events: int, most: float | None = None) -> None:
        """Wait until the socket can go on, or for so many seconds."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise from_errno(
                errno.ETIMEDOUT,
                f"the NBD server {self._uri.place} did not answer within {self._seconds:g} seconds",
            )
        poll = select.poll()
        if sock is not None:
            poll.register(sock, events)
        if self._bell is not None:
            poll.register(self._bell.fileno(), select.POLLIN)
        poll.poll(1000 * (left if most is None else min(left, most)) + 1)
        if self._bell is not None:
            self._bell.clear()
        if self._stopped():
            raise StoppedError

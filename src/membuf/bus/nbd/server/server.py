"""The server: it listens, has a connection for each client, and ends them all.

    made --start--> serving --stop--> draining --> stopped

It runs on an event loop: one's own (`await server.serve()`), or one on a thread of its own
(`start` and `stop`, or `with`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, from_status
from membuf.bus.nbd._command import Buffers, Counters
from membuf.bus.nbd.protocol import LARGEST_NAME, Command
from membuf.bus.nbd.server.connection import Connection
from membuf.bus.nbd.server.export import Export, Served, open_export
from membuf.bus.nbd.server.limits import ServerLimits
from membuf.bus.nbd.server.listening import PERMISSIONS, Listener
from membuf.bus.nbd.server.workers import Workers
from membuf.bus.nbd.uri import NbdUri, parse_uri
from membuf.request.reports import report

if TYPE_CHECKING:
    import ssl

    from membuf.bus.nbd.tls import TlsServer
    from membuf.request.irp import Irp

log: Final = logging.getLogger("membuf.nbd")

_LOOK_SECONDS: Final = 1.0
_BACK_OFF_SECONDS: Final = 0.25
_UNSENT: Final = 1 << 20
"""Bytes of replies that the system may hold for a client; it may allow for less."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NAMES: Final = {
    Command.READ: "read",
    Command.WRITE: "write",
    Command.FLUSH: "flush",
    Command.TRIM: "trim",
    Command.WRITE_ZEROES: "zero",
    Command.CACHE: "cache",
    Command.BLOCK_STATUS: "status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """The counters of a server.

    Attributes:
        connections: clients now.
        connections_total: clients until now.
        refused: connections that ended before the transmission began, against the client's wish.
        requests: commands by their names.
        bytes_read, bytes_written: what clients read and wrote.
        errors: commands that were answered with an error.
        in_flight, peak_in_flight: commands on their way, now and at most.
        seconds: since it began to listen.

    >>> import membuf
    >>> with membuf.open_target("null:1MiB") as disk:
    ...     Server(disk, "nbd://localhost").statistics().connections
    0
    """

    connections: int
    connections_total: int
    refused: int
    requests: Mapping[str, int]
    bytes_read: int
    bytes_written: int
    errors: int
    in_flight: int
    peak_in_flight: int
    seconds: float


class Shared:
    """What all connections of a server share.

    Attributes:
        exports: what is served, by name.
        limits: what clients may take.
        tls_mode: "off", "allow" or "require".
        tls_context: what secures connections, or None.
        buffers: the memory of what commands carry.
        counters: what was done.
        draining: whether no further command is taken.
    """

    def __init__(self, limits: ServerLimits, tls: TlsServer | None, threads: int) -> None:
        self.exports: dict[str, Export] = {}
        self.limits = limits
        self.tls_mode = "off"
        self.tls_context: ssl.SSLContext | None = None
        if tls is not None:
            from membuf.bus.nbd.tls import server_context

            self.tls_mode = "require" if tls.require else "allow"
            self.tls_context = server_context(tls)
        self.buffers = Buffers("Nbd ")
        self.counters = Counters()
        self.draining = False
        self.workers = Workers(threads) if threads else None

    def submitter(self, export: Export) -> Callable[[Irp], None]:
        """What takes the packets of an export: it itself, or the threads that call it."""
        return export.submit if self.workers is None else self.workers.submitter(export.submit)

    def report(self, error: BaseException, where: str) -> None:
        """Tell of an error that no client can be blamed for."""
        report(error, where)

    def close(self) -> None:
        """Give everything back."""
        if self.workers is not None:
            self.workers.close()
        self.buffers.delete()


class Server:
    """Serves disks to NBD clients.

    Args:
        targets: a device, a target, or several of them by their export names. They stay the
            caller's to close.
        uri: where to listen: `nbd+unix:///NAME?socket=PATH` or `nbd://HOST:PORT/NAME`; the name is
            that of a single export. A port of 0 is not a URI's: make it by `NbdUri(port=0)`.
        readonly: let nobody write.
        tls: certificates, and whether clients must use TLS; None for no TLS.
        limits: what clients may take.
        threads: where handlers block (they wait for a disk, say), so many threads call them; with
            0 the event loop does, and they must not block.
        permissions: of the file of a unix socket.

    Raises:
        InvalidParameterError: the URI is none, a name is too long, or nothing is to be served.

    >>> import membuf, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> uri = f"nbd+unix:///?socket={folder.name}/s"
    >>> with membuf.open_target("ram:1MiB") as disk, Server(disk, uri) as server:
    ...     with membuf.open_target(uri) as client:
    ...         client.write(b"hello", 4096), client.size, server.statistics().requests["write"]
    (5, 1048576, 1)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        targets: Served | Mapping[str, Served],
        uri: str | NbdUri,
        *,
        readonly: bool = False,
        tls: TlsServer | None = None,
        limits: ServerLimits | None = None,
        threads: int = 0,
        permissions: int = PERMISSIONS,
    ) -> None:
        self._given = parse_uri(uri) if isinstance(uri, str) else uri
        self._targets = _by_name(targets, self._given.export)
        self._readonly = readonly
        self._permissions = permissions
        self._shared = Shared(limits or ServerLimits(), tls, threads)
        self._connections: set[Connection] = set()
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._total = self._refused = 0
        self._began = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._drain_seconds = 0.0
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._used = False

    # ---- looking --------------------------------------------------------------------------------

    @property
    def uri(self) -> NbdUri:
        """Where it listens, with the port that it got."""
        return self._given if self._listener is None else self._listener.uri

    @property
    def exports(self) -> Mapping[str, Export]:
        """What it serves, once it has started."""
        return self._shared.exports

    def statistics(self) -> ServerStatistics:
        """Its counters."""
        counters = self._shared.counters
        return ServerStatistics(
            connections=len(self._connections),
            connections_total=self._total,
            refused=self._refused,
            requests={name: counters.of_command(kind) for kind, name in _NAMES.items()},
            bytes_read=counters.bytes_read,
            bytes_written=counters.bytes_written,
            errors=counters.errors,
            in_flight=counters.in_flight,
            peak_in_flight=counters.peak_in_flight,
            seconds=time.monotonic() - self._began,
        )

    # ---- on one's own loop ----------------------------------------------------------------------

    async def serve(self, ready: Callable[[], object] | None = None) -> None:
        """Serve until `stop` is called, or the task is cancelled.

        Args:
            ready: called when clients can connect.

        Raises:
            TargetError: it cannot listen there.
            InvalidDeviceStateError: it served before.
            MembufError: a target cannot be served.
        """
        if self._used:
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} serves or served already: make another"
            )
        self._used = True
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            self._shared.exports.update(await self._open(self._targets))
            self._listener = Listener(self._given, self._permissions)
            try:
                await self._serve(self._loop, ready)
            finally:
                self._listener.close()
                await self._end()
        finally:
            self._shared.close()

    async def _serve(
        self, loop: asyncio.AbstractEventLoop, ready: Callable[[], object] | None
    ) -> None:
        assert self._listener is not None  # noqa: S101
        assert self._stopping is not None  # noqa: S101
        self._began = time.monotonic()
        for listening in self._listener.sockets:
            loop.add_reader(listening.fileno(), self._accept, listening)
        try:
            if ready is not None:
                ready()
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)
                for connection in list(self._connections):
                    connection.look(_LOOK_SECONDS)
        finally:
            for listening in self._listener.sockets:
                loop.remove_reader(listening.fileno())

    async def replace(self, targets: Served | Mapping[str, Served]) -> None:
        """Serve other targets to whoever connects from now on; called on the loop.

        Clients that are there keep what they have; `drop` ends them.
        """
        opened = await self._open(_by_name(targets, self._given.export))
        self._shared.exports.clear()
        self._shared.exports.update(opened)

    def drop(self) -> None:
        """End the connections that there are, once what they asked for is answered."""
        for connection in list(self._connections):
            connection.drop()

    async def _open(self, targets: Mapping[str, Served]) -> dict[str, Export]:
        largest = self._shared.limits.request_bytes
        return {
            name: await open_export(name, served, readonly=self._readonly, largest=largest)
            for name, served in targets.items()
        }

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, address = listening.accept()
        except OSError as error:  # nobody is there any more, or no descriptor is left
            if error.errno in _EXHAUSTED:
                self._back_off(listening, error)
            return
        client.setblocking(False)
        with contextlib.suppress(OSError):  # it is gone already: reading will tell
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
        if len(self._connections) >= self._shared.limits.connections:
            self._refused += 1
            log.warning("a client is refused: there are %d", len(self._connections))
            client.close()
            return
        if client.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # it is gone already: reading will tell
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._total += 1
        peer = f"client {self._total}" if not address else f"client {self._total} at {address[0]}"
        connection = Connection(self._shared, client, peer)
        self._connections.add(connection)
        task = asyncio.get_running_loop().create_task(self._run(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    def _back_off(self, listening: socket.socket, error: OSError) -> None:
        """Whoever waits goes on waiting: looking at once would find the same, again and again."""
        loop = asyncio.get_running_loop()
        log.warning("no client can be accepted now: %s", error)
        loop.remove_reader(listening.fileno())

        def accept_again() -> None:
            if listening.fileno() >= 0:
                loop.add_reader(listening.fileno(), self._accept, listening)

        loop.call_later(_BACK_OFF_SECONDS, accept_again)

    async def _run(self, connection: Connection) -> None:
        try:
            why = await connection.run()
            if why:
                self._refused += connection.session is None
                log.warning("%s: %s", connection.peer, why)
        except Exception as error:  # noqa: BLE001 - one connection's end is no other's
            self._shared.report(error, f"serving {connection.peer}")
        finally:
            self._connections.discard(connection)

    async def _end(self) -> None:
        """Let the connections answer what they were asked, for a while; then end them."""
        self._shared.draining = True
        for task, connection in list(self._tasks.items()):
            if connection.session is None:
                task.cancel()  # it was asked nothing yet
            else:
                connection.drain()
        serving = {task for task in self._tasks if not task.done()}
        if serving and self._drain_seconds > 0:
            await asyncio.wait(serving, timeout=self._drain_seconds)
        left = {task for task in serving if not task.done()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LOOK_SECONDS)

    # ---- on a thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Serve on a thread of its own; when this returns, clients can connect.

        Raises:
            MembufError: as of `serve`.
        """
        ready = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self.serve(ready.set))
            except BaseException as error:  # noqa: BLE001 - who started it hears of it
                failure.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="membuf-nbd", daemon=True)
        thread.start()
        ready.wait()
        if failure:
            thread.join()
            raise failure[0]
        self._thread = thread

    def stop(self, drain_seconds: float = 10.0) -> None:
        """Take no more, answer what was asked, and end; called on any thread.

        Args:
            drain_seconds: how long what is on its way may take.

        Where it runs on a thread of its own, that has ended when this returns.
        """
        loop, stopping = self._loop, self._stopping
        if loop is None or stopping is None:
            return
        self._drain_seconds = drain_seconds
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stopping.set)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<membuf.bus.nbd.Server at {self.uri}>"


def _by_name(targets: Served | Mapping[str, Served], name: str) -> dict[str, Served]:
    found = dict(targets) if isinstance(targets, Mapping) else {name: targets}
    if not found:
        raise InvalidParameterError("a server serves at least one target; got none")
    for one in found:
        try:
            size = len(one.encode())
        except UnicodeError as error:
            raise InvalidParameterError(f"an export's name is UTF-8; got {one!r}") from error
        if size > LARGEST_NAME:
            raise InvalidParameterError(
                f"an export's name has up to {LARGEST_NAME} bytes; got {size}"
            )
    return found

"""One client of a server, from its first byte to its last."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import ssl
import sys
import termios
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from membuf.base.errors import MembufError
from membuf.bus.nbd._channel import Channel
from membuf.bus.nbd._command import Command
from membuf.bus.nbd.server.negotiation import HangUpError, Negotiation, Session, Steps
from membuf.bus.nbd.server.operations import Operations
from membuf.bus.nbd.server.stream import Stream

if TYPE_CHECKING:
    from membuf.bus.nbd.server.server import Shared
    from membuf.request.irp import Irp
    from membuf.request.originator import Handle

_STEPS_AT_ONCE: Final = 32


class Connection:
    """A client's connection.

    Args:
        shared: what all connections of the server share.
        client: the socket, non-blocking.
        peer: what reports call it.

    Attributes:
        peer: what reports call it.
        session: what was agreed on; None while it negotiates.
    """

    def __init__(self, shared: Shared, client: socket.socket, peer: str) -> None:
        self._shared = shared
        self._stream = Stream(client)
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._quiet: asyncio.Future[None] = self._loop.create_future()
        self._handle: Handle | None = None
        self._channel: Channel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen = (0, 0)
        self._stalled_for = 0.0
        self._reading = self._dropped = False
        self.peer = peer
        self.session: Session | None = None

    async def run(self) -> str:
        """Serve the client to its end; why it ended, "" where that was its wish."""
        try:
            async with asyncio.timeout(self._shared.limits.handshake_seconds):
                session = await self._negotiate()
                handle = await self._open(session)
            self.session = session
            return await self._transmit(session, handle)
        except HangUpError as error:
            return "" if error.polite else str(error)
        except TimeoutError:
            return f"it took more than {self._shared.limits.handshake_seconds} s to negotiate"
        except ssl.SSLError as error:
            return f"TLS: {error.reason or error}"
        except (EOFError, OSError) as error:
            return f"the connection was lost in the negotiation: {error}"
        finally:
            self._stream.socket.close()

    async def _negotiate(self) -> Session:
        shared = self._shared
        steps: Steps = Negotiation(shared.exports, shared.tls_mode).steps()
        answer: bytes | None = None
        taken = 0
        while True:
            taken += 1
            if taken % _STEPS_AT_ONCE == 0:
                await asyncio.sleep(0)  # where nothing has to be waited for, others have their turn
            try:
                step = steps.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                session: Session = end.value
                return session
            answer = b""
            if isinstance(step, int):
                answer = await self._stream.receive(step)
            elif isinstance(step, bytes):
                try:
                    await self._stream.send(step)
                except OSError as error:
                    steps.throw(error)
            elif shared.tls_context is not None:
                await self._stream.start_tls(shared.tls_context)

    # ---- transmission ---------------------------------------------------------------------------

    async def _open(self, session: Session) -> Handle | None:
        try:
            return await session.export.open()
        except MembufError as error:
            raise HangUpError(f"the device does not let itself be opened: {error}") from error

    async def _transmit(self, session: Session, handle: Handle | None) -> str:
        if handle is not None:
            handle.hold()  # its packets are on their way without its knowing
        self._handle = handle
        try:
            return await self._serve(session, handle)
        finally:
            if handle is not None:
                handle.close()
            # The connection is over when nothing of it is on its way; if that outlasts the server,
            # the last packet ends the file.
            await self._quiet

    async def _serve(self, session: Session, handle: Handle | None) -> str:
        file = None if handle is None else handle.file
        submit = self._shared.submitter(session.export)
        self._operations = Operations(session.export, submit, file)
        self._channel = channel = self._make_channel(session, submit, file)
        try:
            self.resume()
            if self._shared.draining or self._dropped:
                channel.drain()
            else:
                channel.readable()  # what came behind the negotiation
            return await self._over
        finally:
            self._operations.cancel()
            channel.close()
            self.pause()
            self._loop.remove_writer(self._fd)

    def _make_channel(
        self, session: Session, submit: Callable[[Irp], None], file: object
    ) -> Channel:
        shared, export, stream = self._shared, session.export, self._stream
        limits = shared.limits
        smallest, _, largest = export.block_sizes
        self._fd = stream.socket.fileno()
        return Channel(
            self,
            self._fd,
            threading.get_ident(),
            submit,
            shared.buffers,
            shared.counters,
            attach=export.attach,
            tls=stream.socket if stream.secure else None,
            size=export.size,
            smallest=smallest,
            largest=largest,
            readonly=export.readonly,
            structured=session.structured,
            status=session.allocation,
            write_through=export.write_through,
            clear=export.clears,
            file=file,
            depth=export.stack_depth,
            most_commands=limits.requests,
            most_bytes=limits.bytes,
        )

    def look(self, seconds: float) -> None:
        """Some time has passed: a client that is waited for without end is dropped."""
        channel = self._channel
        if channel is None or channel.closed:
            return
        seen = (channel.progress, self._unsent())
        if not channel.waits or seen != self._seen:
            self._seen, self._stalled_for = seen, 0.0
            return
        self._stalled_for += seconds
        if self._stalled_for >= self._shared.limits.stall_seconds:
            self.over(f"the client has stood still for {self._stalled_for:.0f} s")

    def _unsent(self) -> int:
        """Bytes that the system holds for the client; it takes more only when most are gone."""
        try:
            answer = fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))
        except OSError:  # it is gone: reading will tell
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def drain(self) -> None:
        """Take no further command, and end when all are answered."""
        if self._channel is not None:
            self._channel.drain()

    def drop(self) -> None:
        """As `drain`, also where it is still being let in."""
        self._dropped = True
        self.drain()

    # ---- what the channel tells -----------------------------------------------------------------

    def pause(self) -> None:
        """Read no further."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read on."""
        if not self._reading and self._channel is not None:
            self._reading = True
            self._loop.add_reader(self._fd, self._channel.readable)

    def watch_writing(self, yes: bool) -> None:
        """Whether to tell when the socket takes bytes again."""
        if not yes:
            self._loop.remove_writer(self._fd)
        elif self._channel is not None:
            self._loop.add_writer(self._fd, self._channel.writable)

    def soon(self, function: Callable[[], object]) -> None:
        """Call it on the loop, soon."""
        self._loop.call_soon(function)

    def soon_from_elsewhere(self, function: Callable[[], object]) -> None:
        """Call it on the loop, from another thread; here, where the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            function()

    def perform(self, command: Command) -> None:
        """Do what is more than one packet."""
        task = self._loop.create_task(self._perform(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, command: Command) -> None:
        error, status = errno.EIO, None
        try:
            error, status = await self._operations.perform(command)
        except Exception as failure:  # noqa: BLE001 - whatever it was, the client gets its answer
            self.report(failure)
        finally:
            if self._channel is not None:
                self._channel.conclude(command, error, status)

    def report(self, error: BaseException) -> None:
        """What is served failed in a way that it should not."""
        self._shared.report(error, f"serving {self.peer}")

    def over(self, reason: str) -> None:
        """The connection ends."""
        if not self._over.done():
            self._over.set_result(reason)

    def ended(self) -> None:
        """The channel is closed, and nothing is on its way any more."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.let_go()
        if not self._quiet.done():
            self._quiet.set_result(None)

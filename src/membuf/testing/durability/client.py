"""A small NBD client that says of each write whether it is to be durable.

It shares nothing with the library's own client but the protocol's numbers: what one of them gets
wrong, the other need not.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from types import TracebackType
from typing import Final, Self

from membuf.base.errors import from_errno
from membuf.bus.nbd import NbdUri, parse_uri
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Command, CommandFlag, Flag, Option, Reply

_CONNECT_SECONDS: Final = 30.0


class Client:
    """A connection to an NBD server; `async with` ends it.

    Simple replies only, no TLS. Commands may be sent while others are on their way.

    Attributes:
        size: bytes of the export.
        smallest: what offsets and lengths are multiples of.
        flags: what it can do.

    >>> import membuf, tempfile
    >>> from membuf.bus.nbd import Server
    >>> async def hello(uri):
    ...     async with await Client.connect(uri) as client:
    ...         await client.write(4096, b"hello", durable=True)
    ...         return await client.read(4096, 5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     uri = f"nbd+unix:///?socket={folder}/s"
    ...     with membuf.open_target("ram:1MiB") as disk, Server(disk, uri):
    ...         asyncio.run(hello(uri))
    b'hello'
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._cookies = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[bytes], int]] = {}
        self._lost: Exception | None = None
        self._hearing: asyncio.Task[None] | None = None
        self.size, self.smallest = 0, 1
        self.flags = Flag.HAS_FLAGS

    @classmethod
    async def connect(cls, uri: str | NbdUri) -> Self:
        """Connect, and wait for a server that has not begun to listen.

        Raises:
            OSError: nobody listens there, half a minute long.
            TargetError: it has no such export.
        """
        place = parse_uri(uri) if isinstance(uri, str) else uri
        end = asyncio.get_running_loop().time() + _CONNECT_SECONDS
        while True:
            try:
                if place.socket is not None:
                    ends = await asyncio.open_unix_connection(place.socket)
                else:
                    ends = await asyncio.open_connection(place.host, place.port)
                client = cls(*ends)
                await client._negotiate(place.export.encode())
                client._hearing = asyncio.create_task(client._hear())
            except (OSError, EOFError):
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(0.01)
            else:
                return client

    async def _negotiate(self, export: bytes) -> None:
        await self._reader.readexactly(nbd.GREETING.size)
        wanted = (
            struct.pack(">I", len(export)) + export + struct.pack(">HH", 1, nbd.Info.BLOCK_SIZE)
        )
        self._writer.write(
            nbd.CLIENT_FLAGS.pack(nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES)
            + nbd.OPTION.pack(nbd.OPTION_MAGIC, Option.GO, len(wanted))
            + wanted
        )
        while True:
            head = await self._reader.readexactly(nbd.OPTION_REPLY.size)
            _, _, kind, length = nbd.OPTION_REPLY.unpack(head)
            data = await self._reader.readexactly(length)
            if kind == Reply.ACK:
                return
            if kind >= Reply.ERROR:
                self._writer.close()
                raise from_errno(2, f"the server has no export {export!r}: {data!r}")
            if struct.unpack_from(">H", data)[0] == nbd.Info.EXPORT:
                _, self.size, flags = nbd.EXPORT_INFO.unpack(data)
                self.flags = Flag(flags)
            elif len(data) == nbd.BLOCK_SIZES.size:
                _, self.smallest, _, _ = nbd.BLOCK_SIZES.unpack(data)

    async def _hear(self) -> None:
        """Take the replies, to the end of the connection."""
        try:
            while True:
                head = await self._reader.readexactly(nbd.SIMPLE_REPLY.size)
                _, error, cookie = nbd.SIMPLE_REPLY.unpack(head)
                future, length = self._waiting.pop(cookie)
                data = await self._reader.readexactly(0 if error else length)
                if future.done():
                    continue
                if error:
                    future.set_exception(
                        from_errno(nbd.errno_of_error(error), "the server's answer")
                    )
                else:
                    future.set_result(data)
        except (OSError, EOFError) as error:
            self._lost = ConnectionResetError(f"the connection was lost: {error}")
        except asyncio.CancelledError:
            self._lost = ConnectionResetError("the connection was closed")
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(self._lost)

    async def command(
        self, kind: Command, offset: int, length: int, *, data: bytes = b"", flags: int = 0
    ) -> bytes:
        """Have the server do something; the bytes it answers.

        Raises:
            MembufError: it answered with an error.
            ConnectionError: it did not answer.
        """
        if self._lost is not None:
            raise self._lost
        if self._writer.is_closing():  # and nobody has heard of it yet
            raise ConnectionResetError("the connection was lost")
        cookie = next(self._cookies)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[cookie] = future, length if kind is Command.READ else 0
        head = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, kind, cookie, offset, length)
        self._writer.write(head + data)
        with contextlib.suppress(ConnectionError):  # whoever hears replies hears of it
            await self._writer.drain()
        return await future

    async def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""
        return await self.command(Command.READ, offset, length)

    async def write(self, offset: int, data: bytes, *, durable: bool = False) -> None:
        """Write, with FUA where it is to be durable."""
        flags = CommandFlag.FUA if durable else 0
        await self.command(Command.WRITE, offset, len(data), data=data, flags=flags)

    async def zero(self, offset: int, length: int, *, durable: bool = False) -> None:
        """Make zeros, with FUA where that is to be durable."""
        flags = CommandFlag.FUA if durable else 0
        await self.command(Command.WRITE_ZEROES, offset, length, flags=flags)

    async def flush(self) -> None:
        """Have what was written made durable."""
        await self.command(Command.FLUSH, 0, 0)

    async def close(self) -> None:
        """End the connection."""
        if self._lost is None:
            self._writer.write(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, Command.DISC, 0, 0, 0))
        if self._hearing is not None:
            self._hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._hearing
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

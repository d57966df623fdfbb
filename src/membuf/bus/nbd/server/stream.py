"""The socket of a connection while it negotiates: exact reads, whole writes, and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class Stream:
    """A non-blocking socket, awaited.

    Args:
        connection: the socket, non-blocking.

    Attributes:
        socket: the socket, a secured one once TLS has started.
        secure: whether it has.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.secure = False

    async def receive(self, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            EOFError: the other end sends no more.
            OSError: the connection was lost.
        """
        data = bytearray(count)
        done = 0
        while done < count:
            view = memoryview(data)[done:]
            got = await self._attempt(partial(self._receive_into, view), reading=True)
            if not got:
                raise EOFError("the connection was closed")
            done += got
        return bytes(data)

    async def send(self, data: bytes) -> None:
        """All of the bytes."""
        view = memoryview(data)
        while view:
            sent = await self._attempt(partial(self._send, view), reading=False)
            view = view[sent:]

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Secure it, as the server.

        Raises:
            ssl.SSLError: the client does not agree.
        """
        secured = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self.socket = secured
        await self._attempt(secured.do_handshake, reading=True)
        self.secure = True

    def _receive_into(self, view: memoryview) -> int:
        return self.socket.recv_into(view)

    def _send(self, view: memoryview) -> int:
        return self.socket.send(view)

    async def _attempt(self, function: Callable[[], T], *, reading: bool) -> T:
        """Do it as soon as it can be done; `reading` says what a socket without TLS waits for."""
        while True:
            try:
                return function()
            except BlockingIOError:
                await self._ready(reading=reading)
            except ssl.SSLWantReadError:
                await self._ready(reading=True)
            except ssl.SSLWantWriteError:
                await self._ready(reading=False)

    async def _ready(self, *, reading: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        number = self.socket.fileno()

        def tell() -> None:
            if not ready.done():
                ready.set_result(None)

        (loop.add_reader if reading else loop.add_writer)(number, tell)
        try:
            await ready
        finally:
            (loop.remove_reader if reading else loop.remove_writer)(number)

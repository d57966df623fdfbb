"""What a server answers, taken apart without I/O, and held against what it was asked.

A generator says what is to be filled next: bytes of its own, or a `Landing`, a part of a read's
memory. Nothing that does not fit the request is ever asked for: `LostError` ends the connection.

Source: the NBD project's protocol document, "Transmission phase" and "Structured reply message".
"""

# pyright: reportPrivateUsage=false
# Chunks are taken apart by a table of methods.
from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Generator, Mapping
from typing import Final

from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client.exchange import Coverage, Exchange
from membuf.bus.nbd.client.wires import LostError
from membuf.bus.nbd.protocol import Chunk, Command

MOST_EXTENTS: Final = 1 << 20
"""In one reply; a server that has more to say is asked again."""
_LARGEST_ERROR: Final = 65536

_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_HOLE: Final = struct.Struct(">QI")
_ERROR: Final = struct.Struct(">IH")
_HEADS: Final = nbd.SIMPLE_REPLY.size
_FAILURE: Final = 0x8000


class Landing:
    """Bytes of a read that come now.

    Attributes:
        exchange: the read.
        start: where in it they go.
        length: how many.
    """

    __slots__ = ("exchange", "length", "start")

    def __init__(self, exchange: Exchange, start: int, length: int) -> None:
        self.exchange, self.start, self.length = exchange, start, length


Parts = Generator[memoryview | Landing, None, None]


class Replies:
    """The replies of one connection.

    Args:
        find: the command that waits for a cookie's reply, or None.
        ended: told a command whose reply has come.
        structured: whether replies come in chunks.
        context: the number of the context that tells holes from data, or None.

    >>> read = Exchange(Command.READ, 0, 4, [memoryview(data := bytearray(4))])
    >>> parts = Replies({7: read}.get, lambda exchange: print("over", exchange.error)).parts()
    >>> next(parts)[:] = nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, 0, 7)
    >>> landing = next(parts)
    >>> landing.exchange is read, landing.start, landing.length, next(parts).nbytes
    over None
    (True, 0, 4, 16)
    """

    def __init__(
        self,
        find: Callable[[int], Exchange | None],
        ended: Callable[[Exchange], object],
        *,
        structured: bool = False,
        context: int | None = None,
    ) -> None:
        self._find, self._ended = find, ended
        self._structured, self._context = structured, context

    def parts(self) -> Parts:
        """What is to be filled, one after the other, without end.

        Raises:
            LostError: what has come is no reply to anything that was asked.
        """
        head = memoryview(bytearray(nbd.CHUNK.size))
        while True:
            yield head[:_HEADS]
            (magic,) = _U32.unpack_from(head)
            if magic == nbd.SIMPLE_REPLY_MAGIC:
                _, error, cookie = nbd.SIMPLE_REPLY.unpack_from(head)
                yield from self._simple(self._exchange(cookie), error)
            elif magic == nbd.CHUNK_MAGIC and self._structured:
                yield head[_HEADS:]
                _, flags, kind, cookie, length = nbd.CHUNK.unpack(head)
                exchange = self._exchange(cookie)
                yield from self._chunk(exchange, kind, length, bool(flags & nbd.CHUNK_DONE))
            else:
                raise LostError(f"expected a reply, got one with magic {magic:#x}")

    def _exchange(self, cookie: int) -> Exchange:
        exchange = self._find(cookie)
        if exchange is None:
            raise LostError(f"it answered what it was not asked, cookie {cookie:#x}")
        return exchange

    def _simple(self, exchange: Exchange, error: int) -> Parts:
        if exchange.coverage or exchange.extents or exchange.error:
            raise LostError("a simple reply followed chunks")
        if error:
            exchange.fail(nbd.errno_of_error(error), "")
        elif exchange.command == Command.READ:
            if self._structured:
                raise LostError("a simple reply brought what was agreed to come in chunks")
            yield Landing(exchange, 0, exchange.length)
        elif exchange.command == Command.BLOCK_STATUS:
            raise LostError("a simple reply to a question for extents")
        self._ended(exchange)

    # ---- chunks ---------------------------------------------------------------------------------

    def _chunk(self, exchange: Exchange, kind: int, length: int, done: bool) -> Parts:
        take = _TAKES.get(kind, Replies._error if kind & _FAILURE else Replies._unknown)
        yield from take(self, exchange, kind, length)
        if not done:
            if kind == Chunk.NONE:
                raise LostError("an empty chunk that is not the last one")
            return
        if exchange.error is None:
            _check_whole(exchange)
        self._ended(exchange)

    def _nothing(self, exchange: Exchange, _: int, length: int) -> Parts:
        if length:
            raise _misfit(exchange, "an empty chunk", length)
        return
        yield

    def _data(self, exchange: Exchange, _: int, length: int) -> Parts:
        if exchange.command != Command.READ or length <= _U64.size:
            raise _misfit(exchange, "a chunk of data", length)
        place = memoryview(bytearray(_U64.size))
        yield place
        start = _cover(exchange, _U64.unpack(place)[0], length - _U64.size)
        yield Landing(exchange, start, length - _U64.size)

    def _hole(self, exchange: Exchange, _: int, length: int) -> Parts:
        if exchange.command != Command.READ or length != _HOLE.size:
            raise _misfit(exchange, "a chunk of zeros", length)
        place = memoryview(bytearray(_HOLE.size))
        yield place
        offset, size = _HOLE.unpack(place)
        exchange.clear(_cover(exchange, offset, size), size)

    def _status(self, exchange: Exchange, _: int, length: int) -> Parts:
        entries = length - _U32.size
        fits = 0 < entries <= MOST_EXTENTS * nbd.EXTENT.size and not entries % nbd.EXTENT.size
        if exchange.command != Command.BLOCK_STATUS or not fits:
            raise _misfit(exchange, "a chunk of extents", length)
        content = memoryview(bytearray(length))
        yield content
        (context,) = _U32.unpack_from(content)
        if context != self._context or exchange.extents is not None:
            raise LostError(f"extents in the context {context}, which was not asked for")
        extents = [(size, flags) for size, flags in nbd.EXTENT.iter_unpack(content[4:])]
        if not all(size for size, _ in extents):
            raise LostError("an extent of no bytes")
        exchange.extents = extents

    def _error(self, exchange: Exchange, kind: int, length: int) -> Parts:
        if not _ERROR.size <= length <= _LARGEST_ERROR:
            raise _misfit(exchange, "an error", length)
        content = memoryview(bytearray(length))
        yield content
        error, size = _ERROR.unpack_from(content)
        rest = content[_ERROR.size :]
        tail = _U64.size if kind == Chunk.ERROR_OFFSET else 0
        if not error or size + tail > len(rest):
            raise LostError(f"an error {error} with {size} bytes of words in {length}")
        words = bytes(rest[:size]).decode(errors="replace")
        if tail:
            (offset,) = _U64.unpack_from(rest, size)
            words = f"{words} at {offset}" if words else f"at {offset}"
        exchange.fail(nbd.errno_of_error(error) or errno.EIO, words)

    def _unknown(self, exchange: Exchange, kind: int, length: int) -> Parts:
        raise _misfit(exchange, f"a chunk of the unknown kind {kind}", length)
        yield


_TAKES: Final[Mapping[int, Callable[[Replies, Exchange, int, int], Parts]]] = {
    Chunk.NONE: Replies._nothing,  # noqa: SLF001
    Chunk.OFFSET_DATA: Replies._data,  # noqa: SLF001
    Chunk.OFFSET_HOLE: Replies._hole,  # noqa: SLF001
    Chunk.BLOCK_STATUS: Replies._status,  # noqa: SLF001
}


def _cover(exchange: Exchange, offset: int, size: int) -> int:
    """Where in a read bytes go that a chunk brings; they must be asked for, and new."""
    start = offset - exchange.offset
    if exchange.coverage is None:
        exchange.coverage = Coverage()
    if start < 0 or not size or start + size > exchange.length:
        raise LostError(
            f"it sent {size} bytes at {offset} for a read of {exchange.length} at {exchange.offset}"
        )
    if not exchange.coverage.add(start, start + size):
        raise LostError(f"it sent {size} bytes at {offset} twice")
    return start


def _check_whole(exchange: Exchange) -> None:
    came = exchange.coverage.total if exchange.coverage is not None else 0
    if exchange.command == Command.READ and came != exchange.length:
        raise LostError(f"it sent {came} of the {exchange.length} bytes of a read")
    if exchange.command == Command.BLOCK_STATUS and exchange.extents is None:
        raise LostError("it sent no extents, and no error")


def _misfit(exchange: Exchange, what: str, length: int) -> LostError:
    return LostError(f"{what} of {length} bytes in the reply to a {exchange.command.name}")

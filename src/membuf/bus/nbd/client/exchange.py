"""One command on its way to a server, and what has come back of it."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Command, CommandFlag

if TYPE_CHECKING:
    from membuf.bus.nbd.client.flight import Flight
    from membuf.bus.nbd.client.link import Link
    from membuf.bus.nbd.client.wires import Bytes

_NOTHING: Final = memoryview(b"")
_ZEROS: Final = bytes(65536)


class Coverage:
    """Which parts of a read have come.

    >>> coverage = Coverage()
    >>> coverage.add(8, 16), coverage.add(0, 8), coverage.add(15, 20), coverage.total
    (True, True, False, 16)
    """

    __slots__ = ("_parts", "total")

    def __init__(self) -> None:
        self._parts: list[tuple[int, int]] = []
        self.total = 0

    def add(self, start: int, stop: int) -> bool:
        """Add a part; False where some of it has come before."""
        parts = self._parts
        index = bisect.bisect(parts, (start, stop))
        if index and parts[index - 1][1] > start:
            return False
        if index < len(parts) and parts[index][0] < stop:
            return False
        if index and parts[index - 1][1] == start:
            parts[index - 1] = parts[index - 1][0], stop
        else:
            parts.insert(index, (start, stop))
        self.total += stop - start
        return True


class Exchange:
    """One command. What it says of its link and below is guarded by that link's lock.

    Args:
        command: what is asked.
        offset, length: of which bytes.
        views: where they come from or go to; let go when it is over.
        flags: how it is to be done.

    Attributes:
        flight: what it is a part of.
        link: the connection that it was given to.
        cookie: by which its reply is known.
        attempts: connections that it was sent on.
        mark: of a flush, the writes that it covers.
        coverage: what has come of a read in pieces; None while nothing has.
        extents: lengths and flags, of a block status.
        error: an errno and the server's words, where it failed.
        detached: whether nobody waits for it: what comes of it is dropped.
    """

    __slots__ = (
        "_private",
        "_views",
        "attempts",
        "command",
        "cookie",
        "coverage",
        "detached",
        "error",
        "extents",
        "flags",
        "flight",
        "gone",
        "length",
        "link",
        "losses",
        "mark",
        "offset",
    )

    def __init__(
        self,
        command: Command,
        offset: int = 0,
        length: int = 0,
        views: list[memoryview] | None = None,
        flags: int = 0,
    ) -> None:
        self.command, self.offset, self.length, self.flags = command, offset, length, flags
        self._views = views or []
        self._private: bytes | None = None
        self.flight: Flight | None = None
        self.link: Link | None = None
        self.cookie = self.attempts = self.gone = 0
        self.mark: int = 0
        self.losses: int = 0
        self.detached = False
        self.coverage: Coverage | None = None
        self.extents: list[tuple[int, int]] | None = None
        self.error: tuple[int, str] | None = None

    @property
    def changes(self) -> bool:
        """Whether what it does is to be made durable by a flush."""
        changing = self.command in (Command.WRITE, Command.WRITE_ZEROES)
        return changing and not self.flags & CommandFlag.FUA

    # ---- sending --------------------------------------------------------------------------------

    def rewind(self) -> None:
        """Nothing of it has been sent, on this connection, and nothing has come."""
        self.gone = 0
        self._private = None
        self.coverage = self.extents = self.error = None

    @property
    def unsent(self) -> int:
        """Bytes that are still to be sent."""
        payload = self.length if self.command is Command.WRITE else 0
        return nbd.REQUEST.size + payload - self.gone

    def buffers(self) -> Iterator[Bytes]:
        """The bytes that are still to be sent."""
        if self._private is not None:
            yield self._private
            return
        skip = self.gone
        if skip < nbd.REQUEST.size:
            header = nbd.REQUEST.pack(
                nbd.REQUEST_MAGIC, self.flags, self.command, self.cookie, self.offset, self.length
            )
            yield header[skip:]
            skip = nbd.REQUEST.size
        if self.command is not Command.WRITE:
            return
        skip -= nbd.REQUEST.size
        for view in self._views:
            if skip < len(view):
                yield view[skip:] if skip else view
            skip = max(skip - len(view), 0)

    def sent(self, count: int) -> int:
        """Some of `count` bytes that were sent are its own; what is left of them."""
        mine = min(count, self.unsent)
        self.gone += mine
        if self._private is not None:
            self._private = self._private[mine:]
        return count - mine

    # ---- receiving ------------------------------------------------------------------------------

    def room(self, start: int, length: int) -> memoryview:
        """Where bytes of a read go, as far as they lie in one piece; release it at once.

        It is empty where nobody waits for them any more.
        """
        for view in self._views:
            if start < len(view):
                return view[start : start + length]
            start -= len(view)
        return _NOTHING[:]

    def clear(self, start: int, length: int) -> None:
        """Have bytes of a read be zeros."""
        while length:
            with self.room(start, min(length, len(_ZEROS))) as view:
                count = len(view)
                if not count:
                    return
                view[:] = _ZEROS[:count]
            start, length = start + count, length - count

    # ---- the end --------------------------------------------------------------------------------

    def fail(self, number: int, words: str) -> None:
        """It has failed; the first error counts."""
        if self.error is None:
            self.error = number, words

    def let_go(self) -> None:
        """Let its memory go; what is still to be sent, where some has been, is copied before."""
        if self._private is None and self.gone and self.unsent:
            self._private = b"".join(self.buffers())
        views, self._views = self._views, []
        for view in views:
            view.release()

"""The connections of a target together: who gets what, what was lost, and their end."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.bus.nbd.client.dialing import CONNECT_SECONDS, Dialer
from membuf.bus.nbd.client.link import Link
from membuf.bus.nbd.protocol import Command

if TYPE_CHECKING:
    from membuf.bus.nbd.client.exchange import Exchange
    from membuf.bus.nbd.client.greeting import ExportInfo
    from membuf.bus.nbd.uri import NbdUri


class History:
    """Which writes a server has acknowledged, and which of them a flush has made durable.

    A server that is gone may have lost those that no flush covered. The next flush says so, once.

    >>> from membuf.bus.nbd.client.exchange import Exchange
    >>> history = History()
    >>> history.done(Exchange(Command.WRITE, 0, 512)), history.lose(reported=False)
    (None, True)
    >>> history.take_lost(), history.take_lost()
    (True, False)
    """

    WORDS: Final = (
        "the connection was lost while writes were not flushed: the server may have lost them"
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: int = 0
        self._durable: int = 0
        self._losses: int = 0
        self._lost = False

    def mark(self, exchange: Exchange) -> None:
        """A flush is about to be sent: it covers what was acknowledged before."""
        with self._lock:
            exchange.mark, exchange.losses = self._written, self._losses

    def done(self, exchange: Exchange) -> None:
        """The server has acknowledged a command."""
        if exchange.changes:
            with self._lock:
                self._written += 1
        elif exchange.command is Command.FLUSH:
            with self._lock:
                if self._lost and exchange.losses != self._losses:
                    self._lost = False
                    exchange.fail(errno.EIO, self.WORDS)
                    return
                self._durable = max(self._durable, exchange.mark)

    def lose(self, *, reported: bool) -> bool:
        """A connection is lost; whether writes may be.

        Args:
            reported: whether a flush that is on its way tells of it.
        """
        with self._lock:
            if self._written == self._durable:
                return False
            self._durable = self._written
            self._lost = not reported
            self._losses += 1
            return True

    def take_lost(self) -> bool:
        """Whether writes may be lost that nobody was told of; who asks tells."""
        with self._lock:
            lost, self._lost = self._lost, False
            return lost


class Teller:
    """Tells ends on a thread of its own: what is called there may wait for other transfers."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, function: Callable[[], object]) -> None:
        """Have the thread call a function; where none can be started, this one does."""
        if self._thread is None and not self._begin():
            function()
        else:
            self._queue.put(function)

    def drain(self) -> bool:
        """On the thread itself: call what waits; whether there was anything."""
        if threading.current_thread() is not self._thread:
            return False
        told = False
        while not self._queue.empty():
            function = self._queue.get()
            if function is None:
                self._queue.put(None)
                break
            function()
            told = True
        return told

    def stop(self) -> None:
        """Let the thread end when it has told everything."""
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            if thread is not threading.current_thread():
                thread.join()

    def _begin(self) -> bool:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="membuf-nbd-tell", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
            return True

    def _run(self) -> None:
        while (function := self._queue.get()) is not None:
            function()
            function = None


class Fleet:
    """The connections of a target.

    Args:
        uri: what they lead to.
        connections: how many are wanted.
        reconnect_seconds: how long a lost one is tried again; 0: not at all.
        connect_seconds: how long making one may take.

    Attributes:
        info: what the server says of the export.
        links: the connections.
        history: what may be lost.
        teller: tells ends that no event loop hears of.
        dead: the errno and the words of what ended them all, or None.

    Raises:
        MembufError: no connection can be made, or the export is another on the second one.
    """

    def __init__(
        self,
        uri: NbdUri,
        connections: int = 1,
        reconnect_seconds: float = 0.0,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self.uri = uri
        self.reconnect_seconds, self.connect_seconds = reconnect_seconds, connect_seconds
        self.history, self.teller = History(), Teller()
        self.links: list[Link] = []
        self.dead: tuple[int, str] | None = None
        self._lock = threading.Lock()
        self._next = 0
        wire, agreement = Dialer(uri, connect_seconds).open()
        self.info = agreement.info
        several = connections > 1 and self.info.multiple_connections
        try:
            self._add().start(wire, agreement)
            for _ in range(connections - 1 if several else 0):
                self._add_another()
        except BaseException:
            self.close()
            raise

    def _add(self) -> Link:
        self.links.append(Link(self))
        return self.links[-1]

    def _add_another(self) -> None:
        wire, agreement = Dialer(self.uri, self.connect_seconds).open()
        changed = self.difference(agreement.info)
        if changed:
            wire.close()
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE,
                f"another connection to {self.uri} does not lead to the same export: {changed}",
            )
        self._add().start(wire, agreement)

    def difference(self, info: ExportInfo) -> str:
        """In what an export is not the one that was opened, in words; "" where it is."""
        was = self.info
        for name in ("size", "flags", "minimum_block", "maximum_payload", "structured", "contexts"):
            before, now = getattr(was, name), getattr(info, name)
            if before != now:
                return f"its {name} was {before!r} and is {now!r}"
        return ""

    def assign(self, exchange: Exchange) -> None:
        """Choose a connection for a command: the one with least to do."""
        links = self.links
        if len(links) == 1:
            exchange.link = links[0]
        else:
            self._next = turn = (self._next + 1) % len(links)
            exchange.link = min(links[turn:] + links[:turn], key=_load)

    def submit(self, exchange: Exchange) -> None:
        """Send a command that has a connection; where all are gone, it has failed."""
        link, flight = exchange.link, exchange.flight
        if link is None or flight is None or link.submit(exchange):
            return
        exchange.fail(*(self.dead or (errno.ESHUTDOWN, "the target is closed")))
        exchange.let_go()
        flight.one_over()

    def die(self, number: int, words: str) -> None:
        """There is no connection any more: what is on its way ends, and nothing is taken."""
        with self._lock:
            if self.dead is None:
                self.dead = number, words
        for link in self.links:
            link.end_all(number, words)

    def close(self) -> None:
        """Hang up."""
        for link in self.links:
            link.stop()
        self.teller.stop()

    def after_fork(self) -> None:
        """In a forked child: all of it is the parent's."""
        self._lock = threading.Lock()
        self.history, self.teller = History(), Teller()
        self.dead = errno.EPIPE, "the connection is the parent process's: open the target again"
        for link in self.links:
            link.after_fork()


def _load(link: Link) -> int:
    return link.load

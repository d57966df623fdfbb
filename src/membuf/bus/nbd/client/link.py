"""One connection of a target: a thread that receives, and sends what a caller could not at once.

What is on its way is kept until its reply has come. Where the connection is lost, it is sent again
on the next one, if there is to be one.
"""

from __future__ import annotations

import errno
import itertools
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client.bell import Bell
from membuf.bus.nbd.client.dialing import Dialer, StoppedError
from membuf.bus.nbd.client.intake import Intake
from membuf.bus.nbd.client.replies import Replies
from membuf.bus.nbd.client.wires import Bytes, LostError, Wire
from membuf.bus.nbd.protocol import Command
from membuf.target._port import unraisable

if TYPE_CHECKING:
    from membuf.bus.nbd.client.exchange import Exchange
    from membuf.bus.nbd.client.fleet import Fleet
    from membuf.bus.nbd.client.greeting import Agreement

MOST_ATTEMPTS: Final = 5
"""Connections that one command is sent on: it may be what ends them."""

_BUFFERS: Final = 64
_AT_ONCE: Final = 32  # commands that end before anybody is told
_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_LASTING_SECONDS: Final = 1.0
_JOIN_SECONDS: Final = 10.0


class Link:
    """One connection.

    Args:
        fleet: the connections that it belongs to.

    Attributes:
        load: commands on their way.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = threading.Lock()
        self._bell = Bell()
        self._cookies = itertools.count(1)
        self._exchanges: dict[int, Exchange] = {}
        self._outgoing: deque[Exchange] = deque()
        self._ended: list[Exchange] = []
        self._broken = ""
        self._stopping = self._uncounted = False
        self._wire: Wire | None = None
        self._thread: threading.Thread | None = None
        self._intake: Intake | None = None
        self._since = self._pause = 0.0
        self._lost_since: float | None = None

    @property
    def load(self) -> int:
        """Commands on their way."""
        return len(self._exchanges)

    # ---- for callers ----------------------------------------------------------------------------

    def submit(self, exchange: Exchange) -> bool:
        """Send a command as far as it can be sent now; False where none is taken any more."""
        with self._lock:
            if exchange.detached:
                return True
            if self._stopping or self._fleet.dead is not None:
                return False
            exchange.cookie = next(self._cookies)
            self._exchanges[exchange.cookie] = exchange
            self._outgoing.append(exchange)
            if self._wire is None or self._broken:
                return True
            try:
                if len(self._outgoing) == 1:
                    self._push(self._wire)
            except LostError as error:
                self._broken = str(error)
            except BaseException:
                # A signal's handler raised: where it did between a send and its count, nobody knows
                # any more where the stream stands.
                if self._uncounted:
                    self._broken = "a caller was interrupted while it sent"
                raise
            finally:
                if self._wants_out or self._broken:
                    self._bell.ring()
        return True

    def withdraw(self, exchange: Exchange) -> None:
        """Nobody waits for a command any more: its memory is not touched from now on."""
        with self._lock:
            exchange.detached = True
            exchange.let_go()
            if not exchange.gone:
                # The server does not know of it.
                self._exchanges.pop(exchange.cookie, None)
                if exchange in self._outgoing:
                    self._outgoing.remove(exchange)

    # ---- life -----------------------------------------------------------------------------------

    def start(self, wire: Wire, agreement: Agreement) -> None:
        """Begin with a connection.

        Raises:
            InsufficientResourcesError: no thread can be started.
        """
        self._install(wire, agreement)
        self._thread = threading.Thread(target=self._run, name="membuf-nbd", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES, f"no thread for a connection: {error}"
            ) from error

    def stop(self) -> None:
        """Say goodbye and hang up; what is on its way is not waited for."""
        with self._lock:
            self._stopping = True
        self._bell.ring()
        thread = self._thread
        if thread is None:
            self._hang_up()
            self._bell.close()
        elif thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)

    def end_all(self, number: int, words: str) -> None:
        """End what is on its way; the target is dead."""
        with self._lock:
            exchanges = list(self._exchanges.values())
            self._exchanges, self._outgoing = {}, deque()
            for exchange in exchanges:
                exchange.fail(number, words)
                exchange.let_go()
        self._bell.ring()
        self._tell(exchanges)

    def after_fork(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._lock = threading.Lock()
        self._exchanges, self._outgoing, self._ended = {}, deque(), []
        self._thread = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        bell, self._bell = self._bell, Bell()
        bell.close_copy()

    # ---- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                words = self._serve()
                if not words or not self._recover(words):
                    return
        except BaseException as error:  # noqa: BLE001 - whoever waits is told in any case
            self._fleet.die(errno.EIO, f"the connection's thread failed: {error!r}")
            unraisable(error, self)
        finally:
            self._hang_up()
            self._bell.close()

    @property
    def _unwanted(self) -> bool:
        return self._stopping or self._fleet.dead is not None

    @property
    def _wants_out(self) -> bool:
        return bool(self._outgoing) or (self._wire is not None and self._wire.pending)

    def _serve(self) -> str:
        """Send and receive until the connection is lost; why, or "" where it is not wanted."""
        wire = self._wire
        if wire is None:
            return "it was never made"
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        socket = wire.fileno()
        events = 0
        while not self._unwanted:
            wanted = select.POLLIN | select.POLLOUT if self._wants_out else select.POLLIN
            if wanted != events:
                poll.register(socket, wanted)
                events = wanted
            for descriptor, _ in poll.poll():
                if descriptor != socket:
                    self._bell.clear()
            lost = self._turn(wire)
            if lost:
                return lost
        self._say_goodbye(wire)
        return ""

    def _turn(self, wire: Wire) -> str:
        """Send and receive what can be now; why the connection is lost, or ""."""
        more, lost = True, ""
        while more and not lost:
            with self._lock:
                try:
                    if self._broken:
                        raise LostError(self._broken)  # noqa: TRY301
                    self._push(wire)
                    more = self._receive()
                except LostError as error:
                    lost = str(error)
                ended, self._ended = self._ended, []
            self._tell(ended)
        return lost

    def _push(self, wire: Wire) -> None:
        while (self._outgoing or wire.pending) and self._push_some(wire):
            pass

    def _push_some(self, wire: Wire) -> bool:
        """Send some of what waits; whether any was taken."""
        buffers: list[Bytes] = []
        for exchange in self._outgoing:
            buffers += exchange.buffers()
            if len(buffers) >= _BUFFERS:
                break
        self._uncounted = True
        sent = wire.send(buffers[:_BUFFERS])
        left = sent
        while left or (self._outgoing and not self._outgoing[0].unsent):
            exchange = self._outgoing[0]
            if not exchange.gone:
                exchange.attempts += 1
            left = exchange.sent(left)
            if exchange.unsent:
                break
            self._outgoing.popleft()
        self._uncounted = False
        return sent > 0

    def _receive(self) -> bool:
        """Receive what has come; whether there may be more."""
        intake, ended = self._intake, self._ended
        while intake is not None and len(ended) < _AT_ONCE:
            if ended and not self._exchanges:
                return False  # nothing more is due: whatever comes, the poll tells of it
            if not intake.go_on():
                return False
        return True

    def _find(self, cookie: int) -> Exchange | None:
        exchange = self._exchanges.get(cookie)
        return exchange if exchange is not None and exchange.gone else None

    def _over(self, exchange: Exchange) -> None:
        """A command's reply has come."""
        if self._exchanges.pop(exchange.cookie, None) is None:
            return  # another connection's end has ended it meanwhile
        exchange.let_go()
        self._lost_since = None
        if exchange.detached:
            return
        if exchange.error is None:
            self._fleet.history.done(exchange)
        self._ended.append(exchange)

    def _tell(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            flight = exchange.flight
            if flight is not None and not exchange.detached:
                flight.one_over()

    # ---- from one connection to the next --------------------------------------------------------

    def _install(self, wire: Wire, agreement: Agreement) -> None:
        with self._lock:
            self._wire, self._broken = wire, ""
            self._since = time.monotonic()
            replies = Replies(
                self._find,
                self._over,
                structured=agreement.info.structured,
                context=agreement.context,
            )
            self._intake = Intake(wire, replies.parts())

    def _recover(self, words: str) -> bool:
        """Make another connection, and send on it what is on its way; whether that worked."""
        now = time.monotonic()
        if self._lost_since is None or now - self._since >= _LASTING_SECONDS:
            self._lost_since, self._pause = now, 0.0
        self._tell(self._take_lost(words))
        deadline = self._lost_since + self._fleet.reconnect_seconds
        while not self._unwanted:
            if not self._fleet.reconnect_seconds:
                self._fleet.die(errno.EPIPE, f"the connection was lost: {words}")
                return False
            if self._pause and self._waited(self._pause):
                return False
            try:
                return self._dial_again(deadline)
            except StoppedError:
                return False
            except MembufError as error:
                if time.monotonic() >= deadline:
                    self._fleet.die(
                        errno.EPIPE,
                        f"the connection was lost: {words}; and no other one could be made within "
                        f"{self._fleet.reconnect_seconds:g} seconds: {error}",
                    )
                    return False
            self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        return False

    def _dial_again(self, deadline: float) -> bool:
        left = max(deadline - time.monotonic(), _SHORTEST_PAUSE)
        seconds = min(self._fleet.connect_seconds, left)
        dialer = Dialer(self._fleet.uri, seconds, self._bell, lambda: self._unwanted)
        wire, agreement = dialer.open()
        self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        changed = self._fleet.difference(agreement.info)
        if changed:
            wire.close()
            self._fleet.die(errno.ESTALE, f"the export is not the one that was opened: {changed}")
            return False
        self._install(wire, agreement)
        return True

    def _take_lost(self, words: str) -> list[Exchange]:
        """Let the connection go, and queue what is to be sent again; what ends with it."""
        with self._lock:
            if self._wire is not None:
                self._wire.close()
                self._wire = None
            waiting = [one for one in self._exchanges.values() if not one.detached]
            flushing = any(one.command is Command.FLUSH for one in waiting)
            unflushed = self._fleet.history.lose(reported=flushing)
            ended: list[Exchange] = []
            for exchange in waiting:
                exchange.rewind()
                if exchange.command is Command.FLUSH and unflushed:
                    exchange.fail(errno.EIO, self._fleet.history.WORDS)
                elif exchange.attempts >= MOST_ATTEMPTS:
                    exchange.fail(errno.EPIPE, f"{MOST_ATTEMPTS} connections were lost: {words}")
                else:
                    continue
                exchange.let_go()
                ended.append(exchange)
            left = [one for one in waiting if one.error is None]
            self._exchanges = {one.cookie: one for one in left}
            self._outgoing = deque(left)
            return ended

    def _waited(self, seconds: float) -> bool:
        """Let time pass; whether the connection is not wanted any more."""
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        while not self._unwanted and (left := end - time.monotonic()) > 0:
            poll.poll(1000 * left + 1)
            self._bell.clear()
        return self._unwanted

    def _say_goodbye(self, wire: Wire) -> None:
        with self._lock:
            if not self._outgoing and not wire.pending and not self._broken:
                goodbye = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, Command.DISC, 0, 0, 0)
                try:
                    wire.send([goodbye])
                except LostError:
                    return

    def _hang_up(self) -> None:
        with self._lock:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

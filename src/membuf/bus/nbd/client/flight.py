"""One packet on its way to a server: the commands that it takes, and its end.

A plan says which commands: a generator that yields some to be sent together, goes on when all of
them have been answered, and returns how the packet ends. A command that fails ends it.
"""

from __future__ import annotations

import errno
import threading
from _thread import allocate_lock
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from membuf.base import status as st
from membuf.base.errors import MembufError, from_errno, from_status
from membuf.target.failures import VERBS
from membuf.target.relay import errno_of, tell

if TYPE_CHECKING:
    import asyncio

    from membuf.bus.nbd.client.exchange import Exchange
    from membuf.bus.nbd.client.fleet import Fleet
    from membuf.target._port import Packet
    from membuf.target.relay import RelayLane

Outcome = tuple[int, MembufError | None]
"""The count of bytes, and a warning where it is not all."""


@dataclass(frozen=True, slots=True)
class Later:
    """An outcome that is written to the packet's memory only once nobody else can end it."""

    put: Callable[[], Outcome]


Plan = Generator[list["Exchange"], None, Outcome | Later]


class Flight:
    """One packet on its way; it stands in for the packet's lane meanwhile.

    Whoever is first to claim its end, the last reply or a cancel, ends it.

    Args:
        packet: what was sent to the target.
        plan: the commands that it takes.
        fleet: the connections.
        lane: where its end is told; None: on the thread that waits in `wait`.
    """

    def __init__(self, packet: Packet, plan: Plan, fleet: Fleet, lane: RelayLane | None) -> None:
        self._packet, self._plan, self._fleet, self._lane = packet, plan, fleet, lane
        self._guard = threading.Lock()
        self._now: list[Exchange] = []
        self._left = 0
        self._done = 0
        self._claimed = False
        self._back = allocate_lock()
        if lane is None:
            self._back.acquire()
        packet.lane = self

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which its end is told."""
        return None if self._lane is None else self._lane.loop

    @property
    def over(self) -> bool:
        """Whether its end is decided."""
        return self._claimed

    def begin(self) -> None:
        """Send the first commands."""
        if self._packet.marked_cancelled:
            self._plan.close()
            self.cancel(self._packet)
        else:
            self._go_on()

    def fire(self) -> None:
        """Its time is up."""
        self._packet.timed_out = True
        self.cancel(self._packet)

    def cancel(self, packet: Packet) -> bool:
        """End it now; False where its end is decided. Called from any thread.

        What the server was asked for it may still do. No thread touches the memory any more.
        """
        packet.mark_cancelled()
        if not self._claim():
            return False
        for exchange in self._now:
            if exchange.link is not None:
                exchange.link.withdraw(exchange)
        self._end(0, None, errno.ECANCELED)
        return True

    def wait(self, seconds: float | None) -> None:
        """Wait until it has ended; when the time is up it is cancelled."""
        if not self._back.acquire(timeout=-1 if seconds is None else max(seconds, 0.0)):
            self.fire()
            self._back.acquire()

    # ---- as replies come in ---------------------------------------------------------------------

    def one_over(self) -> None:
        """One of its commands has been answered, or has failed."""
        with self._guard:
            self._left -= 1
            if self._left:
                return
        failed = next((one for one in self._now if one.error is not None), None)
        for exchange in self._now:
            if exchange.error is not None:
                break
            self._done += exchange.length if self._packet.length else 0
        if self._claimed:
            return
        if failed is None:
            self._go_on()
        elif self._claim():
            self._end(self._done, self._failure(failed))

    def _go_on(self) -> None:
        """Take the plan's next step."""
        try:
            exchanges = next(self._plan)
            while not exchanges:
                exchanges = next(self._plan)
        except StopIteration as stop:
            if self._claim():  # from here on nobody else ends it: its memory may be written
                try:
                    came = stop.value
                    done, warning = came.put() if isinstance(came, Later) else came
                except Exception as error:  # noqa: BLE001 - whoever waits is told in any case
                    self._end(0, _failure_of(error))
                else:
                    self._end(done, warning, 0)
            return
        except Exception as error:  # noqa: BLE001 - whoever waits is told in any case
            if self._claim():
                self._end(0, _failure_of(error))
            return
        for exchange in exchanges:
            exchange.flight = self
            self._fleet.assign(exchange)
        with self._guard:
            # Whoever cancels it now finds them; a connection refuses what is withdrawn by then.
            self._now, self._left = exchanges, len(exchanges)
            claimed = self._claimed
        for exchange in exchanges:
            if claimed:
                exchange.let_go()
            else:
                self._fleet.submit(exchange)

    def _claim(self) -> bool:
        with self._guard:
            claimed, self._claimed = self._claimed, True
        return not claimed

    def _failure(self, exchange: Exchange) -> MembufError:
        number, words = exchange.error or (errno.EIO, "")
        packet = self._packet
        what = f"{VERBS.get(packet.kind, 'request')} of {packet.port.name}"
        if exchange.length:
            what += f", {exchange.length} bytes at offset {exchange.offset}"
        operands = {"offset": packet.offset, "length": packet.length, "done": self._done}
        return from_errno(number, f"{what}: {words}" if words else what, operands=operands)

    def _end(self, done: int, error: MembufError | None, number: int | None = None) -> None:
        """Decide the packet's end, and have it told."""
        packet, lane = self._packet, self._lane
        packet.interrupt(errno_of(error) if number is None else number, error, done)
        self._now = []
        if lane is None:
            self._back.release()
            return
        packet.lane = lane
        if lane.loop is None:
            self._fleet.teller.tell(partial(tell, packet))
        else:
            lane.call(partial(tell, packet))


def _failure_of(error: Exception) -> MembufError:
    if isinstance(error, MembufError):
        return error
    failure = from_status(st.STATUS_UNSUCCESSFUL, f"cannot be sent to a server: {error!r}")
    failure.__cause__ = error
    return failure

"""Deadlines and pauses that no event loop watches."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.target._port import unraisable

if TYPE_CHECKING:
    from membuf.target._port import Packet


_FEW: Final = 64


class Due(Protocol):
    """What is to happen at some time, unless it is over by then."""

    @property
    def over(self) -> bool:
        """Whether nothing is to happen any more."""
        ...

    def fire(self) -> None:
        """The time has come."""


def expire(packet: Packet) -> None:
    """Cancel a packet because its time is up."""
    if not packet.over:
        packet.timed_out = True
        packet.lane.cancel(packet)


class Expiry:
    """The end of a packet's time, set before the packet is sent: then a refusal costs nothing."""

    __slots__ = ("_armed", "_missed", "_packet", "_withdrawn")

    def __init__(self, packet: Packet) -> None:
        self._packet = packet
        self._armed = self._missed = self._withdrawn = False

    @property
    def over(self) -> bool:
        """Whether the packet has ended, or was not sent at all."""
        return self._withdrawn or self._packet.over

    def arm(self) -> None:
        """The packet is sent, and can be cancelled."""
        self._armed = True
        if self._missed:
            expire(self._packet)

    def withdraw(self) -> None:
        """The packet was not sent."""
        self._withdrawn = True

    def fire(self) -> None:
        """Cancel it."""
        self._missed = True
        if self._armed:
            expire(self._packet)


class Timers:
    """A thread that fires what is due; it runs while there is anything."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Due]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._running = False
        self._prune_at = _FEW

    def add(self, seconds: float, due: Due) -> None:
        """Fire it after that long, unless it is over by then.

        Raises:
            InsufficientResourcesError: no thread can be started.
        """
        with self._changed:
            self._run()
            if len(self._heap) >= self._prune_at:
                self._prune()
            heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), due))
            self._changed.notify()

    def forget(self) -> None:
        """In a forked child: the thread, and what it was to fire, are the parent's."""
        self._heap = []
        self._changed = threading.Condition()
        self._running = False

    def _prune(self) -> None:
        """Drop what is over: most transfers end long before their time."""
        self._heap = [entry for entry in self._heap if not entry[2].over]
        heapq.heapify(self._heap)
        self._prune_at = max(_FEW, 2 * len(self._heap))

    def _run(self) -> None:
        if self._running:
            return
        try:
            threading.Thread(target=self._work, name="membuf-timer", daemon=True).start()
        except RuntimeError as error:
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES, f"no thread for timers can be started: {error}"
            ) from error
        self._running = True

    def _work(self) -> None:
        while (due := self._next()) is not None:
            try:
                due.fire()
            except BaseException as error:  # noqa: BLE001
                unraisable(error, due)

    def _next(self) -> Due | None:
        """Wait for the next one; None where there is none left."""
        with self._changed:
            while self._heap:
                deadline, _, due = self._heap[0]
                remaining = deadline - time.monotonic()
                if due.over or remaining <= 0:
                    heapq.heappop(self._heap)
                    if not due.over:
                        return due
                else:
                    self._changed.wait(remaining)
            self._running = False
            return None


timers = Timers()
"""Those of this process: one thread for all targets."""

os.register_at_fork(after_in_child=timers.forget)

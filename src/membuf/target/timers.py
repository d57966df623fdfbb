"""Deadlines of transfers that no event loop watches."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING

from membuf.target._port import unraisable

if TYPE_CHECKING:
    from membuf.target._port import Packet


def expire(packet: Packet) -> None:
    """Cancel a packet because its time is up."""
    if not packet.over:
        packet.timed_out = True
        packet.lane.cancel(packet)


class Timers:
    """A thread that expires packets; it runs while there are any."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Packet]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._running = False

    def add(self, seconds: float, packet: Packet) -> None:
        """Expire a packet after that long, unless it is over by then."""
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), packet))
            if self._running:
                self._changed.notify()
            else:
                self._running = True
                threading.Thread(target=self._work, name="membuf-timer", daemon=True).start()

    def _work(self) -> None:
        while (packet := self._next()) is not None:
            try:
                expire(packet)
            except BaseException as error:  # noqa: BLE001
                unraisable(error, packet)

    def _next(self) -> Packet | None:
        """Wait for the next deadline; None where there is none left."""
        with self._changed:
            while self._heap:
                deadline, _, packet = self._heap[0]
                remaining = deadline - time.monotonic()
                if packet.over or remaining <= 0:
                    heapq.heappop(self._heap)
                    if not packet.over:
                        return packet
                else:
                    self._changed.wait(remaining)
            self._running = False
            return None

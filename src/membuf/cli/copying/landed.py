"""How much of a copy has arrived, from its start on without a gap."""

from __future__ import annotations

import heapq
import threading


class Landed:
    """Loads that have been written, in the order of their tickets.

    Attributes:
        end: up to there everything has arrived, in bytes from the start of the copy.
        some: whether anything was begun to be written at all.

    >>> landed = Landed()
    >>> landed.note(1, 200), landed.end
    (None, 0)
    >>> landed.note(0, 100), landed.end
    (None, 200)
    """

    def __init__(self) -> None:
        self.end = 0
        self.some = False
        self._waiting: list[tuple[int, int]] = []
        self._next = 0
        self._lock = threading.Lock()

    def note(self, ticket: int, end: int) -> None:
        """The load with a ticket, which ends there, has arrived."""
        with self._lock:
            heapq.heappush(self._waiting, (ticket, end))
            while self._waiting and self._waiting[0][0] == self._next:
                self.end = heapq.heappop(self._waiting)[1]
                self._next += 1

    def words(self, name: str, *, begun: bool = False) -> str:
        """What of the copy a thing of that name holds; `begun`: also where nothing was written."""
        if not self.some and not begun:
            return f"nothing was written to {name}"
        if not self.end:
            return f"{name} holds no more than parts of the copy"
        return f"{name} holds the first {self.end} bytes of the copy, and maybe parts behind them"

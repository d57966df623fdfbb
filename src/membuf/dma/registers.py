"""Map registers: how many pages a device may have under way, and who waits for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

Granted = Callable[[], object]


class _Waiter(NamedTuple):
    wanted: int
    granted: Granted


class MapRegisters:
    """The map registers of one adapter. Who finds too few waits its turn: first come, first served.

    Attributes:
        total: how many there are.

    >>> registers = MapRegisters(4)
    >>> registers.take(3), registers.take(2), registers.take(2, print)
    (True, False, False)
    >>> [granted is print for granted in registers.give_back(3)], registers.free
    ([True], 2)
    """

    __slots__ = ("_free", "_lock", "_waiting", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()

    @property
    def free(self) -> int:
        """How many nobody holds."""
        return self._free

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, count: int, granted: Granted | None = None) -> bool:
        """Take registers, or wait for them.

        Args:
            count: how many.
            granted: given back by the `give_back` that grants them later; None does not wait.

        Returns:
            Whether they are taken now.
        """
        with self._lock:
            if not self._waiting and count <= self._free:
                self._free -= count
                return True
            if granted is not None:
                self._waiting.append(_Waiter(count, granted))
            return False

    def withdraw(self, granted: Granted) -> tuple[bool, list[Granted]]:
        """Wait no longer.

        Returns:
            False where the registers are granted already; and whose turn has come thereby.
        """
        with self._lock:
            for waiter in self._waiting:
                if waiter.granted == granted:
                    self._waiting.remove(waiter)
                    return True, self._grant()
            return False, []

    def give_back(self, count: int) -> list[Granted]:
        """Give registers back.

        Returns:
            What those who waited left, for those whose turn has come: the caller calls it.
        """
        with self._lock:
            self._free += count
            return self._grant()

    def _grant(self) -> list[Granted]:
        granted: list[Granted] = []
        while self._waiting and self._waiting[0].wanted <= self._free:
            waiter = self._waiting.popleft()
            self._free -= waiter.wanted
            granted.append(waiter.granted)
        return granted

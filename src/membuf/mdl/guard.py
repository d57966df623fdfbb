"""A lock that deallocations never wait for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Guard:
    """A lock, and what deallocations want done under it.

    A deallocation may come while its own thread holds the lock; then whoever lets go of it next
    does what was asked for.

    >>> guard, done = Guard(), []
    >>> with guard:
    ...     guard.later(lambda: done.append("asked for inside"))
    ...     done.append("inside")
    >>> done
    ['inside', 'asked for inside']
    """

    __slots__ = ("_late", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._late: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_exception: object) -> None:
        self._lock.release()
        self._catch_up()

    def later(self, action: Callable[[], object]) -> None:
        """Have something done under the lock: now, or when the lock is let go."""
        self._late.append(action)
        self._catch_up()

    def forget(self) -> None:
        """In a forked child: who held the lock is not here, and what was asked for is past."""
        self._lock = threading.Lock()
        self._late.clear()

    def _catch_up(self) -> None:
        while self._late and self._lock.acquire(blocking=False):
            try:
                while self._late:
                    self._late.popleft()()
            finally:
                self._lock.release()

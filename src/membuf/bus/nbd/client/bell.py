"""What wakes a thread that waits for its sockets."""

from __future__ import annotations

import contextlib
import os
import threading


class Bell:
    """A descriptor that is readable once it was rung; rung from any thread.

    >>> bell = Bell()
    >>> bell.ring(), bell.clear(), bell.close(), bell.ring()
    (None, None, None, None)
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake who waits, or who waits next; nothing once it is closed."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """It has been heard."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def close_copy(self) -> None:
        """In a forked child: give back its copy, whoever held the lock in the parent."""
        self._lock = threading.Lock()
        self.close()

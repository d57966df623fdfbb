"""Several threads that do the same work until there is none, and fail as one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from membuf.cli.copying.job import Watcher
from membuf.cli.failure import CommandError

_TICK_SECONDS: Final = 0.1


class CancelledError(Exception):
    """What a thread raises that waited for others when all were told to stop; nobody sees it."""


class Crew:
    """Threads at work, while the thread that sent them looks on.

    Args:
        watcher: is told every moment that time has passed.
        cancel: ends what a thread may wait for without end.
        patient: after a failure wait for what the others have begun, so that of several failures
            the lowest in the copy is raised; else cancel it, because it may wait for ever.
    """

    def __init__(
        self, watcher: Watcher, cancel: Callable[[], object], *, patient: bool = True
    ) -> None:
        self._watcher = watcher
        self._cancel = cancel
        self._patient = patient
        self._failures: list[BaseException] = []
        self._stopped = False
        self._over = False
        self._at_work = 0
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)

    def run(self, size: int, work: Callable[[], bool]) -> None:
        """Have `size` threads call `work` until it says that there is no more.

        Returns, or raises, when all of them have ended.

        Raises:
            CommandError: `work` failed.
            Interrupted: a signal came; what was on its way was cancelled.
        """
        threads = [
            threading.Thread(target=self._member, args=(work,), name=f"membuf-copy-{number}")
            for number in range(size)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK_SECONDS)
                    self._watcher.tick()
        except BaseException:
            self._stopped = True
            self._cancel()
            raise
        finally:
            self._await_members()
        if self._failures:
            raise min(self._failures, key=_order)

    def _await_members(self) -> None:
        """Let no thread begin any more, and wait for those that have.

        Not by their `join`: one that a signal's exception interrupted takes its thread for ended
        ever after (before Python 3.13), and a thread that is being started may not know yet.
        """
        with self._left:
            self._over = True
            while self._at_work:
                self._left.wait()

    def _member(self, work: Callable[[], bool]) -> None:
        with self._left:
            if self._over:
                return
            self._at_work += 1
        try:
            self._work(work)
        finally:
            with self._left:
                self._at_work -= 1
                self._left.notify_all()

    def _work(self, work: Callable[[], bool]) -> None:
        try:
            while not self._stopped and work():
                pass
        except BaseException as failure:  # noqa: BLE001  # `run` raises it
            with self._lock:
                first, self._stopped = not self._stopped, True
                if first or self._patient:
                    self._failures.append(failure)
            if first and not self._patient:
                self._cancel()


def _order(failure: BaseException) -> tuple[bool, int]:
    """What is no failure of a transfer, a defect, comes first; then the lowest offset."""
    if isinstance(failure, CommandError):
        return True, failure.offset or 0
    return False, 0

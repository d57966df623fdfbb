"""Running callbacks one after the other instead of one inside the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable


class Trampoline:
    """Runs jobs at once, except those that a job of the same thread asks for: those run after it.

    So a chain of transfers, each started by the completion of the one before, takes no more stack
    than one.

    >>> log = []
    >>> trampoline = Trampoline()
    >>> def outer():
    ...     trampoline.run([lambda: log.append("inner")])
    ...     log.append("outer")
    >>> trampoline.run([outer])
    >>> log
    ['outer', 'inner']
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def run(self, jobs: Iterable[Callable[[], object]]) -> None:
        """Run jobs; what the first that fails raises is raised when all have run."""
        queue: deque[Callable[[], object]] | None = getattr(self._local, "queue", None)
        if queue is not None:
            queue.extend(jobs)
            return
        queue = self._local.queue = deque(jobs)
        failure: BaseException | None = None
        try:
            while queue:
                try:
                    queue.popleft()()
                except BaseException as error:  # noqa: BLE001 - raised below
                    failure = failure or error
        finally:
            self._local.queue = None
        if failure is not None:
            raise failure

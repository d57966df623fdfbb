"""Which pages this library keeps in memory: the system's locks do not nest, so they are counted."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.mdl._system import is_any_locked, lock_pages, unlock_pages
from membuf.mdl.guard import Guard
from membuf.mdl.mappings import borders
from membuf.mdl.pages import PAGE_SIZE
from membuf.mdl.runs import Run, Runs


class PageLocks:
    """The page locks of this process, counted by page.

    What somebody else had locked before (a slab of non-paged pool, another library) is counted too,
    and never unlocked here.

    Attributes:
        era: forks between the program's start and this process; a lock of another era is none.
        transition: held while an MDL changes its state; nothing is called out to meanwhile.

    >>> import mmap
    >>> from membuf._native import Pointer
    >>> pages = mmap.mmap(-1, 8192)
    >>> start = Pointer(pages).address
    >>> locks = PageLocks()
    >>> locks.take(start, start + 8192); locks.take(start, start + 4096)
    >>> locks.give_back(start, start + 8192)
    >>> locks.locked_bytes()
    4096
    >>> locks.give_back(start, start + 4096)
    """

    __slots__ = ("_guard", "_runs", "era", "transition")

    def __init__(self) -> None:
        self.era = 0
        self.transition = threading.RLock()
        self._guard = Guard()
        self._runs = Runs()

    def take(self, start: int, end: int) -> None:
        """Lock the pages from one address to another; all of them, or none.

        Raises:
            InsufficientResourcesError: WORKING_SET_QUOTA, the system refuses to lock so much.
        """
        with self._guard:
            error = self._lock(start, end)
        if error:
            raise _refusal(error, end - start)

    def give_back(self, start: int, end: int) -> None:
        """Take one count from pages that `take` locked."""
        with self._guard:
            self._unlock(start, end)

    def give_back_later(self, start: int, end: int, keep: object) -> None:
        """As `give_back`, from where waiting is forbidden: a deallocation.

        Args:
            start: the first address.
            end: one past the last.
            keep: what keeps the pages mapped until then.
        """

        def give_back(_keep: object = keep) -> None:
            self._unlock(start, end)

        self._guard.later(give_back)

    @staticmethod
    def holds(start: int, end: int) -> bool:
        """Whether all pages from one address to another are locked, by whomever."""
        edges = [start, *borders(start, end), end]
        return all(is_any_locked(first, last - first) for first, last in itertools.pairwise(edges))

    def locked_bytes(self) -> int:
        """The bytes of the pages that are locked here and not only by others."""
        with self._guard:
            return sum(run.end - run.start for run in self._runs if not run.foreign)

    def forget(self) -> None:
        """In a forked child: locks are not inherited, so nothing is locked here."""
        self.era += 1
        self.transition = threading.RLock()
        self._guard.forget()
        self._runs = Runs()

    def _lock(self, start: int, end: int) -> int:
        fresh = [part for run in self._runs.add(start, end) for part in self._mark(run)]
        for run in fresh:
            if run.foreign:
                continue
            error = lock_pages(run.start, run.end - run.start)
            if error:
                self._unlock(start, end)
                return error
        return 0

    def _unlock(self, start: int, end: int) -> None:
        for run in self._runs.remove(start, end):
            if not run.foreign:
                unlock_pages(run.start, run.end - run.start)

    def _mark(self, run: Run) -> Iterator[Run]:
        """Cut a run into what others had locked before and what they had not."""
        if not is_any_locked(run.start, run.end - run.start):
            yield run
            return
        edges = borders(run.start, run.end) if run.end - run.start > PAGE_SIZE else []
        for border in edges:
            rest = self._runs.split(border)
            run.foreign = is_any_locked(run.start, run.end - run.start)
            yield run
            run = rest
        run.foreign = not edges or is_any_locked(run.start, run.end - run.start)
        yield run


def _refusal(error: int, size: int) -> MembufError:
    return from_status(
        st.STATUS_WORKING_SET_QUOTA,
        f"the system refuses to lock {size} bytes ({os.strerror(error)}): raise the limit on "
        "locked memory (ulimit -l), or lock less",
        operands={"needed": size, "errno": error},
    )


page_locks = PageLocks()
"""Those of this process."""

os.register_at_fork(after_in_child=page_locks.forget)

"""The two kinds of NT lookaside list: over the core's, and over the caller's own allocator."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from membuf._native import LookasideList, Memory, Pointer
from membuf.base.errors import InsufficientResourcesError
from membuf.pool.statistics import LookasideStatistics
from membuf.wdf._blocks import FREED_BEFORE, NOT_A_BLOCK, address_of
from membuf.wdf._bugcheck import BAD_POOL_CALLER, bug_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.pool import PoolType

INITIAL_DEPTH: Final = 4
MAXIMUM_DEPTH: Final = 256


@dataclass(frozen=True, slots=True)
class ListPlan:
    """What a list was initialized with.

    Attributes:
        pool_type: of the entries.
        size: bytes of an entry.
        tag: its number.
        raises: failure raises instead of answering NULL.
    """

    pool_type: int
    size: int
    tag: int
    raises: bool


class List(Protocol):
    """What the calls need of either kind."""

    def allocate(self) -> Any:
        """An entry, or None."""

    def free(self, entry: Any) -> None:
        """Take an entry back."""

    def statistics(self) -> LookasideStatistics:
        """The counters."""
        ...

    def flush(self) -> None:
        """Free all idle entries."""

    def close(self) -> None:
        """Free all idle entries; the list is over."""


@dataclass(frozen=True, slots=True)
class ListState:
    """An initialized list.

    Attributes:
        entries: the list itself.
        plan: what it was initialized with.
    """

    entries: List
    plan: ListPlan


class CoreList:
    """Entries are memory of the core: every life has a pointer of its own.

    A pointer that outlives its entry's life is refused, so it cannot show the next life's bytes.
    """

    def __init__(self, size: int, pool: PoolType, alignment: int | None, tag: int) -> None:
        self._list = LookasideList(size, pool=pool, alignment=alignment, tag=tag)
        self._out: dict[int, Memory] = {}

    def allocate(self) -> Pointer | None:
        """A pointer to an entry, or None."""
        try:
            memory = self._list.allocate()
        except InsufficientResourcesError:
            return None
        self._out[memory.address] = memory
        return Pointer(memory)

    def free(self, entry: Any) -> None:
        """Take an entry back.

        Raises:
            BugCheck: BAD_POOL_CALLER for what is no entry of this list, or no more.
        """
        try:
            address = address_of(entry)
        except BufferError:
            reason = f"the entry {entry!r} was freed before"
            bug_check(BAD_POOL_CALLER, FREED_BEFORE, reason=reason)
        found = self._out.pop(address, None)
        if found is None:
            reason = f"no entry of this list begins at {address:#x}"
            bug_check(BAD_POOL_CALLER, NOT_A_BLOCK, address, reason=reason)
        found.delete()

    def statistics(self) -> LookasideStatistics:
        """The counters."""
        return self._list.statistics()

    def flush(self) -> None:
        """Free all idle entries."""
        self._list.flush()

    def close(self) -> None:
        """Free all idle entries; those in use stay usable by those who have them."""
        self._list.delete()


class CallerList:
    """Entries are what the caller's Allocate answers; the list recycles them as they are.

    Args:
        allocate: called without arguments on a miss; may answer None.
        free: called with an entry that the list has no room for.
    """

    def __init__(self, allocate: Callable[[], Any], free: Callable[[Any], object]) -> None:
        self._allocate, self._free = allocate, free
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._count = {"allocations": 0, "misses": 0, "frees": 0, "free_misses": 0, "failures": 0}

    def allocate(self) -> Any:
        """The entry freed last, or a new one, or None."""
        with self._lock:
            self._count["allocations"] += 1
            if self._idle:
                return self._idle.pop()
            self._count["misses"] += 1
        entry = self._allocate()
        if entry is None:
            with self._lock:
                self._count["failures"] += 1
        return entry

    def free(self, entry: Any) -> None:
        """Take an entry back; where the list is full it goes to the caller's Free."""
        with self._lock:
            self._count["frees"] += 1
            if len(self._idle) < INITIAL_DEPTH:
                self._idle.append(entry)
                return
            self._count["free_misses"] += 1
        self._free(entry)

    def statistics(self) -> LookasideStatistics:
        """The counters."""
        with self._lock:
            return LookasideStatistics(
                depth=INITIAL_DEPTH,
                maximum_depth=MAXIMUM_DEPTH,
                idle=len(self._idle),
                **self._count,
            )

    def flush(self) -> None:
        """Free all idle entries, the newest first."""
        while True:
            with self._lock:
                if not self._idle:
                    return
                entry = self._idle.pop()
            self._free(entry)

    def close(self) -> None:
        """Free all idle entries."""
        self.flush()

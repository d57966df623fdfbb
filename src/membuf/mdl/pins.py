"""Pages whose frames stay as they are: pinned by the system, within its limits."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from typing import Any, Final

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.mdl.guard import Guard

BYTES_A_SLOT: Final = 1 << 30
"""The most that the system pins at once."""

SLOTS: Final = 16384
"""The most ranges that the system pins for one ring."""


class Pins:
    """The pinned pages of this process.

    Attributes:
        era: forks between the program's start and this process; a pin of another era is none.

    >>> Pins().unpin(())
    """

    __slots__ = ("_free", "_guard", "_next", "_ring", "era")

    def __init__(self) -> None:
        self.era = 0
        self._guard = Guard()
        self._ring: Any = None
        self._free: list[int] = []
        self._next = 0

    def pin(self, start: int, end: int) -> tuple[int, ...]:
        """Pin the pages from one address to another; what `unpin` takes.

        Raises:
            MembufError: NOT_SUPPORTED where the build, the system or the kind of memory does not
                allow it.
            InsufficientResourcesError: WORKING_SET_QUOTA, more than the process may pin.
        """
        with self._guard:
            error, slots = self._pin(start, end)
        if error:
            raise _refusal(error, end - start)
        return slots

    def unpin(self, slots: tuple[int, ...]) -> None:
        """Let pages go that `pin` has fixed."""
        with self._guard:
            self._unpin(slots)

    def unpin_later(self, slots: tuple[int, ...], keep: object) -> None:
        """As `unpin`, from where waiting is forbidden: a deallocation.

        Args:
            slots: what `pin` answered.
            keep: what keeps the pages mapped until then.
        """

        def unpin(_keep: object = keep) -> None:
            self._unpin(slots)

        self._guard.later(unpin)

    def forget(self) -> None:
        """In a forked child: what is pinned is the parent's."""
        self.era += 1
        self._guard.forget()
        if self._ring is not None:
            self._ring.leave()
        self._ring, self._free, self._next = None, [], 0

    def _pin(self, start: int, end: int) -> tuple[int, tuple[int, ...]]:
        if self._ring is None:
            self._ring = _make_ring()
        slots: list[int] = []
        for address in range(start, end, BYTES_A_SLOT):
            slot = self._take_slot()
            error = errno.ENOSPC
            if slot is not None:
                slots.append(slot)
                error = self._ring.pin(slot, address, min(BYTES_A_SLOT, end - address))
            if error:
                self._unpin(tuple(slots))
                return error, ()
        return 0, tuple(slots)

    def _take_slot(self) -> int | None:
        if self._free:
            return self._free.pop()
        if self._next == SLOTS:
            return None
        self._next += 1
        return self._next - 1

    def _unpin(self, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self._ring.unpin(slot)
            self._free.append(slot)


def _make_ring() -> Any:
    try:
        ring = import_module("membuf.mdl._ring")
    except ImportError:
        raise from_status(
            st.STATUS_NOT_SUPPORTED,
            "this build of membuf cannot pin pages: it was built without liburing",
        ) from None
    try:
        return ring.PinRing(SLOTS)
    except MembufError as error:
        raise from_status(st.STATUS_NOT_SUPPORTED, str(error)) from error


def _refusal(error: int, size: int) -> MembufError:
    words = os.strerror(error)
    if error in {errno.ENOMEM, errno.EPERM}:
        return from_status(
            st.STATUS_WORKING_SET_QUOTA,
            f"the system refuses to pin {size} bytes ({words}): raise the limit on locked "
            "memory (ulimit -l), or pin less",
            operands={"needed": size, "errno": error},
        )
    if error == errno.ENOSPC:
        return from_status(
            st.STATUS_INSUFFICIENT_RESOURCES,
            f"{SLOTS} ranges are pinned, and the system pins no more",
            operands={"available": SLOTS},
        )
    return from_status(
        st.STATUS_NOT_SUPPORTED,
        f"the system cannot pin these pages ({words}): only writable memory that is no "
        "mapping of a file on disk",
        operands={"errno": error},
    )


pins = Pins()
"""Those of this process."""

os.register_at_fork(after_in_child=pins.forget)

"""Which driver a WDF call belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.wdf._driver import Driver

drivers: ContextVar[tuple[Driver, ...]] = ContextVar("membuf.wdf.drivers", default=())
"""The drivers entered in this context; the last one is current."""

calling_back: ContextVar[bool] = ContextVar("membuf.wdf.calling_back", default=False)
"""Whether one of the driver's callbacks is running: bug checks kept meanwhile wait for its end."""


def driver() -> Driver | None:
    """The current driver; a thread may still have one that has ended, which counts as none."""
    entered = drivers.get()
    return entered[-1] if entered and not entered[-1].ended else None


def push(entered: Driver) -> None:
    """Make a driver current."""
    drivers.set((*drivers.get(), entered))


def pop(left: Driver) -> None:
    """Take the innermost entry of a driver away, if there is one."""
    entered = list(drivers.get())
    for position in reversed(range(len(entered))):
        if entered[position] is left:
            del entered[position]
            break
    drivers.set(tuple(entered))

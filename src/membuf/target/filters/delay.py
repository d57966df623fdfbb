"""A filter that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Pause, Steps
from membuf.target.filters.options import kinds, seconds

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target


class Delay(Filter):
    """Lets time pass before each transfer.

    Args:
        lower: the target below.
        time: seconds.
        on: the kinds of transfers it delays, among read, write, flush and control.
        parent: the object whose deletion closes both.

    >>> import membuf
    >>> with membuf.open_target("delay(time=1ms,on=write)+file:/dev/null", access="write") as slow:
    ...     slow.write(b"hello")
    5
    """

    filter_name: ClassVar[str] = "delay"
    options: ClassVar[Options] = {"time": seconds, "on": kinds}

    def __init__(
        self,
        lower: Target,
        *,
        time: float = 0.001,
        on: frozenset[str] = frozenset(("read", "write", "flush", "control")),
        parent: Object | None = None,
    ) -> None:
        super().__init__(lower, parent=parent)
        self._time, self._on = time, on

    def steps(self, transfer: Transfer) -> Steps:
        """Wait, then send it on."""
        if transfer.verb in self._on:
            yield Pause(self._time)
        return (yield transfer.down())

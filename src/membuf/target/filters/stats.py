"""A filter that measures what passes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from membuf.base.errors import MembufError
from membuf.target.filters.base import Filter, Transfer
from membuf.target.filters.course import Steps
from membuf.target.filters.options import KINDS

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target


@dataclass(frozen=True, slots=True)
class Figures:
    """What one kind of transfers came to.

    Attributes:
        count: transfers that have ended.
        errors: those that failed.
        bytes: what they moved.
        seconds: the time they took together.
        shortest: the time of the shortest one, in seconds; 0.0 where there was none.
        longest: likewise.
        histogram: transfers by the power of two of their microseconds: entry n counts those that
            took less than 2**n microseconds, and not less than the entry before.

    >>> Figures(count=2, seconds=0.5).mean
    0.25
    """

    count: int = 0
    errors: int = 0
    bytes: int = 0
    seconds: float = 0.0
    shortest: float = 0.0
    longest: float = 0.0
    histogram: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """The mean time, in seconds."""
        return self.seconds / self.count if self.count else 0.0

    def plus(self, took: float, moved: int, failed: bool) -> Figures:
        """The same with one transfer more."""
        place = int(took * 1e6).bit_length()
        counts = [*self.histogram, *[0] * (place + 1 - len(self.histogram))]
        counts[place] += 1
        return Figures(
            count=self.count + 1,
            errors=self.errors + failed,
            bytes=self.bytes + moved,
            seconds=self.seconds + took,
            shortest=min(self.shortest, took) if self.count else took,
            longest=max(self.longest, took),
            histogram=tuple(counts),
        )


class Stats(Filter):
    """Measures how long transfers take.

    >>> import membuf
    >>> with membuf.open_target("stats+file:/dev/null", access="write") as target:
    ...     count = target.write(b"hello")
    ...     target.figures["write"].bytes, target.figures["read"].count
    (5, 0)
    """

    filter_name: ClassVar[str] = "stats"

    def __init__(self, lower: Target, *, parent: Object | None = None) -> None:
        super().__init__(lower, parent=parent)
        self._lock = threading.Lock()
        self._figures: dict[str, Figures] = {kind: Figures() for kind in KINDS}

    @property
    def figures(self) -> dict[str, Figures]:
        """What has passed so far, by kind: read, write, flush, control."""
        with self._lock:
            return dict(self._figures)

    def steps(self, transfer: Transfer) -> Steps:
        """Send it on, and note what it took."""
        begin = time.perf_counter()
        try:
            count = yield transfer.down()
        except MembufError as error:
            self._note(transfer, begin, int(error.operands.get("done", 0)), failed=True)
            raise
        self._note(transfer, begin, count, failed=False)
        return count

    def _note(self, transfer: Transfer, begin: float, moved: int, *, failed: bool) -> None:
        took = time.perf_counter() - begin
        with self._lock:
            figures = self._figures[transfer.verb]
            self._figures[transfer.verb] = figures.plus(took, moved, failed)

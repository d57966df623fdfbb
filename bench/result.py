"""What was measured of a row, and whether it is what was promised."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from bench.case import Row


@dataclass(frozen=True)
class Side:
    """One side of a comparison: medians over the processes."""

    value: float
    faults: float | None
    peak: int | None


@dataclass(frozen=True)
class RowResult:
    """A row with its figures, or with the reason why it has none."""

    row: Row
    compared: float | None = None  # the ratio; without a peer the figure itself
    lowest: float | None = None  # of the processes
    highest: float | None = None
    ours: Side | None = None
    peer: Side | None = None
    why_not: str | None = None

    @property
    def verdict(self) -> str:
        """What the figures say about bar and goal, in a few words."""
        if self.compared is None:
            return f"not measured: {self.why_not}"
        if self.row.bar is None or self.row.goal is None:
            return "for comparison"
        if _reached(self.compared, self.row.goal, self.row.better):
            return "met goal"
        if _reached(self.compared, self.row.bar, self.row.better):
            return "met bar"
        return f"missed by {abs(self.compared / self.row.bar - 1):.0%}"


@dataclass(frozen=True)
class GroupResult:
    """The rows of a group, and the points of its curves: (size in bytes, figure)."""

    name: str
    title: str
    rows: list[RowResult]
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


def judge(row: Row, compared: list[float], ours: Side, peer: Side | None) -> RowResult:
    """The result of a row from one number a process."""
    return RowResult(row, statistics.median(compared), min(compared), max(compared), ours, peer)


def _reached(value: float, target: float, better: str) -> bool:
    return value <= target if better == "lower" else value >= target

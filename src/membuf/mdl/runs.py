"""Counts over ranges: how many hold each page, kept as runs of equal counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator


class Run:
    """Consecutive units with the same count.

    Attributes:
        start: the first.
        end: one past the last.
        count: how many hold them; never 0.
        foreign: whether somebody else held them when the first of ours came.

    >>> Run(0, 4096, 1).foreign
    False
    """

    __slots__ = ("count", "end", "foreign", "start")

    def __init__(self, start: int, end: int, count: int = 1, foreign: bool = False) -> None:
        self.start = start
        self.end = end
        self.count = count
        self.foreign = foreign


class Runs:
    """How many hold each unit of a line; only those with a count take room.

    >>> runs = Runs()
    >>> [(run.start, run.end) for run in runs.add(0, 10)]
    [(0, 10)]
    >>> [(run.start, run.end) for run in runs.add(5, 15)]
    [(10, 15)]
    >>> [(run.start, run.end) for run in runs.remove(0, 10)]
    [(0, 5)]
    """

    __slots__ = ("_runs", "_starts")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._starts: list[int] = []

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def add(self, start: int, end: int) -> list[Run]:
        """Count a range up; the runs that nothing held before, each within one old gap."""
        first, last = self._cut(start), self._cut(end)
        if first == last:  # as it usually is
            self._replace(first, last, [Run(start, end)])
            return self._runs[first : first + 1]
        fresh: list[Run] = []
        covered: list[Run] = []
        reached = start
        for run in self._runs[first:last]:
            if reached < run.start:
                fresh.append(Run(reached, run.start))
                covered.append(fresh[-1])
            run.count += 1
            covered.append(run)
            reached = run.end
        if reached < end:
            fresh.append(Run(reached, end))
            covered.append(fresh[-1])
        self._replace(first, last, covered)
        return fresh

    def remove(self, start: int, end: int) -> list[Run]:
        """Count a range down that was counted up; the runs that nothing holds any more."""
        first, last = self._cut(start), self._cut(end)
        if last - first == 1 and self._runs[first].count == 1:
            del self._starts[first]
            return [self._runs.pop(first)]
        empty: list[Run] = []
        left: list[Run] = []
        for run in self._runs[first:last]:
            run.count -= 1
            (left if run.count else empty).append(run)
        self._replace(first, last, left)
        self._join(first + len(left))
        self._join(first)
        return empty

    def split(self, at: int) -> Run:
        """Cut the run around `at` in two; the second part."""
        return self._runs[self._cut(at)]

    def _cut(self, at: int) -> int:
        """Let no run reach across `at`; the position of the first run from there on."""
        position = bisect_left(self._starts, at)
        if position and (run := self._runs[position - 1]).end > at:
            rest = [Run(at, run.end, run.count, run.foreign)]
            run.end = at
            self._replace(position, position, rest)
        return position

    def _join(self, position: int) -> None:
        """Make one of two neighbours that differ in nothing."""
        if not 0 < position < len(self._runs):
            return
        left, right = self._runs[position - 1], self._runs[position]
        alike = left.count == right.count and left.foreign == right.foreign
        if left.end == right.start and alike:
            left.end = right.end
            self._replace(position, position + 1, [])

    def _replace(self, first: int, last: int, runs: list[Run]) -> None:
        self._runs[first:last] = runs
        self._starts[first:last] = [run.start for run in runs]

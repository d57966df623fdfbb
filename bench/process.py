"""Runs every group in several processes, one after another, and puts their figures together."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.case import Figure, Group, Row, Settings
from bench.groups import MODULES, group
from bench.result import GroupResult, RowResult, Side, judge

ROOT = Path(__file__).resolve().parent.parent

Figures = dict[str, Figure]


def measure_groups(
    names: Iterable[str], settings: Settings, tell: Callable[[str], None]
) -> list[GroupResult]:
    """Measures the groups. Their processes take turns: a slow minute then hits each a little.

    Args:
        names: Names of groups.
        settings: How thoroughly.
        tell: Called with a line on what is being measured.
    """
    taken = list(names)
    why_not = {name: group(name).missing(settings) for name in taken}
    runs: dict[str, list[Figures]] = {name: [] for name in taken}
    for turn in range(settings.processes):
        for name in taken:
            if why_not[name] is None:
                tell(f"{group(name).title} ({turn + 1} of {settings.processes})")
                runs[name].append(_run(name, settings))
    return [_result(name, runs[name], why_not[name]) for name in taken]


def _run(name: str, settings: Settings) -> Figures:
    speed = "quick" if settings.quick else "full"
    command = [sys.executable, "-m", "bench.worker", MODULES[name], speed, str(settings.folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    return {key: Figure(**value) for key, value in printed.items()}


def _result(name: str, runs: list[Figures], why_not: str | None) -> GroupResult:
    of = group(name)
    rows = [_row_result(row, runs, why_not) for row in of.rows]
    return GroupResult(name, of.title, rows, _curves(of, runs))


def _row_result(row: Row, runs: list[Figures], why_not: str | None) -> RowResult:
    if why_not is not None:
        return RowResult(row, why_not=why_not)
    absent = [name for name in (row.ours, row.peer) if name is not None and name not in runs[0]]
    if absent:
        return RowResult(row, why_not=f"not available here: {', '.join(absent)}")
    ours = [run[row.ours] for run in runs]
    if row.peer is None:
        values = [figure.value for figure in ours]
        return judge(row, values, _side(ours), None)
    theirs = [run[row.peer] for run in runs]
    ratios = [mine.value / other.value for mine, other in zip(ours, theirs, strict=True)]
    return judge(row, ratios, _side(ours), _side(theirs))


def _side(figures: list[Figure]) -> Side:
    faults = [figure.faults for figure in figures if figure.faults is not None]
    peaks = [figure.peak for figure in figures if figure.peak is not None]
    return Side(
        statistics.median(figure.value for figure in figures),
        statistics.median(faults) if faults else None,
        int(statistics.median(peaks)) if peaks else None,
    )


def _curves(of: Group, runs: list[Figures]) -> dict[str, list[tuple[int, float]]]:
    if not runs:
        return {}
    return {
        curve.name: [
            (size, statistics.median(run[figure].value for run in runs))
            for size, figure in zip(curve.sizes, curve.figures, strict=True)
        ]
        for curve in of.curves
    }

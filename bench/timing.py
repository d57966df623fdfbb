"""Timing inside one process: ways take turns, and the best round of each counts."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench.case import Figure, Settings

UNROLLED = 10  # statements in a turn of the loop: the loop itself costs a tenth of its price
CLEAR_PEAK = "5"


@dataclass(frozen=True)
class Way:
    """One way to do the thing: a round of it, and how many operations a round has."""

    name: str
    run: Callable[[], object]
    operations: int


def statement(name: str, code: str, settings: Settings, **names: Any) -> Way:
    """A way that is a line of Python, over the given names.

    The line is repeated inside a compiled loop with everything it names local, so that what is
    timed is the line. A round is made about `settings.round_ns` long.
    """
    loop = _compiled(code, names)
    loop(2)  # what only the first turns cost: pages touched, code specialized
    count = 1
    while (elapsed := _duration(loop, count)) < settings.round_ns and count < 1 << 20:
        count = max(count + 1, min(count * 8, count * settings.round_ns // max(elapsed, 1)))
    return Way(name, lambda: loop(count), count * UNROLLED)


def _compiled(code: str, names: dict[str, Any]) -> Callable[[int], None]:
    arguments = "".join(f", {name}={name}" for name in names)
    body = "".join(f"        {code}\n" for _ in range(UNROLLED))
    scope: dict[str, Any] = {**names, "repeat": repeat}
    exec(f"def loop(count{arguments}):\n    for _ in repeat(None, count):\n{body}", scope)
    loop: Callable[[int], None] = scope["loop"]
    return loop


def _duration(loop: Callable[[int], None], count: int) -> int:
    start = perf_counter_ns()
    loop(count)
    return perf_counter_ns() - start


def round_robin(ways: Iterable[Way], rounds: int) -> dict[str, Figure]:
    """Times the ways in turn, `rounds` times over; nanoseconds an operation by name."""
    taken = list(ways)
    peaks = {way.name: peak_growth(way.run) for way in taken}
    best = dict.fromkeys(peaks, float("inf"))
    faults = dict.fromkeys(peaks, 0)
    for turn in range(rounds):
        first = turn % len(taken)  # no way always follows the same other one
        for way in taken[first:] + taken[:first]:
            before = page_faults()
            start = perf_counter_ns()
            way.run()
            elapsed = perf_counter_ns() - start
            faults[way.name] += page_faults() - before
            best[way.name] = min(best[way.name], elapsed / way.operations)
    return {
        way.name: Figure(
            best[way.name], faults[way.name] / rounds / way.operations, peaks[way.name]
        )
        for way in taken
    }


def page_faults() -> int:
    """Page faults of this process so far, those that read a disk included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def peak_growth(run: Callable[[], object]) -> int:
    """The bytes a call makes resident at its height, above what was resident before."""
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
    run()
    return max(0, resident("VmHWM") - before)


def resident(field: str = "VmRSS") -> int:
    """Resident bytes of this process, now (VmRSS) or at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")

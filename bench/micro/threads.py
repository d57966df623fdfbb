"""Two threads, each with a lookaside list of its own, against one; free-threaded build.

Time a pair, `m = pages.allocate(); m.delete()`, 4 KiB blocks. With nothing shared two threads
should take what one takes. Only a free-threaded interpreter can show it, on two cores or more: run
the benchmarks with one (`python3.13t -m bench`); elsewhere the row says that it was not measured.
"""

from __future__ import annotations

import os
import sysconfig
import threading
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter_ns

import membuf
from bench.case import KIB, Figure, Group, Row, Settings
from bench.timing import statement

PAIR = "m = pages.allocate(); m.delete()"


def missing(_: Settings) -> str | None:
    """Why it is not measured here."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this interpreter is no free-threaded build"
    if len(os.sched_getaffinity(0)) < 2:
        return "only one core"
    return None


def _together(threads: int, settings: Settings) -> float:
    """Nanoseconds a pair, when so many threads run at once: the slowest of them."""
    barrier = threading.Barrier(threads)
    taken = [0.0] * threads
    longer = replace(settings, round_ns=settings.round_ns * 20)  # starting takes its time

    def work(index: int) -> None:
        pages = membuf.LookasideList(4 * KIB, tag="Bnch")
        way = statement("pair", PAIR, longer, pages=pages)
        barrier.wait()
        start = perf_counter_ns()
        way.run()
        taken[index] = (perf_counter_ns() - start) / way.operations

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(taken)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """One thread and two, in turn."""
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(settings.rounds):
        for threads, before in best.items():
            best[threads] = min(before, _together(threads, settings))
    return {f"{threads} threads": Figure(value) for threads, value in best.items()}


GROUP = Group(
    title="Threads, free-threaded build",
    rows=(Row("allocate + delete, own lists", "2 threads", "1 threads", 1.3, 1.05),),
    measure=measure,
    missing=missing,
)

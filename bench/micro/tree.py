"""Building and deleting large trees of memory objects, per object.

A million children of one parent (wide), and a chain in which each owns the next (deep), of 64 B
memories; the process has a stack of 256 KiB. Peers: a list of a million bytearray(64), made by a
comprehension, and lists nested a million deep. "At ten thousand" is the same tree a hundredth its
size, which fits the cache: what remains above 1.0 is the price of memory, not of the algorithm.
The collector is on, as it is for users. The best of a few rounds in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any

import membuf
from bench.case import KIB, Figure, Group, Row, Settings
from bench.timing import page_faults, peak_growth

SIZE = 64
SMALLER = 100
ROUNDS = 3
ROUNDS_OF_SMALLER = 30


@dataclass(frozen=True)
class Plan:
    """How to build `count` objects held by one, and how to end them."""

    name: str
    build: Callable[[int], Any]
    end: Callable[[Any], object]


def _delete(root: membuf.Object) -> None:
    root.delete()


def _wide(count: int) -> membuf.Object:
    root, memory = membuf.Object(), membuf.Memory
    for _ in repeat(None, count):
        memory(SIZE, parent=root)
    return root


def _wide_of_list(count: int) -> membuf.Object:
    root, blocks = membuf.Object(), membuf.LookasideList(SIZE, tag="Bnch")
    allocate = blocks.allocate
    for _ in repeat(None, count):
        allocate(parent=root)
    return root


def _deep(count: int) -> membuf.Object:
    root, memory = membuf.Object(), membuf.Memory
    last: membuf.Object = root
    for _ in repeat(None, count):
        last = memory(SIZE, parent=last)
    return root


def _bytearrays(count: int) -> list[list[bytearray]]:
    return [[bytearray(SIZE) for _ in repeat(None, count)]]


def _nested(count: int) -> list[Any]:
    inner: list[Any] = []
    for _ in repeat(None, count):
        inner = [inner]
    return [inner]


PLANS = (
    Plan("wide", _wide, _delete),
    Plan("wide, from a list", _wide_of_list, _delete),
    Plan("deep", _deep, _delete),
    Plan("list of bytearrays", _bytearrays, list.clear),
    Plan("nested lists", _nested, list.clear),
)


def _round(plan: Plan, count: int) -> tuple[float, float, int]:
    """Nanoseconds an object to build and to end; page faults while building."""
    faults = page_faults()
    start = perf_counter_ns()
    whole = plan.build(count)
    built = perf_counter_ns()
    faults = page_faults() - faults
    middle = perf_counter_ns()
    plan.end(whole)
    return (built - start) / count, (perf_counter_ns() - middle) / count, faults


def _figures(
    plan: Plan, count: int, rounds: list[tuple[float, float, int]], peak: int, suffix: str
) -> dict[str, Figure]:
    faults = sum(taken for _, _, taken in rounds) / len(rounds) / count
    return {
        f"build {plan.name}{suffix}": Figure(min(r[0] for r in rounds), faults, peak),
        f"delete {plan.name}{suffix}": Figure(min(r[1] for r in rounds)),
    }


def _measured(count: int, times: int, suffix: str) -> dict[str, Figure]:
    peaks = {plan.name: peak_growth(lambda p=plan: p.end(p.build(count))) for plan in PLANS}  # type: ignore[misc]
    rounds: dict[str, list[tuple[float, float, int]]] = {plan.name: [] for plan in PLANS}
    for _ in range(times):
        for plan in PLANS:
            rounds[plan.name].append(_round(plan, count))
    figures: dict[str, Figure] = {}
    for plan in PLANS:
        figures |= _figures(plan, count, rounds[plan.name], peaks[plan.name], suffix)
    return figures


def measure(settings: Settings) -> Mapping[str, Figure]:
    """The small trees first: the large ones leave the heap scattered."""
    small = settings.objects // SMALLER
    return _measured(small, ROUNDS_OF_SMALLER, " at ten thousand") | _measured(
        settings.objects, ROUNDS, ""
    )


def _peer(what: str, ours: str, bar: float, goal: float) -> Row:
    verb = ours.split(maxsplit=1)[0]
    against = "list of bytearray"
    return Row(what, ours, f"{verb} list of bytearrays", bar, goal, against=against)


def _linear(what: str, ours: str) -> Row:
    against = "itself at ten thousand"
    return Row(what, ours, f"{ours} at ten thousand", 1.3, 1.1, against=against)


GROUP = Group(
    title="Trees of a million objects, stack of 256 KiB",
    rows=(
        _peer("delete, wide", "delete wide", 1.5, 0.8),
        _peer("delete, wide, children from a lookaside list", "delete wide, from a list", 1.5, 0.8),
        _peer("delete, deep", "delete deep", 1.5, 0.8),
        _linear("delete, wide", "delete wide"),
        _linear("delete, deep", "delete deep"),
        Row("delete, deep", "delete deep", "delete nested lists", against="nested lists"),
        _peer("build, wide", "build wide", 3, 2),
        _peer("build, wide, children from a lookaside list", "build wide, from a list", 3, 2),
        _peer("build, deep", "build deep", 3, 2),
        Row("build, deep", "build deep", "build nested lists", against="nested lists"),
    ),
    measure=measure,
    stack=256 * KIB,
)

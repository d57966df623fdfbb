"""Bursts: many live buffers, a byte written to every page of each, all given back.

1024 buffers of 4 KiB, 256 of 1 MiB. Figures are nanoseconds a buffer, in the steady state: after
bursts enough for a list's depth to have followed demand (one rebalance a second by itself; called
here between the first bursts). Ours is a lookaside list with `maximum_depth` for all of a burst.
The touching is the same few lines of C for every way; the Python loops around it are equal.

Watch the faults: who gives memory back to the system between bursts pays them again, and holds less
between. That is what a pool is for, and what it costs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import membuf
from bench.case import KIB, MIB, Figure, Group, Row, Settings, label
from bench.raw import raw
from bench.timing import Way, round_robin

BURSTS = {4 * KIB: 1024, MIB: 256}
QUICK_DIVISOR = 16
WARM_UP = 10  # doublings of the depth: from 4 to any here


def _burst_of_ours(pages: membuf.LookasideList, count: int) -> Callable[[], None]:
    touch = raw().touch

    def burst() -> None:
        held = [pages.allocate() for _ in range(count)]
        for buffer in held:
            touch(buffer)
        for buffer in held:
            buffer.delete()

    return burst


def _burst_of_deque(size: int, count: int) -> Callable[[], None]:
    touch = raw().touch
    free = deque(bytearray(size) for _ in range(count))

    def burst() -> None:
        held = [free.pop() for _ in range(count)]
        for buffer in held:
            touch(buffer)
        for buffer in held:
            free.append(buffer)

    return burst


def _burst_of_fresh(allocate: Callable[[int], Any], size: int, count: int) -> Callable[[], None]:
    touch = raw().touch

    def burst() -> None:
        held = [allocate(size) for _ in range(count)]
        for buffer in held:
            touch(buffer)
        held.clear()

    return burst


def _ways(size: int, count: int) -> Iterator[Way]:
    import pyarrow as pa

    pages = membuf.LookasideList(size, tag="Bnch", maximum_depth=count)
    ours = _burst_of_ours(pages, count)
    for _ in range(WARM_UP):
        ours()
        pages.rebalance()
    yield Way(f"membuf, {label(size)}", ours, count)
    yield Way(f"deque, {label(size)}", _burst_of_deque(size, count), count)
    yield Way(f"bytearray, {label(size)}", _burst_of_fresh(bytearray, size, count), count)
    yield Way(f"pyarrow, {label(size)}", _burst_of_fresh(pa.allocate_buffer, size, count), count)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Each size by itself, so that no more than one size's buffers are kept."""
    figures: dict[str, Figure] = {}
    for size, whole in BURSTS.items():
        count = whole // QUICK_DIVISOR if settings.quick else whole
        figures |= round_robin(_ways(size, count), max(3, settings.rounds // 4))
    return figures


def _against(peer: str, size: int, bar: float | None, goal: float | None) -> Row:
    return Row(
        f"burst, {label(size)}", f"membuf, {label(size)}", f"{peer}, {label(size)}", bar, goal
    )


GROUP = Group(
    title="Lookaside list, bursts, every page touched",
    rows=(
        _against("bytearray", 4 * KIB, 0.05, 0.03),
        _against("bytearray", MIB, 0.02, 0.01),
        _against("pyarrow", 4 * KIB, 0.2, 0.1),
        _against("pyarrow", MIB, 1.0, 0.9),
        _against("deque", 4 * KIB, None, None),
        _against("deque", MIB, None, None),
    ),
    measure=measure,
)

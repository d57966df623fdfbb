"""Take a buffer and give it back, nothing else alive: a lookaside list in its steady state.

Sizes 64 B to 16 MiB. No byte is touched. Ours is `m = pages.allocate(); m.delete()` with tag, owner
link and counters; the allocation site is recorded unless a row says otherwise. Peers:

* deque: `buffer = free.pop(); free.append(buffer)`, the unsafe free list: no bounds, no double
  release found, no accounting;
* slice: the safe idiom, a slice of one memoryview over a slab, and its release();
* bytearray(n), numpy.empty(n), pyarrow.allocate_buffer(n): fresh memory each time. The last two
  do not clear it, the first does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import membuf
from bench.case import KIB, MIB, Curve, Figure, Group, Row, Settings, label
from bench.timing import Way, round_robin, statement

SIZES = (64, 4 * KIB, 64 * KIB, MIB, 16 * MIB)
SLAB_BLOCKS = 64


def _ours(size: int, settings: Settings) -> Iterator[Way]:
    pages = membuf.LookasideList(size, tag="Bnch")
    with membuf.Domain(sites=False, name="no sites"):
        bare = membuf.LookasideList(size, tag="Bnch")
    for name, taken_from in (("membuf", pages), ("membuf without site", bare)):
        code = "m = pages.allocate(); m.delete()"
        yield statement(f"{name}, {label(size)}", code, settings, pages=taken_from)
    yield statement(f"membuf dropped, {label(size)}", "pages.allocate()", settings, pages=pages)


def _recycling_peers(size: int, settings: Settings) -> Iterator[Way]:
    free = deque([bytearray(size)])
    code = "buffer = free.pop(); free.append(buffer)"
    yield statement(f"deque, {label(size)}", code, settings, free=free)
    if size <= 64 * KIB:
        slab = memoryview(bytearray(size * SLAB_BLOCKS))
        offsets = deque(range(0, size * SLAB_BLOCKS, size))
        code = "at = free.pop(); view = slab[at : at + size]; view.release(); free.append(at)"
        names = {"free": offsets, "slab": slab, "size": size}
        yield statement(f"slice, {label(size)}", code, settings, **names)


def _allocating_peers(size: int, settings: Settings) -> Iterator[Way]:
    import numpy as np
    import pyarrow as pa

    yield statement(f"bytearray, {label(size)}", "bytearray(size)", settings, size=size)
    names = {"empty": np.empty, "size": size, "kind": np.dtype("u1")}
    yield statement(f"numpy, {label(size)}", "empty(size, kind)", settings, **names)
    names = {"allocate": pa.allocate_buffer, "size": size}
    yield statement(f"pyarrow, {label(size)}", "allocate(size)", settings, **names)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way at every size, in turn."""
    ways = [
        way
        for size in SIZES
        for make in (_ours, _recycling_peers, _allocating_peers)
        for way in make(size, settings)
    ]
    figures = round_robin(ways, settings.rounds)
    ours = [figures[f"membuf, {label(size)}"] for size in SIZES]
    figures["membuf, slowest size"] = max(ours, key=lambda figure: figure.value)
    figures["membuf, fastest size"] = min(ours, key=lambda figure: figure.value)
    return figures


def _against(peer: str, size: int, bar: float | None, goal: float | None) -> Row:
    what = f"allocate + delete, {label(size)}"
    return Row(what, f"membuf, {label(size)}", f"{peer}, {label(size)}", bar, goal)


def _without_site(size: int) -> Row:
    what = f"allocate + delete, {label(size)}, site not recorded"
    return Row(what, f"membuf without site, {label(size)}", f"deque, {label(size)}", 2.0, 1.4)


GROUP = Group(
    title="Lookaside list, steady state",
    rows=(
        *(_against("deque", size, 2.0, 1.4) for size in SIZES),
        *(_without_site(size) for size in (64, 16 * MIB)),
        Row("slowest over fastest size", "membuf, slowest size", "membuf, fastest size", 1.1, 1.05),
        _against("slice", 4 * KIB, 0.45, 0.28),
        _against("bytearray", 4 * KIB, 0.5, 0.35),
        _against("bytearray", 64 * KIB, 0.1, 0.06),
        _against("bytearray", MIB, 0.008, 0.005),
        _against("numpy", 4 * KIB, None, None),
        _against("numpy", MIB, None, None),
        _against("pyarrow", 4 * KIB, None, None),
        _against("pyarrow", MIB, None, None),
        Row("allocate, dropped without delete", "membuf dropped, 4 KiB", "deque, 4 KiB"),
    ),
    measure=measure,
    curves=tuple(
        Curve(name, tuple(f"{name}, {label(size)}" for size in SIZES), SIZES)
        for name in ("membuf", "deque", "bytearray", "numpy", "pyarrow")
    ),
)

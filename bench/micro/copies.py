"""Copy n bytes into a buffer of 4 MiB at an offset: 64 B, 4 KiB, 1 MiB; everything warm.

Ours is `memory.copy_from(source, offset)`, checked. Peers: assignment to a slice of a memoryview
(checked too, made and dropped for the copy), and memcpy alone, in a C loop, between the very same
addresses. The source is a bytes object, which starts 32 bytes into an allocation; one row has a
bytearray. From 1 MiB on every way is memcpy and nobody can win.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import membuf
from bench.case import KIB, MIB, Figure, Group, Row, Settings, label
from bench.raw import raw
from bench.timing import Way, round_robin, statement

SIZES = (64, 4 * KIB, MIB)
TARGET = 4 * MIB
OFFSET = 64 * KIB


def _ways(size: int, settings: Settings) -> Iterator[Way]:
    source = bytes(range(256)) * (size // 256 + 1)
    source = source[:size]
    ours = membuf.Memory(TARGET, tag="Bnch", zero=True)
    theirs = memoryview(bytearray(TARGET))
    names = {"to": ours, "source": source, "at": OFFSET}
    yield statement(f"membuf, {label(size)}", "to.copy_from(source, at)", settings, **names)
    names = {"to": ours, "source": bytearray(source), "at": OFFSET}
    code = "to.copy_from(source, at)"
    yield statement(f"membuf from bytearray, {label(size)}", code, settings, **names)
    names = {"to": theirs, "source": source, "at": OFFSET, "end": OFFSET + size}
    yield statement(f"memoryview, {label(size)}", "to[at:end] = source", settings, **names)
    yield _memcpy(size, ours, source, settings)


def _memcpy(size: int, to: membuf.Memory, source: bytes, settings: Settings) -> Way:
    copy, many = raw().copy, max(1, 64 * KIB // size)
    names = {"copy": copy, "to": to, "at": OFFSET, "source": source, "many": many}
    way = statement(f"memcpy, {label(size)}", "copy(to, at, source, many)", settings, **names)
    return Way(way.name, way.run, way.operations * many)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way at every size, in turn."""
    ways = [way for size in SIZES for way in _ways(size, settings)]
    return round_robin(ways, settings.rounds)


def _against(peer: str, size: int, bar: float | None, goal: float | None) -> Row:
    what = f"copy_from, {label(size)}"
    return Row(what, f"membuf, {label(size)}", f"{peer}, {label(size)}", bar, goal)


GROUP = Group(
    title="Copies",
    rows=(
        _against("memoryview", 64, 0.5, 0.35),
        _against("memoryview", 4 * KIB, 0.75, 0.6),
        _against("memcpy", MIB, 1.05, 1.02),
        _against("memcpy", 64, None, None),
        _against("memcpy", 4 * KIB, None, None),
        Row("copy_from a bytearray, 4 KiB", "membuf from bytearray, 4 KiB", "memoryview, 4 KiB"),
    ),
    measure=measure,
)

"""Meters that show a leak, whatever it is made of: objects, malloc, mappings, pool accounts."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import membuf

WARM_UP = 60
ROUNDS = 200
RETRIES = 4


class Reading(NamedTuple):
    """What is held now. A leak makes one of the figures grow with every call."""

    python_blocks: int
    malloc_bytes: int
    mapped_bytes: int
    pool_outstanding: int
    pool_bytes: int


class Mallinfo(ctypes.Structure):
    """The record of mallinfo2(3); ``uordblks`` and ``hblkhd`` are the bytes in use."""

    _fields_ = [
        ("of_the_arenas", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),
        ("of_free_blocks", ctypes.c_size_t * 2),
        ("uordblks", ctypes.c_size_t),
        ("of_the_top", ctypes.c_size_t * 2),
    ]


LIBC = ctypes.CDLL(None)
SANITIZED = hasattr(LIBC, "__sanitizer_get_current_allocated_bytes")


def malloc_bytes() -> int:
    """Bytes that malloc has handed out, by libc or by the sanitizer that has taken its place."""
    if SANITIZED:
        return int(ALLOCATED())
    heap = MALLINFO()
    return int(heap.uordblks + heap.hblkhd)


if SANITIZED:
    ALLOCATED = LIBC["__sanitizer_get_current_allocated_bytes"]
    ALLOCATED.restype = ctypes.c_size_t
else:
    MALLINFO = LIBC.mallinfo2
    MALLINFO.restype = Mallinfo


def mapped_bytes() -> int:
    """Address space; only the pool's where a sanitizer maps more to keep what was freed."""
    if SANITIZED:
        return membuf.pool.statistics().mapped_bytes
    return int(Path("/proc/self/statm").read_text().split()[0]) * 4096


def read() -> Reading:
    """Read all meters, with garbage collected."""
    gc.collect()
    tags = membuf.pool.statistics().tags
    return Reading(
        sys.getallocatedblocks(),
        malloc_bytes(),
        mapped_bytes(),
        sum(record.outstanding for record in tags),
        sum(record.bytes for record in tags),
    )


def leak_of(call: Callable[[], object]) -> str | None:
    """What a call leaks, in words; None where every meter comes to rest.

    Caches grow for a while, a leak grows for ever: only a meter that rises in every one of
    several measurements, by at least a unit for every second call, is believed.
    """
    repeat(call, WARM_UP)
    suspects = set(Reading._fields)
    growth: dict[str, int] = {}
    for _ in range(RETRIES):
        before = read()
        repeat(call, ROUNDS)
        after = read()
        growth = {name: getattr(after, name) - getattr(before, name) for name in Reading._fields}
        suspects &= {name for name, grown in growth.items() if grown >= ROUNDS // 2}
        if not suspects:
            return None
    found = ", ".join(f"{name} +{growth[name]}" for name in sorted(suspects))
    return f"in {ROUNDS} calls: {found}"


def repeat(call: Callable[[], object], count: int) -> None:
    """Call without a loop variable or a list that would itself grow."""
    for _ in range(count):
        call()

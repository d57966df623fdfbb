"""Resident bytes per live 64-byte buffer, every byte written.

A million at once, each kind in a process of its own; what is counted is the growth of the resident
set between an empty list with room for all and a full one, over their number. Ours carry tag, owner
link and site. A bytearray knows its length and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import membuf
from bench.case import Figure, Group, Row, Settings
from bench.timing import resident

SIZE = 64
CONTENT = b"x" * SIZE


def _filled(memory: membuf.Memory) -> membuf.Memory:
    memory.copy_from(CONTENT)
    return memory


def _pool_memory() -> membuf.Memory:
    return _filled(membuf.Memory(SIZE, tag="Bnch"))


def _lookaside_memory(blocks: membuf.LookasideList) -> membuf.Memory:
    return _filled(blocks.allocate())


def _maker(kind: str) -> Callable[[], Any]:
    if kind == "membuf.Memory":
        return _pool_memory
    if kind == "membuf lookaside":
        return partial(_lookaside_memory, membuf.LookasideList(SIZE, tag="Bnch"))
    return partial(bytearray, CONTENT)


def growth(kind: str, count: int) -> float:
    """Resident bytes that each of `count` live buffers of a kind adds to this process."""
    make = _maker(kind)
    held: list[Any] = [CONTENT] * count
    before = resident()
    for index in range(count):
        held[index] = make()
    return (resident() - before) / count


def _in_a_process(kind: str, count: int) -> Figure:
    command = [sys.executable, "-m", "bench.micro.residency", kind, str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Figure(float(printed))


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every kind in its own process."""
    kinds = ("membuf.Memory", "membuf lookaside", "bytearray")
    return {kind: _in_a_process(kind, settings.objects) for kind in kinds}


GROUP = Group(
    title="Memory per live 64 B buffer",
    rows=(
        Row("resident, Memory(64)", "membuf.Memory", None, 208, 184, unit="B"),
        Row("resident, from a list of 64 B", "membuf lookaside", None, 208, 184, unit="B"),
        Row("resident, against bytearray(64)", "membuf.Memory", "bytearray", unit="B"),
    ),
    measure=measure,
)

if __name__ == "__main__":
    print(growth(sys.argv[1], int(sys.argv[2])))

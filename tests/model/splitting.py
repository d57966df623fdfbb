"""A slow model of how transactions are split: it looks at every single byte."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = 4096


@dataclass(frozen=True)
class Byte:
    """A byte of a chain: its MDL, and the page it lies in."""

    mdl: int
    page: int


def bytes_of(mdls: list[tuple[int, int]]) -> list[Byte]:
    """Every byte of a chain given by (offset in page, count)."""
    return [
        Byte(number, (offset + at) // PAGE)
        for number, (offset, count) in enumerate(mdls)
        for at in range(count)
    ]


def transfers(
    mdls: list[tuple[int, int]],
    start: int,
    length: int,
    fragment: int,
    registers: int,
    elements: int,
) -> list[int] | None:
    """The lengths of the transfers; None where the device refuses so many elements."""
    chain = bytes_of(mdls)[start : start + length]
    lengths: list[int] = []
    while chain:
        wanted = chain[:fragment]
        if len(set(wanted)) > elements:
            return None
        taken = wanted
        while len(set(taken)) > registers:
            last = taken[-1].mdl
            taken = [byte for byte in taken if byte.mdl != last]
        lengths.append(len(taken))
        chain = chain[len(taken) :]
    return lengths

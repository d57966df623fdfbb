"""The mappings that a range of addresses lies in."""

from __future__ import annotations

import os
from pathlib import Path

from membuf.mdl._system import mapping_at
from membuf.mdl.pages import PAGE_SIZE

_MAPS = "/proc/self/maps"


def borders(start: int, end: int) -> list[int]:
    """The addresses inside a range where one mapping may end and another begin.

    A lock is a property of a whole mapping: between two borders all pages are locked or none is.
    A process that changed its user may not see its mappings: then every page may be one.
    """
    try:
        asked = _asked_borders(start, end)
        return _listed_borders(start, end) if asked is None else asked
    except PermissionError:
        return list(range(start + PAGE_SIZE, end, PAGE_SIZE))


def huge_page_size(start: int, end: int) -> int:
    """The size of the reserved huge pages that a range consists of; 0 where it does not.

    Transparent huge pages are none of these: the system splits and moves them as it likes. Where
    the system is too old to be asked (before Linux 6.11), or does not say, the answer is 0.
    """
    try:
        _, last, page_size = _mapping_at(start)
    except (LookupError, PermissionError):
        return 0
    return page_size if page_size > PAGE_SIZE and end <= last else 0


def _mapping_at(address: int) -> tuple[int, int, int]:
    maps = os.open(_MAPS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = mapping_at(maps, address)
    finally:
        os.close(maps)
    if found is None:
        raise LookupError(f"the system does not tell what is mapped at {address:#x}")
    return found


def _asked_borders(start: int, end: int) -> list[int] | None:
    """The borders, asked for one by one; None where that cannot be."""
    found: list[int] = []
    try:
        at = _mapping_at(start)[1]
        while at < end:
            found.append(at)
            at = _mapping_at(at)[1]
    except LookupError:
        return None
    return found


def _listed_borders(start: int, end: int) -> list[int]:
    """The borders by the whole list, which is longer to read."""
    found: set[int] = set()
    with Path(_MAPS).open("rb") as maps:
        for line in maps:
            first, last = line.split(b" ", 1)[0].split(b"-")
            found.update((int(first, 16), int(last, 16)))
    return sorted(border for border in found if start < border < end)

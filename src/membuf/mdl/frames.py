"""The frames behind pages, where the system tells and nothing can move them."""

from __future__ import annotations

import os
from array import array

from membuf.mdl._system import mapping_at, read_frames
from membuf.mdl.pages import PAGE_SIZE


def frames_of(start: int, end: int) -> array[int] | None:
    """The frame number of each page from one address to another.

    Returns:
        None where a page is absent or the system hides the numbers (it shows them to those with
        CAP_SYS_ADMIN).
    """
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_frames(pagemap, start, (end - start) // PAGE_SIZE)
    finally:
        os.close(pagemap)


def huge_page_size(start: int, end: int) -> int:
    """The size of the reserved huge pages that a range consists of; 0 where it does not.

    Transparent huge pages are none of these: the system splits and moves them as it likes. Where
    the system is too old to be asked (before Linux 6.11) the answer is 0.
    """
    maps = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = mapping_at(maps, start)
    finally:
        os.close(maps)
    if found is None or found[2] <= PAGE_SIZE or end > found[1]:
        return 0
    return found[2]

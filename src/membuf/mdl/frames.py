"""The frames behind pages, where the system tells and nothing can move them."""

from __future__ import annotations

import os
from array import array

from membuf.mdl._system import read_frames
from membuf.mdl.pages import PAGE_SIZE


def frames_of(start: int, end: int) -> array[int] | None:
    """The frame number of each page from one address to another.

    Returns:
        None where a page is absent or the system hides the numbers (it shows them to those with
        CAP_SYS_ADMIN).
    """
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return None
    try:
        return read_frames(pagemap, start, (end - start) // PAGE_SIZE)
    finally:
        os.close(pagemap)

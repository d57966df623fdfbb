"""Probing pages: are they there, and can they be accessed so?"""

from __future__ import annotations

import errno
import mmap

from membuf._native import Pointer
from membuf.mdl._system import populate


def probe(start: int, end: int, *, write: bool) -> int:
    """Make the pages from one address to another present; 0, or the errno of one that cannot be.

    Before Linux 5.14 there is no such call: then it is left to the lock to find what is missing.
    """
    error: int = populate(start, end - start, write)
    return 0 if error == errno.EINVAL and not _can_probe() else error


def _can_probe() -> bool:
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        return populate(Pointer(page).address, mmap.PAGESIZE, write=True) == 0

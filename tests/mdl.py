"""What the tests of MDLs share: the page map read apart from the library, collapse and fork."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import membuf

_PAGE = mmap.PAGESIZE
_COLLAPSE = 25
_libc = ctypes.CDLL(None, use_errno=True)


def locked_bytes() -> int:
    """What the system says this process has locked."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmLck:")).split()[1]) * 1024


def frames_by_pagemap(mdl: membuf.Mdl) -> list[int]:
    """The frames behind an MDL at this moment, one read a page."""
    first = mdl.address // _PAGE
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        entries = [
            os.pread(pagemap.fileno(), 8, (first + page) * 8) for page in range(mdl.page_count)
        ]
    return [int.from_bytes(entry, "little") & (2**55 - 1) for entry in entries]


def unlock_by_hand(mdl: membuf.Mdl) -> None:
    """Undo the lock of pages behind the library's back, as another library may."""
    start = mdl.address // _PAGE * _PAGE
    _libc.munlock(ctypes.c_void_p(start), ctypes.c_size_t(mdl.page_count * _PAGE))


def collapse(mdl: membuf.Mdl) -> None:
    """Have the system move the pages of an MDL into huge ones, if it can."""
    start = mdl.address // _PAGE * _PAGE
    _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(mdl.page_count * _PAGE), _COLLAPSE)


def run_in_fork(child: Callable[[], None], meanwhile: Callable[[], None] | None = None) -> None:
    """Run a function in a forked child, and another here while the child is there.

    Raises:
        AssertionError: the child's function raised.
    """
    waits, lets = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(lets)
            os.read(waits, 1)
            child()
            code = 0
        finally:
            os._exit(code)
    os.close(waits)
    if meanwhile is not None:
        meanwhile()
    os.close(lets)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"

"""What direct I/O asks for: the alignment of offsets, lengths and memory."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from typing import NamedTuple

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.bus._file import direct_alignment

_LOGICAL_BLOCK_SIZE = 0x1268  # BLKSSZGET
_SAFE = 4096


class Limits(NamedTuple):
    """Alignments in bytes, powers of two; 1 asks for nothing.

    Attributes:
        memory: of the address of the memory.
        offset: of the offset in the target, and of the length.

    >>> Limits(memory=512, offset=4096)
    Limits(memory=512, offset=4096)
    """

    memory: int
    offset: int


def limits_of(fd: int, name: str, *, direct: bool) -> Limits:
    """What transfers on an open descriptor must keep to.

    Asked are, in this order: the system (statx, Linux 6.1), the block device for its logical block
    size, and where neither answers, a page is taken, which every device and file system accepts.

    Raises:
        MembufError: STATUS_NOT_SUPPORTED where direct I/O was asked for and is not possible.
    """
    if not direct:
        return Limits(1, 1)
    answer = direct_alignment(fd)
    if answer == (0, 0):
        raise from_status(
            st.STATUS_NOT_SUPPORTED,
            f"{name}, or its file system, has no direct I/O: open it without direct=True",
        )
    if answer is not None:
        return Limits(*answer)
    if stat.S_ISBLK(os.fstat(fd).st_mode):
        (size,) = struct.unpack("i", fcntl.ioctl(fd, _LOGICAL_BLOCK_SIZE, bytes(4)))
        return Limits(size, size)
    return Limits(_SAFE, _SAFE)

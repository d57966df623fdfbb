"""A file as a disk, through the page cache, as a plugin of nbdkit in Python: `file=PATH`."""

from __future__ import annotations

import os

API_VERSION = 2

_fd = -1


def config(key: str, value: str) -> None:
    """What the command line says."""
    global _fd  # noqa: PLW0603  # a plugin is a module: it has no other place
    if key != "file":
        raise ValueError(f"no such setting: {key}")
    _fd = os.open(value, os.O_RDWR)


def open(_readonly: int) -> int:  # noqa: A001  # the plugin's callbacks have these names
    """A client has come."""
    return 1


def get_size(_handle: int) -> int:
    """The bytes of the disk."""
    return os.fstat(_fd).st_size


def pread(_handle: int, buffer: bytearray, offset: int, _flags: int) -> None:
    """Fills the buffer from the disk."""
    os.preadv(_fd, [buffer], offset)


def pwrite(_handle: int, buffer: bytes, offset: int, _flags: int) -> None:
    """Puts the buffer onto the disk."""
    os.pwrite(_fd, buffer, offset)


def flush(_handle: int, _flags: int) -> None:
    """Makes durable what was written."""
    os.fdatasync(_fd)

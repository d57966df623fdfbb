"""A disk in a bytearray, as a plugin of nbdkit in Python. Of its own: `size=BYTES`."""

from __future__ import annotations

API_VERSION = 2

_disk = memoryview(bytearray())


def config(key: str, value: str) -> None:
    """What the command line says."""
    global _disk  # noqa: PLW0603  # a plugin is a module: it has no other place
    if key != "size":
        raise ValueError(f"no such setting: {key}")
    _disk = memoryview(bytearray(int(value)))


def open(_readonly: int) -> int:  # noqa: A001  # the plugin's callbacks have these names
    """A client has come."""
    return 1


def get_size(_handle: int) -> int:
    """The bytes of the disk."""
    return len(_disk)


def pread(_handle: int, buffer: bytearray, offset: int, _flags: int) -> None:
    """Fills the buffer from the disk."""
    buffer[:] = _disk[offset : offset + len(buffer)]


def pwrite(_handle: int, buffer: bytes, offset: int, _flags: int) -> None:
    """Puts the buffer onto the disk."""
    _disk[offset : offset + len(buffer)] = buffer


def flush(_handle: int, _flags: int) -> None:
    """Memory is as durable as it gets."""

"""A model of a memory object's bytes and of the bounds rules of the two copy calls."""

from __future__ import annotations

INVALID_PARAMETER = 0xC000000D
ACCESS_VIOLATION = 0xC0000005
BUFFER_TOO_SMALL = 0xC0000023
INVALID_BUFFER_SIZE = 0xC0000206
SUCCESS = 0


def copy_from(target: bytearray, source: bytes, offset: int, *, readonly: bool = False) -> int:
    """WdfMemoryCopyFromBuffer: all of ``source`` into ``target`` at ``offset``, or nothing."""
    if not source:
        return INVALID_PARAMETER
    if readonly:
        return ACCESS_VIOLATION
    if not _fits(len(target), offset, len(source)):
        return INVALID_BUFFER_SIZE
    target[offset : offset + len(source)] = source
    return SUCCESS


def copy_to(source: bytes | bytearray, target: bytearray, offset: int) -> int:
    """WdfMemoryCopyToBuffer: all of ``target`` is filled from ``offset`` on, or nothing."""
    if not target:
        return INVALID_PARAMETER
    if not _fits(len(source), offset, len(target)):
        return BUFFER_TOO_SMALL
    target[:] = source[offset : offset + len(target)]
    return SUCCESS


def _fits(size: int, offset: int, count: int) -> bool:
    if offset != 0 and offset >= size:
        return False
    return count <= size - offset

"""A chain as the system's calls take it: so many buffers and bytes a call."""

from __future__ import annotations

from typing import Final

BUFFERS_A_CALL: Final = 1024
"""IOV_MAX: the buffers that one system call takes."""

BYTES_A_CALL: Final = 0x7FFFF000
"""The bytes that one system call transfers at most."""


def batches(
    vectors: list[memoryview], buffers: int = BUFFERS_A_CALL, size: int = BYTES_A_CALL
) -> list[list[memoryview]]:
    """The buffers in order, split into lists that one system call each can take.

    >>> two = [memoryview(bytes(5)), memoryview(bytes(6))]
    >>> [[len(part) for part in batch] for batch in batches(two, buffers=2, size=4)]
    [[4], [1, 3], [3]]
    """
    result: list[list[memoryview]] = []
    room = 0
    for vector in vectors:
        rest = vector
        while rest:
            if not room or len(result[-1]) == buffers:
                result.append([])
                room = size
            result[-1].append(rest[:room])
            room, rest = room - len(rest[:room]), rest[room:]
    return result

"""copy_from and copy_to with any offset and any length, compared with the model's bounds rules."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

import membuf
from tests.model import memory as model

SIZE = 100
# Around every edge of the object, and numbers whose sums would wrap in 64 bits.
EDGES = (0, 1, 49, 50, 51, 99, 100, 101, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70)
OFFSETS = st.integers(0, SIZE + 5) | st.sampled_from(EDGES)
SOURCES = st.binary(max_size=SIZE + 5)
CONTENT = st.binary(min_size=SIZE, max_size=SIZE)


@given(content=CONTENT, source=SOURCES, offset=OFFSETS, readonly=st.booleans())
def test_copy_from(content: bytes, source: bytes, offset: int, readonly: bool) -> None:
    """Statuses and bytes as the model says; a refused copy moves nothing."""
    expected = bytearray(content)
    status = model.copy_from(expected, source, offset, readonly=readonly)
    backing = content if readonly else bytearray(content)
    with membuf.Memory.preallocated(backing) as memory:
        assert attempt(memory.copy_from, source, offset) == status
        assert memory.buffer == expected


@given(content=CONTENT, count=st.integers(0, SIZE + 5), offset=OFFSETS)
def test_copy_to(content: bytes, count: int, offset: int) -> None:
    """The whole destination is filled, or stays as it was."""
    expected, destination = bytearray(b"x" * count), bytearray(b"x" * count)
    status = model.copy_to(content, expected, offset)
    with membuf.Memory(SIZE, tag="Copy") as memory:
        memory.copy_from(content)
        assert attempt(memory.copy_to, destination, offset) == status
    assert destination == expected


@given(
    first=st.integers(0, SIZE - 1),
    second=st.integers(0, SIZE - 1),
    count=st.integers(1, SIZE),
    content=CONTENT,
)
def test_overlapping_copies_move_the_old_bytes(
    first: int, second: int, count: int, content: bytes
) -> None:
    """A memory object may be its own source and destination, as memmove allows."""
    count = min(count, SIZE - max(first, second))
    expected = bytearray(content)
    expected[second : second + count] = content[first : first + count]
    with membuf.Memory(SIZE) as memory:
        memory.copy_from(content)
        memory.copy_from(memory.buffer[first : first + count], second)
        assert memory.buffer == expected
        memory.copy_from(content)
        memory.copy_to(memory.buffer[second : second + count], first)
        assert memory.buffer == expected


def attempt(call: Callable[..., None], *arguments: object) -> int:
    """The status of a call: success, or what the exception carries."""
    try:
        call(*arguments)
    except membuf.MembufError as error:
        return int(error.status)
    return model.SUCCESS

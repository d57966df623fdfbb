"""Descriptions of memory for a call: whole buffers, memory objects, parts of them."""

from __future__ import annotations

import numpy as np
import pytest

import membuf


@pytest.fixture(scope="module")
def memory() -> membuf.Memory:
    return membuf.Memory.preallocated(bytearray(100))


@pytest.mark.parametrize(
    ("offset", "length", "described"),
    [
        (0, None, (0, 100)),
        (0, 0, (0, 100)),
        (40, None, (40, 60)),
        (40, 0, (40, 60)),
        (50, 50, (50, 50)),
        (99, 1, (99, 1)),
        (100, 0, (100, 0)),
        (0, 100, (0, 100)),
        (np.int64(8), np.uint8(8), (8, 8)),
    ],
)
def test_a_part_that_is_there(
    memory: membuf.Memory, offset: int, length: int | None, described: tuple[int, int]
) -> None:
    made = membuf.MemoryDescriptor.handle(memory, offset=offset, length=length)
    assert (made.offset, made.length) == described
    assert made.target is memory


@pytest.mark.parametrize(
    ("offset", "length"),
    [(50, 51), (101, 0), (100, 1), (2**64 - 1, 1), (2**64, 0), (0, 2**64), (2**63, 2**63)],
)
def test_a_part_that_is_not_there(memory: membuf.Memory, offset: int, length: int) -> None:
    with pytest.raises(membuf.IntegerOverflowError) as caught:
        membuf.MemoryDescriptor.handle(memory, offset=offset, length=length)
    assert isinstance(caught.value, ValueError)
    assert int(caught.value.status) == 0xC0000095


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (-(2**70), 0)])
def test_nothing_is_negative(memory: membuf.Memory, offset: int, length: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.MemoryDescriptor.handle(memory, offset=offset, length=length)


@pytest.mark.parametrize("wrong", [2.7, True, "8", np.float64(8)])
def test_numbers_are_integers(memory: membuf.Memory, wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.MemoryDescriptor.handle(memory, offset=wrong)
    with pytest.raises(TypeError):
        membuf.MemoryDescriptor.handle(memory, length=wrong)


@pytest.mark.parametrize("wrong", [None, bytearray(8), 3])
def test_a_handle_is_a_memory_object(wrong: object) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.MemoryDescriptor.handle(wrong)


def test_a_gone_memory_object_is_not_described() -> None:
    memory = membuf.Memory(64)
    memory.delete()
    with pytest.raises(membuf.ObjectDeletedError):
        membuf.MemoryDescriptor.handle(memory)


@pytest.mark.parametrize("buffer", [bytearray(8), b"12345678", np.zeros(2, np.float32)])
def test_a_buffer_is_described_whole(buffer: object) -> None:
    made = membuf.MemoryDescriptor.buffer(buffer)
    assert (made.offset, made.length) == (0, 8)
    assert made.target is buffer


@pytest.mark.parametrize("wrong", [None, 3, "text"])
def test_a_buffer_is_an_exporter(wrong: object) -> None:
    with pytest.raises((TypeError, membuf.InvalidParameterError)):
        membuf.MemoryDescriptor.buffer(wrong)


def test_describing_a_buffer_does_not_hold_it() -> None:
    buffer = bytearray(8)
    membuf.MemoryDescriptor.buffer(buffer)
    buffer.append(0)
    assert len(buffer) == 9


def test_descriptors_are_frozen(memory: membuf.Memory) -> None:
    made = membuf.MemoryDescriptor.handle(memory)
    with pytest.raises(AttributeError):
        made.offset = 1

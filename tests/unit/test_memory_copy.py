"""copy_from and copy_to: all or nothing, and what each refusal says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import membuf


@pytest.fixture
def memory() -> Iterator[membuf.Memory]:
    with membuf.Memory(100, tag="Copy") as made:
        made.copy_from(bytes(range(100)))
        yield made


def test_copies_are_exact(memory: membuf.Memory) -> None:
    destination = bytearray(100)
    memory.copy_to(destination)
    assert destination == bytes(range(100))
    memory.copy_from(b"abc", offset=97)
    memory.copy_to(part := bytearray(3), offset=97)
    assert part == b"abc"
    memory.copy_to(part := bytearray(1), 96)
    assert part == b"\x60"


@pytest.mark.parametrize(("offset", "count"), [(100, 1), (99, 2), (0, 101), (2**63, 1)])
def test_copy_to_past_the_end(memory: membuf.Memory, offset: int, count: int) -> None:
    destination = bytearray(b"-" * count)
    with pytest.raises(membuf.BufferTooSmallError) as caught:
        memory.copy_to(destination, offset)
    assert isinstance(caught.value, ValueError)
    assert int(caught.value.status) == 0xC0000023
    assert destination == b"-" * count


@pytest.mark.parametrize(("offset", "count"), [(100, 1), (99, 2), (0, 101), (2**63, 1)])
def test_copy_from_past_the_end(memory: membuf.Memory, offset: int, count: int) -> None:
    with pytest.raises(membuf.InvalidBufferSizeError) as caught:
        memory.copy_from(b"-" * count, offset)
    assert isinstance(caught.value, ValueError)
    assert int(caught.value.status) == 0xC0000206
    assert memory.buffer == bytes(range(100))


def test_a_refusal_carries_its_figures(memory: membuf.Memory) -> None:
    with pytest.raises(membuf.InvalidBufferSizeError) as caught:
        memory.copy_from(b"-" * 51, offset=50)
    assert caught.value.operands["offset"] == 50
    assert {51, 100} & set(caught.value.operands.values())
    for figure in ("50", "51"):
        assert figure in str(caught.value)


@pytest.mark.parametrize("offset", [0, 50, 100, 2**64 - 1])
def test_nothing_is_no_copy(memory: membuf.Memory, offset: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        memory.copy_from(b"", offset)
    with pytest.raises(membuf.InvalidParameterError):
        memory.copy_to(bytearray(), offset)


@pytest.mark.parametrize("offset", [-1, -100, -(2**63), -(2**70)])
def test_offsets_are_never_negative(memory: membuf.Memory, offset: int) -> None:
    with pytest.raises(membuf.MembufError):
        memory.copy_from(b"x", offset)
    with pytest.raises(membuf.MembufError):
        memory.copy_to(bytearray(1), offset)
    assert memory.buffer == bytes(range(100))


@pytest.mark.parametrize("offset", [2.7, 0.0, True, None, "0", np.float32(1), np.bool_(False)])
def test_an_offset_is_an_integer(memory: membuf.Memory, offset: object) -> None:
    with pytest.raises(TypeError):
        memory.copy_from(b"x", offset)
    with pytest.raises(TypeError):
        memory.copy_to(bytearray(1), offset)


def test_numpy_integers_are_offsets(memory: membuf.Memory) -> None:
    memory.copy_from(b"x", np.uint8(99))
    memory.copy_to(destination := bytearray(1), np.int64(99))
    assert destination == b"x"


@pytest.mark.parametrize("source", [3, None, "text", [1, 2], object()])
def test_only_buffers_are_copied(memory: membuf.Memory, source: object) -> None:
    with pytest.raises(TypeError):
        memory.copy_from(source)
    with pytest.raises(TypeError):
        memory.copy_to(source)


def test_a_destination_must_be_writable(memory: membuf.Memory) -> None:
    frozen = b"-" * 4
    for destination in (frozen, memoryview(bytearray(4)).toreadonly()):
        with pytest.raises((TypeError, BufferError)):
            memory.copy_to(destination)
    assert frozen == b"----"


@pytest.mark.parametrize(
    "source",
    [
        b"\x01\x02\x03\x04",
        bytearray(b"\x01\x02\x03\x04"),
        memoryview(b"\x01\x02\x03\x04"),
        np.array([0x04030201], dtype="<u4"),
        np.arange(1, 5, dtype=np.uint8).reshape(2, 2),
    ],
    ids=["bytes", "bytearray", "memoryview", "uint32", "matrix"],
)
def test_any_contiguous_exporter_is_a_source(memory: membuf.Memory, source: object) -> None:
    memory.copy_from(source, 10)
    assert bytes(memory.buffer[10:14]) == b"\x01\x02\x03\x04"


def test_a_strided_source_is_copied_right_or_refused(memory: membuf.Memory) -> None:
    source = np.arange(20, dtype=np.uint8)[::2]
    try:
        memory.copy_from(source)
    except (membuf.MembufError, BufferError, ValueError):
        assert memory.buffer == bytes(range(100))
    else:
        assert bytes(memory.buffer[:10]) == source.tobytes()


def test_memory_to_memory(memory: membuf.Memory) -> None:
    with membuf.Memory(100) as other:
        other.copy_from(memory)
        assert other.buffer == memory.buffer
        other.copy_to(memory)


def test_overlap_behaves_as_if_through_a_copy(memory: membuf.Memory) -> None:
    memory.copy_from(memory.buffer[:90], 10)
    assert memory.buffer == bytes(range(10)) + bytes(range(90))
    memory.copy_to(memory.buffer[:90], 10)
    assert bytes(memory.buffer[:90]) == bytes(range(90))


def test_read_only_memory_refuses_before_it_looks_at_ranges() -> None:
    with membuf.Memory.preallocated(b"constant") as memory:
        for source, offset in ((b"x", 0), (b"x", 100), (b"x" * 9, 0)):
            with pytest.raises(membuf.AccessViolationError) as caught:
                memory.copy_from(source, offset)
            assert isinstance(caught.value, TypeError)
            assert int(caught.value.status) == 0xC0000005
        with pytest.raises(membuf.InvalidParameterError):
            memory.copy_from(b"")
        memory.copy_to(destination := bytearray(8))
        assert destination == b"constant"


class Treacherous:
    """An offset whose conversion runs code in the middle of the call."""

    def __init__(self, deed: Callable[[], None], offset: int = 0) -> None:
        self.deed, self.offset = deed, offset

    def __index__(self) -> int:
        self.deed()
        return self.offset


def test_the_memory_is_deleted_while_its_offset_is_converted(memory: membuf.Memory) -> None:
    with pytest.raises(membuf.ObjectDeletedError):
        memory.copy_from(b"x" * 100, Treacherous(memory.delete))
    other = membuf.Memory(100)
    with pytest.raises(membuf.ObjectDeletedError):
        other.copy_to(bytearray(100), Treacherous(other.delete))


def test_the_buffer_shrinks_while_an_offset_is_converted() -> None:
    small = bytearray(b"small")
    memory = membuf.Memory.preallocated(bytearray(4096))
    offset = Treacherous(lambda: memory.assign_buffer(small), 4000)
    with pytest.raises(membuf.InvalidBufferSizeError):
        memory.copy_from(b"x" * 90, offset)
    memory = membuf.Memory.preallocated(bytearray(4096))  # the one `offset` refers to by name
    with pytest.raises(membuf.BufferTooSmallError):
        memory.copy_to(bytearray(90), offset)
    assert small == b"small"


def test_the_buffer_turns_read_only_while_an_offset_is_converted() -> None:
    memory = membuf.Memory.preallocated(bytearray(8))
    with pytest.raises(membuf.AccessViolationError):
        memory.copy_from(b"x", Treacherous(lambda: memory.assign_buffer(b"constant")))
    assert bytes(memory.buffer) == b"constant"


def test_the_source_is_deleted_while_an_offset_is_converted(memory: membuf.Memory) -> None:
    source = membuf.Memory(50)
    source.copy_from(b"s" * 50)
    try:
        memory.copy_from(source, Treacherous(source.delete))
    except (membuf.MembufError, BufferError):
        assert memory.buffer == bytes(range(100))
    else:
        assert bytes(memory.buffer[:50]) == b"s" * 50


def test_a_large_copy_runs_with_the_interpreter_released() -> None:
    size = 32 << 20
    with membuf.Memory(size, pool=membuf.PAGED) as memory:
        memory.copy_from(bytes(size - 1) + b"\x01")
        memory.copy_to(destination := bytearray(size))
        assert destination.count(0) == size - 1
        assert destination[-1] == 1

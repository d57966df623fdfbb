"""The memory of a request: what a memory argument names, whatever its form."""

from __future__ import annotations

from typing import Any, SupportsIndex

from membuf._native import Memory
from membuf.memory import MemoryDescriptor, check_range


def resolve(
    memory: Any, memory_offset: SupportsIndex, memory_length: SupportsIndex | None
) -> tuple[Any, SupportsIndex, SupportsIndex | None]:
    """The buffer, offset and length that a memory argument names.

    Args:
        memory: a buffer, a list or tuple of buffers, None, or a `MemoryDescriptor`.
        memory_offset: where the part of it begins; 0 with a descriptor, which names its own.
        memory_length: its bytes; None or 0 with a descriptor.

    Raises:
        TypeError: none of these, or a part of a descriptor was asked for.
    """
    if memory is None or is_sequence(memory) or is_buffer(memory):
        return memory, memory_offset, memory_length
    if not isinstance(memory, MemoryDescriptor):
        raise TypeError(
            "memory must be a memory object, a buffer or a MemoryDescriptor; "
            f"got {type(memory).__name__}"
        )
    if memory_offset or memory_length:
        raise TypeError("a MemoryDescriptor names its part itself: leave memory_offset out")
    return memory.target, memory.offset, memory.length


def check_part(
    memory: Any, memory_offset: SupportsIndex, memory_length: SupportsIndex | None
) -> None:
    """Check a part against its memory without taking a reference.

    Raises:
        IntegerOverflowError: the part is not inside the memory.
    """
    if isinstance(memory, Memory):
        check_range(memory.size, memory_offset, memory_length)
    elif memory is not None and not is_sequence(memory):
        with memoryview(memory) as view:
            check_range(view.nbytes, memory_offset, memory_length)


def is_sequence(thing: Any) -> bool:
    """Whether a thing is several buffers for one vectored transfer."""
    return isinstance(thing, (list, tuple))


def is_buffer(thing: Any) -> bool:
    """Whether a thing has the buffer protocol."""
    try:
        memoryview(thing).release()
    except TypeError:
        return False
    return True

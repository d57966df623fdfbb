"""The memory of a request: what a memory argument names, whatever its form."""

from __future__ import annotations

from typing import Any, SupportsIndex

from membuf.memory import MemoryDescriptor


def resolve(
    memory: Any, memory_offset: SupportsIndex, memory_length: SupportsIndex | None
) -> tuple[Any, SupportsIndex, SupportsIndex | None]:
    """The buffer, offset and length behind an argument that is no buffer itself.

    Args:
        memory: a `MemoryDescriptor`.
        memory_offset: must be 0: a descriptor names its part itself.
        memory_length: must be None or 0, likewise.

    Raises:
        TypeError: neither a buffer nor a descriptor, or a part of a descriptor was asked for.
    """
    if not isinstance(memory, MemoryDescriptor):
        raise TypeError(
            "memory must be a memory object, a buffer or a MemoryDescriptor; "
            f"got {type(memory).__name__}"
        )
    if memory_offset or memory_length:
        raise TypeError("a MemoryDescriptor names its part itself: leave memory_offset out")
    return memory.target, memory.offset, memory.length

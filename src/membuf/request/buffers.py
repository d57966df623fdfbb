"""The memory of a request: what a memory argument names, whatever its form."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, SupportsIndex

from membuf._native import Memory
from membuf.base.integers import exact_index
from membuf.mdl import Mdl
from membuf.memory import MemoryDescriptor, check_range


class Part(NamedTuple):
    """A checked part of a memory argument.

    Attributes:
        given: the argument as the caller gave it.
        memory: the buffer behind it; None for no memory.
        offset: where the part begins, in bytes.
        length: its bytes.
    """

    given: Any = None
    memory: Any = None
    offset: int = 0
    length: int = 0


NO_PART: Final = Part()
"""What None as a memory argument comes to."""


def part(memory: Any, offset: SupportsIndex = 0, length: SupportsIndex | None = None) -> Part:
    """Check a memory argument for one buffer; no reference is taken.

    Raises:
        IntegerOverflowError: the part is not inside the memory.
        TypeError: several buffers, or no memory at all.
    """
    if memory is None:
        return NO_PART
    if is_sequence(memory):
        raise TypeError("one buffer is needed here; got several")
    found, offset, length = resolve(memory, offset, length)
    if is_sequence(found):
        raise TypeError("one buffer is needed here; got a chain of MDLs")
    first, count = check_range(size_of(found), offset, length)
    if isinstance(memory, MemoryDescriptor):
        count = exact_index(memory.length, "length")  # of a buffer or MDL, 0 is a length too
    return Part(memory, found, first, count)


def size_of(memory: Any) -> int:
    """The bytes of a buffer."""
    if isinstance(memory, Memory):
        return memory.size
    with memoryview(memory) as view:
        return view.nbytes


def resolve(
    memory: Any, memory_offset: SupportsIndex, memory_length: SupportsIndex | None
) -> tuple[Any, SupportsIndex, SupportsIndex | None]:
    """The buffer, offset and length that a memory argument names; of a chain of MDLs, a list.

    Args:
        memory: a buffer, a list or tuple of buffers, None, an MDL, or a `MemoryDescriptor`.
        memory_offset: where the part of it begins; 0 with a descriptor, which names its own.
        memory_length: its bytes; None or 0 with a descriptor.

    Raises:
        TypeError: none of these, or a part of a descriptor or of a chain was asked for.
    """
    if isinstance(memory, Mdl) and memory.next is not None:
        if memory_offset or memory_length:
            raise TypeError("a chain of MDLs is taken whole: leave memory_offset out")
        return memory.iovecs(), 0, None
    if memory is None or is_sequence(memory) or is_buffer(memory):
        return memory, memory_offset, memory_length
    if not isinstance(memory, MemoryDescriptor):
        raise TypeError(
            "memory must be a memory object, a buffer or a MemoryDescriptor; "
            f"got {type(memory).__name__}"
        )
    if memory_offset or memory_length:
        raise TypeError("a MemoryDescriptor names its part itself: leave memory_offset out")
    if isinstance(memory.target, Mdl):
        return resolve(memory.target, 0, None)
    return memory.target, memory.offset, memory.length


def check_part(
    memory: Any, memory_offset: SupportsIndex, memory_length: SupportsIndex | None
) -> None:
    """Check a part against its memory without taking a reference.

    Raises:
        IntegerOverflowError: the part is not inside the memory.
    """
    if memory is not None and not is_sequence(memory):
        check_range(size_of(memory), memory_offset, memory_length)


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

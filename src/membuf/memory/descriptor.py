"""Descriptions of memory for a call: a buffer, an MDL, or a memory object with an offset."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self, SupportsIndex

from membuf._native import Memory
from membuf.base.errors import IntegerOverflowError, InvalidParameterError
from membuf.base.integers import exact_index

_SIZE_LIMIT = 2**64


class DescriptorType(IntEnum):
    """What a descriptor describes, with the framework's numbers.

    >>> MemoryDescriptor.buffer(bytearray(8)).type
    <DescriptorType.BUFFER: 1>
    """

    BUFFER = 1
    MDL = 2
    HANDLE = 3


def check_range(size: int, offset: SupportsIndex, length: SupportsIndex | None) -> tuple[int, int]:
    """The part of `size` bytes that (offset, length) names, as (offset, length).

    A length of None or 0 means the rest after the offset; {0, 0} is the whole.

    Raises:
        IntegerOverflowError: offset and length wrap in 64 bits, or reach past the size.
        InvalidParameterError: a negative one.

    Source: WDFMEMORY_OFFSET; the offset check is the framework's, INTEGER_OVERFLOW for both.

    >>> check_range(100, 40, None), check_range(100, 50, 50), check_range(100, 100, 0)
    ((40, 60), (50, 50), (100, 0))
    """
    first = exact_index(offset, "offset")
    count = 0 if length is None else exact_index(length, "length")
    if first < 0 or count < 0:
        raise InvalidParameterError(
            f"offset and length must not be negative, got {first} and {count}"
        )
    if first + count >= _SIZE_LIMIT or first + count > size:
        raise IntegerOverflowError(
            f"{count} bytes at offset {first}: the memory has {size}",
            operands={"offset": first, "needed": count, "available": max(0, size - first)},
        )
    return first, count or size - first


@dataclass(frozen=True, slots=True)
class MemoryDescriptor:
    """Memory for one call, in one of three forms.

    Made by `buffer`, `mdl` or `handle`.

    Attributes:
        type: which form.
        target: the buffer, the MDL or the memory object.
        offset: bytes into it.
        length: bytes from there.

    Source: WDF_MEMORY_DESCRIPTOR.

    >>> import membuf
    >>> m = membuf.Memory(100)
    >>> d = MemoryDescriptor.handle(m, offset=40)
    >>> d.offset, d.length
    (40, 60)
    """

    type: DescriptorType
    target: Any
    offset: int
    length: int

    @classmethod
    def buffer(cls, buffer: Any) -> Self:
        """Describe the whole of any buffer.

        >>> MemoryDescriptor.buffer(bytearray(8)).length
        8
        """
        with memoryview(buffer) as view:
            return cls(DescriptorType.BUFFER, buffer, 0, view.nbytes)

    @classmethod
    def mdl(cls, mdl: Any) -> Self:
        """Describe what an MDL describes; only its `byte_count` is read here.

        Raises:
            InvalidParameterError: not an MDL.
        """
        if not hasattr(mdl, "byte_count"):
            raise InvalidParameterError(f"an MDL is needed, got {type(mdl).__name__}")
        length, link = 0, mdl
        while link is not None:
            length, link = length + link.byte_count, getattr(link, "next", None)
        return cls(DescriptorType.MDL, mdl, 0, length)

    @classmethod
    def handle(
        cls, memory: Memory, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> Self:
        """Describe a memory object, or a part of one.

        Raises:
            InvalidParameterError: not a memory object.
            IntegerOverflowError: the part reaches past its end.

        >>> import membuf
        >>> MemoryDescriptor.handle(membuf.Memory(16), offset=8, length=9)
        Traceback (most recent call last):
        ...
        membuf.IntegerOverflowError: 9 bytes at offset 8: the memory has 16
        """
        if not isinstance(memory, Memory):
            raise InvalidParameterError(f"a memory object is needed, got {type(memory).__name__}")
        first, count = check_range(memory.size, offset, length)
        return cls(DescriptorType.HANDLE, memory, first, count)

"""What a descriptor or an offset comes to: the checks that every call taking one begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf.base.errors import IntegerOverflowError
from membuf.base.status import (
    STATUS_INTEGER_OVERFLOW,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.memory import MemoryDescriptor
from membuf.wdf._arguments import bytes_of, first_bytes, handle, size_t
from membuf.wdf.wdfmemory import (
    WDFMEMORY_OFFSET,
    WdfMemoryDescriptorTypeBuffer,
    WdfMemoryDescriptorTypeHandle,
    WdfMemoryDescriptorTypeMdl,
)
from membuf.wdf.wdftypes import WDFMEMORY

if TYPE_CHECKING:
    from membuf.wdf.wdfmemory import WDF_MEMORY_DESCRIPTOR


def describe_part(
    memory: WDFMEMORY, offsets: WDFMEMORY_OFFSET | None
) -> tuple[Status, MemoryDescriptor | None]:
    """The part of a memory object that offsets name; None means the whole.

    Returns:
        INTEGER_OVERFLOW where offset and length wrap or reach past the end.
    """
    part = offsets or WDFMEMORY_OFFSET()
    offset = size_t(part.BufferOffset, "BufferOffset")
    length = size_t(part.BufferLength, "BufferLength")
    try:
        return STATUS_SUCCESS, MemoryDescriptor.handle(memory, offset, length)
    except IntegerOverflowError:
        return STATUS_INTEGER_OVERFLOW, None


def describe(
    descriptor: WDF_MEMORY_DESCRIPTOR | None,
) -> tuple[Status, MemoryDescriptor | None]:
    """What a descriptor describes; None describes nothing, and is accepted.

    Returns:
        INVALID_PARAMETER for an unknown type or a NULL inside; INTEGER_OVERFLOW for bad offsets.
    """
    if descriptor is None:
        return STATUS_SUCCESS, None
    union = descriptor.u
    if descriptor.Type == WdfMemoryDescriptorTypeBuffer and union.BufferType.Buffer is not None:
        view = bytes_of(union.BufferType.Buffer)
        part = first_bytes(view, size_t(union.BufferType.Length, "Length"), "Length")
        return STATUS_SUCCESS, MemoryDescriptor.buffer(part)
    if descriptor.Type == WdfMemoryDescriptorTypeMdl and union.MdlType.Mdl is not None:
        return STATUS_SUCCESS, MemoryDescriptor.mdl(union.MdlType.Mdl)
    if descriptor.Type == WdfMemoryDescriptorTypeHandle and union.HandleType.Memory is not None:
        memory = handle(union.HandleType.Memory, WDFMEMORY, "Memory")
        return describe_part(memory, union.HandleType.Offsets)
    return STATUS_INVALID_PARAMETER, None

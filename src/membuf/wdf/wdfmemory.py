"""wdfmemory.h: memory objects, lookaside lists, descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf._native import Pointer
from membuf.base.errors import MembufError
from membuf.base.status import (
    STATUS_ACCESS_VIOLATION,
    STATUS_BUFFER_TOO_SMALL,
    STATUS_INTEGER_OVERFLOW,
    STATUS_INVALID_BUFFER_SIZE,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.pool import PAGED
from membuf.wdf._arguments import (
    PAGE_SIZE,
    bytes_of,
    first_bytes,
    handle,
    not_null,
    size_t,
    tag_number,
    ulong,
)
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import status_of, violation
from membuf.wdf._contexts import size_overflows
from membuf.wdf._create import check_devices, create, parent_of
from membuf.wdf._driver import Driver, enter, need_driver
from membuf.wdf._pool_types import placement
from membuf.wdf.wdfbugcodes import WDF_INVALID_HANDLE
from membuf.wdf.wdftypes import WDFLOOKASIDE, WDFMEMORY

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "WDFMEMORY_OFFSET",
    "WDF_MEMORY_DESCRIPTOR",
    "WDF_MEMORY_DESCRIPTOR_INIT_BUFFER",
    "WDF_MEMORY_DESCRIPTOR_INIT_HANDLE",
    "WDF_MEMORY_DESCRIPTOR_INIT_MDL",
    "WDF_MEMORY_DESCRIPTOR_TYPE",
    "WdfLookasideListCreate",
    "WdfMemoryAssignBuffer",
    "WdfMemoryCopyFromBuffer",
    "WdfMemoryCopyToBuffer",
    "WdfMemoryCreate",
    "WdfMemoryCreateFromLookaside",
    "WdfMemoryCreatePreallocated",
    "WdfMemoryDescriptorTypeBuffer",
    "WdfMemoryDescriptorTypeHandle",
    "WdfMemoryDescriptorTypeInvalid",
    "WdfMemoryDescriptorTypeMdl",
    "WdfMemoryGetBuffer",
]


# ---- memory objects ------------------------------------------------------------------------------


def WdfMemoryCreate(
    Attributes: WDF_OBJECT_ATTRIBUTES | None,
    PoolType: int,
    PoolTag: SupportsIndex | bytes,
    BufferSize: SupportsIndex,
) -> tuple[Status, WDFMEMORY | None, Pointer | None]:
    """Create a memory object with a buffer of its own.

    Args:
        Attributes: how, or None for the defaults; the default parent is the driver.
        PoolType: paged for PagedPool and PagedPoolCacheAligned, else non-paged.
        PoolTag: 0 for the driver's tag.
        BufferSize: bytes, at least 1.

    Returns:
        The status, the memory object, and a pointer to its buffer, which is not zeroed.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory, buffer = WdfMemoryCreate(None, membuf.wdf.NonPagedPoolNx, b"Capt", 100)
    ...     memory.tag, buffer.size
    ('Capt', 100)
    """
    driver = need_driver("WdfMemoryCreate")
    check_parent_handle(Attributes)
    size = size_t(BufferSize, "BufferSize")
    tag = tag_number(PoolTag) or driver.default_tag
    pool, alignment = placement(ulong(PoolType, "PoolType"))
    status = STATUS_INVALID_PARAMETER if size == 0 else validate(Attributes)
    if status != STATUS_SUCCESS:
        return status, None, None
    parent = parent_of(driver, Attributes)
    make = partial(WDFMEMORY, size, tag=tag, pool=pool, alignment=alignment, parent=parent)
    status, memory = create(driver, Attributes, make)
    return status, memory, None if memory is None else Pointer(memory)


def WdfMemoryCreatePreallocated(
    Attributes: WDF_OBJECT_ATTRIBUTES | None, Buffer: Buffer | None, BufferSize: SupportsIndex
) -> tuple[Status, WDFMEMORY | None]:
    """Create a memory object over the caller's buffer, which stays the caller's.

    Raises:
        BugCheck: no driver, a parent handle that is not one, or Buffer is NULL.
        ValueError: BufferSize is larger than the buffer.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory = WdfMemoryCreatePreallocated(None, bytearray(100), 64)
    ...     memory.size
    64
    """
    driver = need_driver("WdfMemoryCreatePreallocated")
    check_parent_handle(Attributes)
    buffer = not_null(Buffer, "Buffer")
    size = size_t(BufferSize, "BufferSize")
    status = STATUS_INVALID_PARAMETER if size == 0 else validate(Attributes)
    if status != STATUS_SUCCESS:
        return status, None
    view = first_bytes(bytes_of(buffer), size, "BufferSize")
    parent = parent_of(driver, Attributes)
    return create(driver, Attributes, partial(WDFMEMORY.preallocated, view, parent=parent))


def WdfMemoryAssignBuffer(
    Memory: WDFMEMORY | None, Buffer: Buffer | None, BufferSize: SupportsIndex
) -> Status:
    """Put another of the caller's buffers under a preallocated memory object.

    Raises:
        BugCheck: the memory is not preallocated, or Buffer is NULL.
        ValueError: BufferSize is larger than the buffer.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory = WdfMemoryCreatePreallocated(None, bytearray(100), 100)
    ...     status = WdfMemoryAssignBuffer(memory, bytearray(64), 64)
    ...     memory.size
    64
    """
    enter()
    memory = handle(Memory, WDFMEMORY, "Memory")
    if memory.source != "preallocated":
        violation(WDF_INVALID_HANDLE, memory, reason=f"{memory!r} is not preallocated")
    buffer = not_null(Buffer, "Buffer")
    size = size_t(BufferSize, "BufferSize")
    if size == 0:
        return STATUS_INVALID_PARAMETER
    memory.assign_buffer(first_bytes(bytes_of(buffer), size, "BufferSize"))
    return STATUS_SUCCESS


def WdfMemoryGetBuffer(Memory: WDFMEMORY | None) -> tuple[Pointer, int]:
    """A pointer to the buffer, and its size exactly as it was asked for.

    The pointer holds the bytes only while a view of it is open.

    Raises:
        BugCheck: not a live memory handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory, _ = WdfMemoryCreate(None, membuf.wdf.PagedPool, 0, 100)
    ...     buffer, size = WdfMemoryGetBuffer(memory)
    ...     size, buffer.address == memory.address
    (100, True)
    """
    enter()
    memory = handle(Memory, WDFMEMORY, "Memory")
    return Pointer(memory), memory.size


def WdfMemoryCopyToBuffer(
    SourceMemory: WDFMEMORY | None,
    SourceOffset: SupportsIndex,
    Buffer: Buffer | None,
    NumBytesToCopyTo: SupportsIndex,
) -> Status:
    """Copy bytes of a memory object into the caller's buffer; all of them or none.

    Raises:
        BugCheck: not a live memory handle, or Buffer is NULL.
        ValueError: the range is there, but the caller's buffer is shorter.
        TypeError: the caller's buffer is read-only.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory = WdfMemoryCreatePreallocated(None, b"abcdef", 6)
    ...     out = bytearray(3)
    ...     status = WdfMemoryCopyToBuffer(memory, 1, out, 3)
    ...     bytes(out), WdfMemoryCopyToBuffer(memory, 4, out, 3)
    (b'bcd', STATUS_BUFFER_TOO_SMALL (0xC0000023))
    """
    enter()
    memory = handle(SourceMemory, WDFMEMORY, "SourceMemory")
    offset, count = (
        size_t(SourceOffset, "SourceOffset"),
        size_t(NumBytesToCopyTo, "NumBytesToCopyTo"),
    )
    buffer = not_null(Buffer, "Buffer")
    if count == 0:
        return STATUS_INVALID_PARAMETER
    if not _fits(memory, offset, count):
        return STATUS_BUFFER_TOO_SMALL
    view = first_bytes(bytes_of(buffer), count, "NumBytesToCopyTo")
    if view.readonly:
        raise TypeError(f"Buffer must be writable; got {type(buffer).__name__}")
    return _copied(memory.copy_to, view, offset)


def WdfMemoryCopyFromBuffer(
    DestinationMemory: WDFMEMORY | None,
    DestinationOffset: SupportsIndex,
    Buffer: Buffer | None,
    NumBytesToCopyFrom: SupportsIndex,
) -> Status:
    """Copy bytes of the caller's buffer into a memory object; all of them or none.

    Raises:
        BugCheck: not a live memory handle, or Buffer is NULL.
        ValueError: the range is there, but the caller's buffer is shorter.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, memory, buffer = WdfMemoryCreate(None, membuf.wdf.PagedPool, 0, 4)
    ...     status = WdfMemoryCopyFromBuffer(memory, 0, b"abcd", 4)
    ...     bytes(buffer), WdfMemoryCopyFromBuffer(memory, 1, b"abcd", 4)
    (b'abcd', STATUS_INVALID_BUFFER_SIZE (0xC0000206))
    """
    enter()
    memory = handle(DestinationMemory, WDFMEMORY, "DestinationMemory")
    offset = size_t(DestinationOffset, "DestinationOffset")
    count = size_t(NumBytesToCopyFrom, "NumBytesToCopyFrom")
    buffer = not_null(Buffer, "Buffer")
    if count == 0:
        return STATUS_INVALID_PARAMETER
    if memory.readonly:
        return STATUS_ACCESS_VIOLATION
    if not _fits(memory, offset, count):
        return STATUS_INVALID_BUFFER_SIZE
    source = first_bytes(bytes_of(buffer), count, "NumBytesToCopyFrom")
    return _copied(memory.copy_from, source, offset)


def _fits(memory: WDFMEMORY, offset: int, count: int) -> bool:
    """The framework's range check; asked first, because the caller's buffer may be too short."""
    size = memory.size
    return (offset == 0 or offset < size) and count <= size - offset


def _copied(copy: Any, view: memoryview, offset: int) -> Status:
    try:
        copy(view, offset)
    except MembufError as error:  # another thread changed or ended the memory object
        return status_of(error)
    return STATUS_SUCCESS


# ---- lookaside lists -----------------------------------------------------------------------------


class _MemoryTemplate:
    """What a list knows of the memories it will hand out; it lives in the list's context.

    Attributes:
        driver: whose callbacks they have.
        attributes: theirs, without the parent, which the list's native half links to weakly.
    """

    driver: Driver
    attributes: WDF_OBJECT_ATTRIBUTES | None = None


def WdfLookasideListCreate(
    LookasideAttributes: WDF_OBJECT_ATTRIBUTES | None,
    BufferSize: SupportsIndex,
    PoolType: int,
    MemoryAttributes: WDF_OBJECT_ATTRIBUTES | None,
    PoolTag: SupportsIndex | bytes,
) -> tuple[Status, WDFLOOKASIDE | None]:
    """Create a list of recycled buffers of one size.

    Args:
        LookasideAttributes: of the list.
        BufferSize: bytes of each buffer, 1 to 2**32-1.
        PoolType: paged for PagedPool and PagedPoolCacheAligned, else non-paged.
        MemoryAttributes: of every memory object made from the list, copied; its ParentObject is
            not kept alive.
        PoolTag: 0 for the driver's tag.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, pages = WdfLookasideListCreate(None, 4096, membuf.wdf.NonPagedPoolNx, None, 0)
    ...     pages.size, pages.tag
    (4096, 'Samp')
    """
    driver = need_driver("WdfLookasideListCreate")
    check_parent_handle(LookasideAttributes, MemoryAttributes)
    size = size_t(BufferSize, "BufferSize")
    tag = tag_number(PoolTag) or driver.default_tag
    pool, alignment = placement(ulong(PoolType, "PoolType"))
    status = STATUS_INVALID_PARAMETER if size == 0 else validate(LookasideAttributes)
    status = status or validate(MemoryAttributes)
    if status == STATUS_SUCCESS and pool == PAGED:
        status = check_devices(LookasideAttributes, MemoryAttributes)
    if status == STATUS_SUCCESS and size_overflows(MemoryAttributes):
        status = STATUS_INTEGER_OVERFLOW
    if status != STATUS_SUCCESS:
        return status, None
    make = partial(
        WDFLOOKASIDE,
        size,
        tag=tag,
        pool=pool,
        alignment=alignment,
        parent=parent_of(driver, LookasideAttributes),
        memory_parent=parent_of(driver, MemoryAttributes),
        zero=driver.strict and size < PAGE_SIZE,
    )
    status, lookaside = create(driver, LookasideAttributes, make)
    if lookaside is not None:
        template = lookaside.add_context(_MemoryTemplate)
        template.driver = driver
        if MemoryAttributes is not None:
            template.attributes = replace(MemoryAttributes, ParentObject=None)
    return status, lookaside


def WdfMemoryCreateFromLookaside(Lookaside: WDFLOOKASIDE | None) -> tuple[Status, WDFMEMORY | None]:
    """Create a memory object over a buffer of the list; deleting it gives the buffer back.

    Raises:
        BugCheck: not a live lookaside handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, pages = WdfLookasideListCreate(None, 4096, membuf.wdf.PagedPool, None, 0)
    ...     status, memory = WdfMemoryCreateFromLookaside(pages)
    ...     memory.size, memory.source
    (4096, 'lookaside')
    """
    enter()
    lookaside = handle(Lookaside, WDFLOOKASIDE, "Lookaside")
    template = lookaside.get_context(_MemoryTemplate)
    if template is not None:
        return create(template.driver, template.attributes, lookaside.allocate)
    driver = need_driver("WdfMemoryCreateFromLookaside")  # the list was made by the Python face
    return create(driver, None, partial(lookaside.allocate, parent=driver))


# ---- descriptors ---------------------------------------------------------------------------------


class WDF_MEMORY_DESCRIPTOR_TYPE(IntEnum):
    """What a descriptor describes.

    >>> WDF_MEMORY_DESCRIPTOR_TYPE.WdfMemoryDescriptorTypeHandle.value
    3
    """

    WdfMemoryDescriptorTypeInvalid = 0
    WdfMemoryDescriptorTypeBuffer = 1
    WdfMemoryDescriptorTypeMdl = 2
    WdfMemoryDescriptorTypeHandle = 3


WdfMemoryDescriptorTypeInvalid = WDF_MEMORY_DESCRIPTOR_TYPE.WdfMemoryDescriptorTypeInvalid
WdfMemoryDescriptorTypeBuffer = WDF_MEMORY_DESCRIPTOR_TYPE.WdfMemoryDescriptorTypeBuffer
WdfMemoryDescriptorTypeMdl = WDF_MEMORY_DESCRIPTOR_TYPE.WdfMemoryDescriptorTypeMdl
WdfMemoryDescriptorTypeHandle = WDF_MEMORY_DESCRIPTOR_TYPE.WdfMemoryDescriptorTypeHandle


@dataclass(slots=True)
class WDFMEMORY_OFFSET:
    """A part of a memory object.

    Attributes:
        BufferOffset: bytes before it.
        BufferLength: its bytes; 0 for the rest.

    >>> WDFMEMORY_OFFSET(BufferOffset=40)
    WDFMEMORY_OFFSET(BufferOffset=40, BufferLength=0)
    """

    BufferOffset: int = 0
    BufferLength: int = 0


@dataclass(slots=True)
class _BufferType:
    Buffer: Any = None
    Length: int = 0


@dataclass(slots=True)
class _MdlType:
    Mdl: Any = None
    BufferLength: int = 0


@dataclass(slots=True)
class _HandleType:
    Memory: WDFMEMORY | None = None
    Offsets: WDFMEMORY_OFFSET | None = None


@dataclass(slots=True)
class _Union:
    BufferType: _BufferType = field(default_factory=_BufferType)
    MdlType: _MdlType = field(default_factory=_MdlType)
    HandleType: _HandleType = field(default_factory=_HandleType)


@dataclass(slots=True)
class WDF_MEMORY_DESCRIPTOR:
    """Memory for one call, in the form that Type names.

    Attributes:
        Type: a WDF_MEMORY_DESCRIPTOR_TYPE.
        u: its members BufferType, MdlType and HandleType; Type says which one counts.

    >>> WDF_MEMORY_DESCRIPTOR().u.HandleType.Memory is None
    True
    """

    Type: int = WdfMemoryDescriptorTypeInvalid
    u: _Union = field(default_factory=_Union)


def WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(
    Descriptor: WDF_MEMORY_DESCRIPTOR, Buffer: Any, BufferLength: SupportsIndex
) -> None:
    """Describe a buffer.

    >>> descriptor = WDF_MEMORY_DESCRIPTOR()
    >>> WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(descriptor, bytearray(64), 64)
    >>> descriptor.u.BufferType.Length
    64
    """
    length = ulong(BufferLength, "BufferLength")
    Descriptor.Type = WdfMemoryDescriptorTypeBuffer
    Descriptor.u = _Union(BufferType=_BufferType(Buffer, length))


def WDF_MEMORY_DESCRIPTOR_INIT_MDL(
    Descriptor: WDF_MEMORY_DESCRIPTOR, Mdl: Any, BufferLength: SupportsIndex
) -> None:
    """Describe what an MDL describes.

    >>> descriptor = WDF_MEMORY_DESCRIPTOR()
    >>> WDF_MEMORY_DESCRIPTOR_INIT_MDL(descriptor, None, 64)
    >>> descriptor.u.MdlType.BufferLength
    64
    """
    length = ulong(BufferLength, "BufferLength")
    Descriptor.Type = WdfMemoryDescriptorTypeMdl
    Descriptor.u = _Union(MdlType=_MdlType(Mdl, length))


def WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(
    Descriptor: WDF_MEMORY_DESCRIPTOR, Memory: WDFMEMORY | None, Offsets: WDFMEMORY_OFFSET | None
) -> None:
    """Describe a memory object, or a part of one.

    >>> import membuf
    >>> descriptor = WDF_MEMORY_DESCRIPTOR()
    >>> WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(descriptor, membuf.Memory(100), WDFMEMORY_OFFSET(40))
    >>> descriptor.u.HandleType.Offsets.BufferOffset
    40
    """
    Descriptor.Type = WdfMemoryDescriptorTypeHandle
    Descriptor.u = _Union(HandleType=_HandleType(Memory, Offsets))

"""wdm.h: memory descriptor lists.

A virtual address is a buffer, or a number inside the driver's pool or what a known MDL describes.
In one address space the system address of an MDL is its own address.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from membuf.base.errors import MembufError
from membuf.mdl import (
    MAXIMUM_BYTE_COUNT,
    Mdl,
    allocate_pages,
)
from membuf.mdl.pages import size_of_mdl
from membuf.wdf._arguments import size_t, ulong
from membuf.wdf._blocks import address_of
from membuf.wdf._bugcheck import DRIVER_VERIFIER_DETECTED_VIOLATION, bug_check, log
from membuf.wdf._driver import enter
from membuf.wdf._mdls import (
    called,
    forget,
    header_of,
    keep,
    map_for_user,
    mdl_at,
    range_at,
    unmap_for_user,
)
from membuf.wdf.wdm.constants import LOCK_OPERATION, IoReadAccess, UserMode

if TYPE_CHECKING:
    from array import array

    from membuf._native import Pointer
    from membuf.request.irp import Irp

__all__ = [
    "MDL",
    "MEMORY_CACHING_TYPE",
    "MM_ALLOCATE_FAST_LARGE_PAGES",
    "MM_ALLOCATE_FROM_LOCAL_NODE_ONLY",
    "MM_ALLOCATE_FULLY_REQUIRED",
    "MM_ALLOCATE_NO_WAIT",
    "MM_ALLOCATE_PREFER_CONTIGUOUS",
    "MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS",
    "MM_DONT_ZERO_ALLOCATION",
    "MM_PAGE_PRIORITY",
    "HighPagePriority",
    "IoAllocateMdl",
    "IoBuildPartialMdl",
    "IoFreeMdl",
    "LowPagePriority",
    "MdlMappingNoExecute",
    "MdlMappingNoWrite",
    "MmAllocatePagesForMdlEx",
    "MmBuildMdlForNonPagedPool",
    "MmCached",
    "MmFreePagesFromMdl",
    "MmGetMdlByteCount",
    "MmGetMdlByteOffset",
    "MmGetMdlPfnArray",
    "MmGetMdlVirtualAddress",
    "MmGetSystemAddressForMdlSafe",
    "MmInitializeMdl",
    "MmMapLockedPagesSpecifyCache",
    "MmNonCached",
    "MmPrepareMdlForReuse",
    "MmProbeAndLockPages",
    "MmSizeOfMdl",
    "MmUnlockPages",
    "MmUnmapLockedPages",
    "MmWriteCombined",
    "NormalPagePriority",
]

MDL = Mdl

MM_DONT_ZERO_ALLOCATION: Final = 0x1
MM_ALLOCATE_FROM_LOCAL_NODE_ONLY: Final = 0x2
MM_ALLOCATE_FULLY_REQUIRED: Final = 0x4
MM_ALLOCATE_NO_WAIT: Final = 0x8
MM_ALLOCATE_PREFER_CONTIGUOUS: Final = 0x10
MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS: Final = 0x20
MM_ALLOCATE_FAST_LARGE_PAGES: Final = 0x40

MdlMappingNoWrite: Final = 0x80000000
MdlMappingNoExecute: Final = 0x40000000

_ALL_OF_MEMORY: Final = 2**52 - 1
_BUILD_PAGED: Final = 0x7F


class MEMORY_CACHING_TYPE(IntEnum):
    """How a mapping is cached; here memory is always cached.

    >>> MEMORY_CACHING_TYPE.MmCached.value
    1
    """

    MmNonCached = 0
    MmCached = 1
    MmWriteCombined = 2


class MM_PAGE_PRIORITY(IntEnum):
    """How early a mapping may fail; here it never fails for lack of addresses.

    >>> MM_PAGE_PRIORITY.NormalPagePriority.value
    16
    """

    LowPagePriority = 0
    NormalPagePriority = 16
    HighPagePriority = 32


MmNonCached = MEMORY_CACHING_TYPE.MmNonCached
MmCached = MEMORY_CACHING_TYPE.MmCached
MmWriteCombined = MEMORY_CACHING_TYPE.MmWriteCombined
LowPagePriority = MM_PAGE_PRIORITY.LowPagePriority
NormalPagePriority = MM_PAGE_PRIORITY.NormalPagePriority
HighPagePriority = MM_PAGE_PRIORITY.HighPagePriority


# ---- making and freeing --------------------------------------------------------------------------


def IoAllocateMdl(
    VirtualAddress: Any,
    Length: SupportsIndex,
    SecondaryBuffer: bool,
    ChargeQuota: bool,
    Irp: Irp | None,
) -> Mdl | None:
    """Make an MDL for a range; its pages are neither locked nor known yet.

    Args:
        VirtualAddress: a buffer, or an address inside what a known MDL describes.
        Length: its bytes.
        SecondaryBuffer: append it to the MDLs of the Irp instead of replacing them.
        ChargeQuota: not used.
        Irp: whose MDL it becomes, or None.

    Returns:
        The MDL; None for a length of 0 or beyond 4 GiB less a page, for a secondary buffer
        without an Irp, and where non-paged pool has no room for the structure.

    Raises:
        ValueError: the buffer, or what is known at the address, is shorter.

    >>> mdl = IoAllocateMdl(bytearray(100), 100, False, False, None)
    >>> MmGetMdlByteCount(mdl)
    100
    >>> IoFreeMdl(mdl)
    """
    enter()
    length = size_t(Length, "Length")
    if not 0 < length <= MAXIMUM_BYTE_COUNT or (SecondaryBuffer and Irp is None):
        log.info("IoAllocateMdl refused: %d bytes, secondary %s", length, SecondaryBuffer)
        return None
    mdl = Mdl(range_at(VirtualAddress, length))
    header = header_of(mdl)
    if header is None:
        return None
    keep(mdl, header)
    if Irp is not None:
        if SecondaryBuffer and Irp.mdl is not None:
            Irp.mdl.chain(mdl)
        else:
            Irp.mdl = mdl
    return mdl


def IoFreeMdl(Mdl: Mdl) -> None:
    """Free an MDL, and nothing that hangs on it.

    Raises:
        BugCheck: it is locked (C4, B8), or the framework's.

    >>> mdl = IoAllocateMdl(bytearray(100), 100, False, False, None)
    >>> IoFreeMdl(mdl)
    >>> mdl.freed
    True
    """
    mdl = _mdl(Mdl, "Mdl")
    called(mdl.free)
    forget(mdl)


def MmSizeOfMdl(Base: object, Length: SupportsIndex) -> int:
    """Bytes of the structure for a range.

    >>> MmSizeOfMdl(0xFFF, 2)
    64
    """
    return size_of_mdl(address_of(Base), size_t(Length, "Length"))


def MmInitializeMdl(MemoryDescriptorList: Any, BaseVa: Any, Length: SupportsIndex) -> Mdl:
    """Make an MDL of the caller's own storage, or make one describe another range.

    Args:
        MemoryDescriptorList: an MDL that is not locked, or memory of MmSizeOfMdl bytes.
        BaseVa: a buffer, or an address inside what a known MDL describes.
        Length: its bytes.

    Returns:
        The MDL, which for memory is a new object.

    Raises:
        BugCheck: it is locked.
        ValueError: the storage or the range is too short.

    >>> mdl = MmInitializeMdl(bytearray(64), bytearray(100), 100)
    >>> MmGetMdlByteCount(MmInitializeMdl(mdl, bytearray(50), 50))
    50
    """
    part = range_at(BaseVa, ulong(Length, "Length"))
    if isinstance(MemoryDescriptorList, Mdl):
        called(MemoryDescriptorList.initialize, part)
        return MemoryDescriptorList
    mdl = Mdl(part)
    range_at(MemoryDescriptorList, size_of_mdl(mdl.address, mdl.byte_count))
    return mdl


# ---- locking -------------------------------------------------------------------------------------


def MmBuildMdlForNonPagedPool(MemoryDescriptorList: Mdl) -> None:
    """Describe non-paged memory as it is: never locked, never unlocked.

    Raises:
        BugCheck: locked, built or partial (C4, B0); under the verifier, paged memory (C4, 7F).

    >>> from membuf.wdf import ExAllocatePool2, ExFreePool, POOL_FLAG_NON_PAGED
    >>> p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, b"Capt")
    >>> mdl = IoAllocateMdl(p, 100, False, False, None)
    >>> MmBuildMdlForNonPagedPool(mdl)
    >>> MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority).address == p.address
    True
    >>> IoFreeMdl(mdl); ExFreePool(p)
    """
    mdl = _mdl(MemoryDescriptorList, "MemoryDescriptorList")
    driver = enter()
    if driver is not None and driver.verifier and not mdl.is_nonpaged:
        reason = f"the pages of {mdl!r} may be paged out"
        code = DRIVER_VERIFIER_DETECTED_VIOLATION
        bug_check(code, _BUILD_PAGED, 0, id(mdl), int(mdl.flags), reason=reason)
    called(mdl.build_nonpaged)


def MmProbeAndLockPages(
    MemoryDescriptorList: Mdl, AccessMode: SupportsIndex, Operation: SupportsIndex
) -> None:
    """Check that the pages can be accessed so, and keep them in memory.

    Args:
        MemoryDescriptorList: not locked.
        AccessMode: KernelMode or UserMode; there is one address space.
        Operation: IoReadAccess, IoWriteAccess or IoModifyAccess, what will be done to the bytes.

    Raises:
        AccessViolationError: a page cannot be accessed so; nothing is locked.
        InsufficientResourcesError: the system refuses to lock so much.
        BugCheck: locked already, or not its own pages (C4, B0).

    >>> from membuf.wdf import IoWriteAccess, KernelMode
    >>> mdl = IoAllocateMdl(bytearray(100), 100, False, False, None)
    >>> MmProbeAndLockPages(mdl, KernelMode, IoWriteAccess)
    >>> MmUnlockPages(mdl); IoFreeMdl(mdl)
    """
    mdl = _mdl(MemoryDescriptorList, "MemoryDescriptorList")
    reads = LOCK_OPERATION(ulong(Operation, "Operation")) is IoReadAccess
    called(mdl.lock, "read" if reads else "write")


def MmUnlockPages(MemoryDescriptorList: Mdl) -> None:
    """Give the pages back, and the system address with them.

    Raises:
        BugCheck: never locked (C4, 7C), non-paged (7D), partial (B4), or the framework's.

    >>> from membuf.wdf import IoReadAccess, KernelMode
    >>> mdl = IoAllocateMdl(b"constant", 8, False, False, None)
    >>> MmProbeAndLockPages(mdl, KernelMode, IoReadAccess)
    >>> MmUnlockPages(mdl); IoFreeMdl(mdl)
    """
    called(_mdl(MemoryDescriptorList, "MemoryDescriptorList").unlock)


# ---- mapping -------------------------------------------------------------------------------------


def MmGetSystemAddressForMdlSafe(Mdl: Mdl, Priority: SupportsIndex) -> Pointer | None:
    """The bytes at their system address, the same at every call.

    Args:
        Mdl: locked, non-paged, partial, or with pages of its own.
        Priority: an MM_PAGE_PRIORITY, with MdlMappingNoWrite for memory not to be written.

    Raises:
        BugCheck: the pages are not locked (C4, B3).

    >>> from membuf.wdf import IoReadAccess, KernelMode
    >>> mdl = IoAllocateMdl(b"constant", 8, False, False, None)
    >>> MmProbeAndLockPages(mdl, KernelMode, IoReadAccess)
    >>> bytes(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute))
    b'constant'
    >>> MmUnlockPages(mdl); IoFreeMdl(mdl)
    """
    mdl = _mdl(Mdl, "Mdl")
    writable = not ulong(Priority, "Priority") & MdlMappingNoWrite
    return called(mdl.map, writable=writable)


def MmMapLockedPagesSpecifyCache(
    MemoryDescriptorList: Mdl,
    AccessMode: SupportsIndex,
    CacheType: SupportsIndex,
    RequestedAddress: object,
    BugCheckOnFailure: bool,
    Priority: SupportsIndex,
) -> Pointer | None:
    """Map the pages, for the system once, for user mode as often as asked for.

    Args:
        MemoryDescriptorList: locked, partial, or with pages of its own.
        AccessMode: KernelMode or UserMode.
        CacheType: a MEMORY_CACHING_TYPE, not used.
        RequestedAddress: None, or for user mode the address they have.
        BugCheckOnFailure: not used; FALSE is right.
        Priority: as MmGetSystemAddressForMdlSafe.

    Raises:
        AccessViolationError: for user mode, another address is asked for.
        BugCheck: not locked (C4, B3); for the system a second time, or non-paged (B2).

    >>> from membuf.wdf import IoReadAccess, KernelMode
    >>> mdl = IoAllocateMdl(b"constant", 8, False, False, None)
    >>> MmProbeAndLockPages(mdl, KernelMode, IoReadAccess)
    >>> p = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, None, False, NormalPagePriority)
    >>> MmUnmapLockedPages(p, mdl)
    >>> MmUnlockPages(mdl); IoFreeMdl(mdl)
    """
    mdl = _mdl(MemoryDescriptorList, "MemoryDescriptorList")
    MEMORY_CACHING_TYPE(ulong(CacheType, "CacheType"))
    writable = not ulong(Priority, "Priority") & MdlMappingNoWrite
    if ulong(AccessMode, "AccessMode") == UserMode:
        return map_for_user(mdl, address_of(RequestedAddress), writable=writable)
    return called(mdl.map, writable=writable, first=True)


def MmUnmapLockedPages(BaseAddress: object, MemoryDescriptorList: Mdl) -> None:
    """Give an address back that MmMapLockedPagesSpecifyCache gave.

    Raises:
        BugCheck: partial (C4, B5), or not mapped (B6).

    >>> mdl = MmInitializeMdl(bytearray(64), bytearray(100), 100)
    >>> MmUnmapLockedPages(None, mdl)
    Traceback (most recent call last):
    ...
    membuf.BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4, 0xB6, ...
    """
    mdl = _mdl(MemoryDescriptorList, "MemoryDescriptorList")
    address_of(BaseAddress)
    if not unmap_for_user(mdl):
        called(mdl.unmap)


def MmPrepareMdlForReuse(Mdl: Mdl) -> None:
    """Give back a partial MDL's own mapping; nothing for any other.

    >>> mdl = IoAllocateMdl(bytearray(100), 100, False, False, None)
    >>> MmPrepareMdlForReuse(mdl)
    >>> IoFreeMdl(mdl)
    """
    called(_mdl(Mdl, "Mdl").prepare_for_reuse)


# ---- reading -------------------------------------------------------------------------------------


def MmGetMdlVirtualAddress(Mdl: Mdl) -> int:
    """The address of the first byte, as a number; of a partial MDL in its source's addresses.

    >>> buffer = bytearray(100)
    >>> mdl = IoAllocateMdl(buffer, 100, False, False, None)
    >>> MmGetMdlVirtualAddress(mdl) % 4096 == MmGetMdlByteOffset(mdl)
    True
    >>> IoFreeMdl(mdl)
    """
    return _mdl(Mdl, "Mdl").address


def MmGetMdlByteCount(Mdl: Mdl) -> int:
    """How many bytes it describes.

    >>> MmGetMdlByteCount(MmInitializeMdl(bytearray(64), bytearray(100), 100))
    100
    """
    return _mdl(Mdl, "Mdl").byte_count


def MmGetMdlByteOffset(Mdl: Mdl) -> int:
    """Where in its page the first byte lies.

    >>> from membuf.wdf import BYTE_OFFSET
    >>> mdl = MmInitializeMdl(bytearray(64), bytearray(100), 100)
    >>> MmGetMdlByteOffset(mdl) == BYTE_OFFSET(MmGetMdlVirtualAddress(mdl))
    True
    """
    return _mdl(Mdl, "Mdl").byte_offset


def MmGetMdlPfnArray(Mdl: Mdl) -> array[int]:
    """The page frame numbers, where nothing can move the pages and the system tells.

    Raises:
        BugCheck: the pages are not locked (C4, B3).
        FrameUnknownError: they may move, or their numbers are hidden.

    >>> mdl = MmInitializeMdl(bytearray(64), bytearray(100), 100)
    >>> MmGetMdlPfnArray(mdl)
    Traceback (most recent call last):
    ...
    membuf.BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4, 0xB3, ...
    """
    mdl = _mdl(Mdl, "Mdl")
    return called(lambda: mdl.frames)


# ---- parts, and pages of its own -----------------------------------------------------------------


def IoBuildPartialMdl(
    SourceMdl: Mdl, TargetMdl: Mdl, VirtualAddress: Any, Length: SupportsIndex
) -> None:
    """Make one MDL describe a part of another, whose pages it shares.

    Args:
        SourceMdl: locked, non-paged, partial, or with pages of its own.
        TargetMdl: made for at least as many pages.
        VirtualAddress: where the part begins, in the source's addresses.
        Length: its bytes; 0 reaches to the end of the source.

    Raises:
        BugCheck: not inside the source, or too many pages for the target (12E); the source is not
            locked (C4, B3).

    >>> from membuf.wdf import IoReadAccess, KernelMode
    >>> source = IoAllocateMdl(bytearray(100), 100, False, False, None)
    >>> MmProbeAndLockPages(source, KernelMode, IoReadAccess)
    >>> start = MmGetMdlVirtualAddress(source) + 90
    >>> part = IoAllocateMdl(start, 10, False, False, None)
    >>> IoBuildPartialMdl(source, part, start, 0)
    >>> MmGetMdlByteCount(part)
    10
    >>> IoFreeMdl(part); MmUnlockPages(source); IoFreeMdl(source)
    """
    source, target = _mdl(SourceMdl, "SourceMdl"), _mdl(TargetMdl, "TargetMdl")
    address, length = address_of(VirtualAddress), ulong(Length, "Length")
    called(target.build_partial, source, address, length)


def MmAllocatePagesForMdlEx(
    LowAddress: SupportsIndex,
    HighAddress: SupportsIndex,
    SkipBytes: SupportsIndex,
    TotalBytes: SupportsIndex,
    CacheType: SupportsIndex,
    Flags: SupportsIndex,
) -> Mdl | None:
    """Make an MDL with fresh, zeroed pages of its own.

    Args:
        LowAddress: 0: the system does not let anybody choose frames.
        HighAddress: at least 2**52-1, for the same reason.
        SkipBytes: not used, there being no window to skip in.
        TotalBytes: how much; fewer may come unless MM_ALLOCATE_FULLY_REQUIRED.
        CacheType: a MEMORY_CACHING_TYPE, not used.
        Flags: MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS needs a reserved huge page.

    Returns:
        The MDL, or None where that cannot be.

    >>> from membuf.wdf import ExFreePool
    >>> mdl = MmAllocatePagesForMdlEx(0, 2**64 - 1, 0, 5000, MmCached, MM_ALLOCATE_FULLY_REQUIRED)
    >>> MmGetMdlByteCount(mdl)
    8192
    >>> MmFreePagesFromMdl(mdl); ExFreePool(mdl)
    """
    enter()
    low, high = size_t(LowAddress, "LowAddress"), size_t(HighAddress, "HighAddress")
    size_t(SkipBytes, "SkipBytes")
    MEMORY_CACHING_TYPE(ulong(CacheType, "CacheType"))
    flags, total = ulong(Flags, "Flags"), size_t(TotalBytes, "TotalBytes")
    if low or high < _ALL_OF_MEMORY:
        log.info("MmAllocatePagesForMdlEx refused: frames cannot be chosen")
        return None
    try:
        mdl = allocate_pages(
            total,
            fully_required=bool(flags & MM_ALLOCATE_FULLY_REQUIRED),
            contiguous=bool(flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS),
        )
    except MembufError as error:
        log.info("MmAllocatePagesForMdlEx refused: %s", error)
        return None
    return keep(mdl)


def MmFreePagesFromMdl(MemoryDescriptorList: Mdl) -> None:
    """Give the pages back that were allocated for an MDL; ExFreePool frees the MDL itself.

    Raises:
        BugCheck: its pages are not its own (C4, B8).

    >>> from membuf.wdf import ExFreePool
    >>> mdl = MmAllocatePagesForMdlEx(0, 2**64 - 1, 0, 4096, MmCached, 0)
    >>> MmFreePagesFromMdl(mdl); ExFreePool(mdl)
    """
    called(_mdl(MemoryDescriptorList, "MemoryDescriptorList").free_pages)


def _mdl(value: object, what: str) -> Mdl:
    enter()
    return mdl_at(value, what)

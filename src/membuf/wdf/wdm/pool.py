"""wdm.h: tagged pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.mdl import Mdl
from membuf.wdf._arguments import size_t, tag_number, ulong
from membuf.wdf._blocks import give_back
from membuf.wdf._driver import enter
from membuf.wdf._mdls import free_header
from membuf.wdf._pool import UNTAGGED, Refused, by_flags, by_type, refuse
from membuf.wdf.wdm.constants import (
    EX_POOL_PRIORITY,
    HighPoolPriority,
    PoolExtendedParameterPriority,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from membuf._native import Block

__all__ = [
    "POOL_EXTENDED_PARAMETER",
    "ExAllocatePool",
    "ExAllocatePool2",
    "ExAllocatePool3",
    "ExAllocatePoolPriorityUninitialized",
    "ExAllocatePoolPriorityZero",
    "ExAllocatePoolQuotaUninitialized",
    "ExAllocatePoolQuotaZero",
    "ExAllocatePoolUninitialized",
    "ExAllocatePoolWithQuotaTag",
    "ExAllocatePoolWithTag",
    "ExAllocatePoolWithTagPriority",
    "ExAllocatePoolZero",
    "ExFreePool",
    "ExFreePoolWithTag",
]


def ExAllocatePoolWithTag(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """Allocate pool that is not cleared.

    Args:
        PoolType: a POOL_TYPE, with POOL_RAISE_IF_ALLOCATION_FAILURE or POOL_COLD_ALLOCATION.
        NumberOfBytes: how much; 0 wastes the smallest block.
        Tag: as a number in C order, or 1 to 4 bytes in display order.

    Returns:
        The block, which is a buffer with an address, or None.

    Raises:
        BugCheck: BAD_POOL_CALLER for a tag of 0, "BIG" or without a letter or digit, and for
            must-succeed pool.
        InsufficientResourcesError: it failed, and the type asks to raise.

    >>> from membuf.wdf import NonPagedPoolNx
    >>> p = ExAllocatePoolWithTag(NonPagedPoolNx, 100, b"Capt")
    >>> p.size, p.tag
    (100, 'Capt')
    >>> ExFreePoolWithTag(p, b"Capt")
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag))


def ExAllocatePoolWithQuotaTag(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """As ExAllocatePoolWithTag, charged to the driver's quota; failing raises.

    Raises:
        InsufficientResourcesError: unless the type has POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample", quota=1000):
    ...     p = ExAllocatePoolWithQuotaTag(membuf.wdf.PagedPool, 600, b"Capt")
    ...     ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag), quota=True)


def ExAllocatePoolWithTagPriority(
    PoolType: SupportsIndex,
    NumberOfBytes: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Priority: EX_POOL_PRIORITY,
) -> Block | None:
    """As ExAllocatePoolWithTag, failing early: Low at 80 %, Normal at 95 % of the pool's limit.

    >>> from membuf.wdf import LowPoolPriority, PagedPool
    >>> p = ExAllocatePoolWithTagPriority(PagedPool, 100, b"Capt", LowPoolPriority)
    >>> ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag), priority=Priority)


def ExAllocatePoolZero(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """As ExAllocatePoolWithTag, cleared.

    >>> from membuf.wdf import PagedPool
    >>> p = ExAllocatePoolZero(PagedPool, 100, b"Capt")
    >>> ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag), zero=True)


def ExAllocatePoolQuotaZero(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """As ExAllocatePoolWithQuotaTag, cleared.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample", quota=1000):
    ...     p = ExAllocatePoolQuotaZero(membuf.wdf.PagedPool, 600, b"Capt")
    ...     ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag), zero=True, quota=True)


def ExAllocatePoolPriorityZero(
    PoolType: SupportsIndex,
    NumberOfBytes: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Priority: EX_POOL_PRIORITY,
) -> Block | None:
    """As ExAllocatePoolWithTagPriority, cleared.

    >>> from membuf.wdf import LowPoolPriority, PagedPool
    >>> p = ExAllocatePoolPriorityZero(PagedPool, 100, b"Capt", LowPoolPriority)
    >>> ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, Tag), zero=True, priority=Priority)


def ExAllocatePoolUninitialized(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """The newer name of ExAllocatePoolWithTag.

    >>> from membuf.wdf import PagedPool
    >>> p = ExAllocatePoolUninitialized(PagedPool, 100, b"Capt")
    >>> ExFreePool(p)
    """
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag)


def ExAllocatePoolQuotaUninitialized(
    PoolType: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """The newer name of ExAllocatePoolWithQuotaTag.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample", quota=1000):
    ...     p = ExAllocatePoolQuotaUninitialized(membuf.wdf.PagedPool, 600, b"Capt")
    ...     ExFreePool(p)
    """
    return ExAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, Tag)


def ExAllocatePoolPriorityUninitialized(
    PoolType: SupportsIndex,
    NumberOfBytes: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Priority: EX_POOL_PRIORITY,
) -> Block | None:
    """The newer name of ExAllocatePoolWithTagPriority.

    >>> from membuf.wdf import LowPoolPriority, PagedPool
    >>> p = ExAllocatePoolPriorityUninitialized(PagedPool, 100, b"Capt", LowPoolPriority)
    >>> ExFreePool(p)
    """
    return ExAllocatePoolWithTagPriority(PoolType, NumberOfBytes, Tag, Priority)


def ExAllocatePool(PoolType: SupportsIndex, NumberOfBytes: SupportsIndex) -> Block | None:
    """As ExAllocatePoolWithTag under the tag "None".

    >>> from membuf.wdf import PagedPool
    >>> p = ExAllocatePool(PagedPool, 100)
    >>> p.tag
    'None'
    >>> ExFreePool(p)
    """
    return by_type(*_arguments(PoolType, NumberOfBytes, UNTAGGED))


def ExAllocatePool2(
    Flags: SupportsIndex, NumberOfBytes: SupportsIndex, Tag: SupportsIndex | bytes
) -> Block | None:
    """Allocate pool, cleared unless POOL_FLAG_UNINITIALIZED.

    Args:
        Flags: exactly one of POOL_FLAG_NON_PAGED, ..._NON_PAGED_EXECUTE and ..._PAGED, with others;
            unknown ones above 32 bits are ignored, below they fail.
        NumberOfBytes: at least 1.
        Tag: as a number in C order, or 1 to 4 bytes in display order.

    Returns:
        The block, or None for whatever is wrong.

    Raises:
        InsufficientResourcesError: it failed, and POOL_FLAG_RAISE_ON_FAILURE is set.

    >>> from membuf.wdf import POOL_FLAG_PAGED
    >>> p = ExAllocatePool2(POOL_FLAG_PAGED, 100, b"Capt")
    >>> bytes(p) == bytes(100), ExAllocatePool2(POOL_FLAG_PAGED, 100, 0)
    (True, None)
    >>> ExFreePool(p)
    """
    return by_flags(size_t(Flags, "Flags"), *_size_and_tag(NumberOfBytes, Tag))


@dataclass(slots=True)
class POOL_EXTENDED_PARAMETER:
    """A wish of ExAllocatePool3.

    Attributes:
        Type: a POOL_EXTENDED_PARAMETER_TYPE; the priority is the only one there is so far.
        Optional: whether it may be ignored.
        Priority: an EX_POOL_PRIORITY.
        PreferredNode: a NUMA node.
        SecurePoolParams: of a secure pool.

    >>> from membuf.wdf import LowPoolPriority, PoolExtendedParameterPriority
    >>> POOL_EXTENDED_PARAMETER(PoolExtendedParameterPriority, Priority=LowPoolPriority).Optional
    False
    """

    Type: int = 0
    Optional: bool = False
    Priority: int = 0
    PreferredNode: int = 0
    SecurePoolParams: Any = None


def ExAllocatePool3(
    Flags: SupportsIndex,
    NumberOfBytes: SupportsIndex,
    Tag: SupportsIndex | bytes,
    ExtendedParameters: Sequence[POOL_EXTENDED_PARAMETER] | None,
    ExtendedParametersCount: SupportsIndex,
) -> Block | None:
    """As ExAllocatePool2, with extended parameters; a mandatory one it does not know fails it.

    Raises:
        ValueError: the count is larger than the sequence.
        InsufficientResourcesError: it failed, and POOL_FLAG_RAISE_ON_FAILURE is set.

    >>> from membuf.wdf import POOL_FLAG_PAGED
    >>> unknown = POOL_EXTENDED_PARAMETER(Type=9)
    >>> ExAllocatePool3(POOL_FLAG_PAGED, 100, b"Capt", [unknown], 1) is None
    True
    """
    flags = size_t(Flags, "Flags")
    count = ulong(ExtendedParametersCount, "ExtendedParametersCount")
    given = ExtendedParameters or ()
    if count > len(given):
        raise ValueError(f"ExtendedParametersCount is {count}, but {len(given)} were given")
    priority = HighPoolPriority
    for parameter in given[:count]:
        if parameter.Type == PoolExtendedParameterPriority:
            priority = EX_POOL_PRIORITY(parameter.Priority)
        elif not parameter.Optional:
            refuse(Refused(f"extended parameter type {parameter.Type} is not supported"), flags)
            return None
    return by_flags(flags, *_size_and_tag(NumberOfBytes, Tag), priority)


def ExFreePool(P: object) -> None:
    """Free a block, whatever its tag.

    Args:
        P: the block, a view of its first byte, its address, or an MDL after MmFreePagesFromMdl.

    Raises:
        BugCheck: BAD_POOL_CALLER, 7 for a block freed before, 0x46 for what is no block.

    >>> from membuf.wdf import PagedPool
    >>> p = ExAllocatePoolWithTag(PagedPool, 100, b"Capt")
    >>> ExFreePool(p.address)
    >>> p.freed
    True
    """
    enter()
    if isinstance(P, Mdl):
        free_header(P)
    else:
        give_back(P, 0)


def ExFreePoolWithTag(P: object, Tag: SupportsIndex | bytes) -> None:
    """Free a block, if it bears the tag; 0 frees any.

    Raises:
        BugCheck: BAD_POOL_CALLER, 0x0A for another tag, else as ExFreePool.

    >>> from membuf.wdf import PagedPool
    >>> p = ExAllocatePoolWithTag(PagedPool, 100, b"Capt")
    >>> ExFreePoolWithTag(p, b"Capt")
    >>> p.freed
    True
    """
    enter()
    give_back(P, tag_number(Tag))


def _size_and_tag(size: SupportsIndex, tag: SupportsIndex | bytes) -> tuple[int, int]:
    return size_t(size, "NumberOfBytes"), tag_number(tag)


def _arguments(
    pool_type: SupportsIndex, size: SupportsIndex, tag: SupportsIndex | bytes
) -> tuple[int, int, int]:
    return ulong(pool_type, "PoolType"), *_size_and_tag(size, tag)

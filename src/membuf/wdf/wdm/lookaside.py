"""wdm.h: lookaside lists of the kernel itself, over storage that the caller owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.base.errors import InsufficientResourcesError, InvalidParameterError
from membuf.base.status import (
    STATUS_INVALID_PARAMETER,
    STATUS_INVALID_PARAMETER_4,
    STATUS_INVALID_PARAMETER_5,
    STATUS_SUCCESS,
    Status,
)
from membuf.wdf._arguments import size_t, tag_number, ulong
from membuf.wdf._bugcheck import BAD_POOL_CALLER, bug_check
from membuf.wdf._driver import enter
from membuf.wdf._nt_lists import CallerList, CoreList, List, ListPlan, ListState
from membuf.wdf._pool import tag_fault
from membuf.wdf._pool_types import kind_of, placement
from membuf.wdf.wdm.constants import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    LOOKASIDE_MINIMUM_BLOCK_SIZE,
    POOL_RAISE_IF_ALLOCATION_FAILURE,
    NonPagedPoolNx,
    PagedPool,
)
from membuf.wdf.wdm.pool import ExAllocatePoolWithTag, ExFreePool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "GENERAL_LOOKASIDE",
    "LOOKASIDE_LIST_EX",
    "NPAGED_LOOKASIDE_LIST",
    "PAGED_LOOKASIDE_LIST",
    "ExAllocateFromLookasideListEx",
    "ExAllocateFromNPagedLookasideList",
    "ExAllocateFromPagedLookasideList",
    "ExDeleteLookasideListEx",
    "ExDeleteNPagedLookasideList",
    "ExDeletePagedLookasideList",
    "ExFlushLookasideListEx",
    "ExFreeToLookasideListEx",
    "ExFreeToNPagedLookasideList",
    "ExFreeToPagedLookasideList",
    "ExInitializeLookasideListEx",
    "ExInitializeNPagedLookasideList",
    "ExInitializePagedLookasideList",
]


@dataclass(frozen=True, slots=True)
class GENERAL_LOOKASIDE:
    """The fields of a list at one moment.

    Attributes:
        Depth: how many entries may lie idle now.
        MaximumDepth: the most that Depth may become.
        TotalAllocates: times an entry was asked for.
        AllocateMisses: of these, times none lay idle.
        TotalFrees: times an entry came back.
        FreeMisses: of these, times the list was full.
        Type: the pool type.
        Tag: the pool tag.
        Size: bytes of an entry.
        ListDepth: how many entries lie idle now (the depth of ListHead).

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> status = ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    >>> pages.L.Size, pages.L.Depth, pages.L.ListDepth
    (4096, 4, 0)
    >>> ExDeleteLookasideListEx(pages)
    """

    Depth: int
    MaximumDepth: int
    TotalAllocates: int
    AllocateMisses: int
    TotalFrees: int
    FreeMisses: int
    Type: int
    Tag: int
    Size: int
    ListDepth: int


class LOOKASIDE_LIST_EX:
    """Storage for a list, zeroed until ExInitializeLookasideListEx makes it one.

    >>> LOOKASIDE_LIST_EX().L
    Traceback (most recent call last):
    ...
    membuf.InvalidParameterError: the list is not initialized, or deleted
    """

    def __init__(self) -> None:
        self.state: ListState | None = None

    @property
    def L(self) -> GENERAL_LOOKASIDE:
        """The list's fields now.

        Raises:
            InvalidParameterError: it is not initialized.
        """
        state = _initialized(self)
        now, plan = state.entries.statistics(), state.plan
        return GENERAL_LOOKASIDE(
            Depth=now.depth,
            MaximumDepth=now.maximum_depth,
            TotalAllocates=now.allocations,
            AllocateMisses=now.misses,
            TotalFrees=now.frees,
            FreeMisses=now.free_misses,
            Type=plan.pool_type,
            Tag=plan.tag,
            Size=plan.size,
            ListDepth=now.idle,
        )


class NPAGED_LOOKASIDE_LIST(LOOKASIDE_LIST_EX):
    """Storage for a non-paged list.

    >>> lookaside = NPAGED_LOOKASIDE_LIST()
    >>> ExInitializeNPagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> ExDeleteNPagedLookasideList(lookaside)
    """


class PAGED_LOOKASIDE_LIST(LOOKASIDE_LIST_EX):
    """Storage for a paged list.

    >>> lookaside = PAGED_LOOKASIDE_LIST()
    >>> ExInitializePagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> ExDeletePagedLookasideList(lookaside)
    """


# ---- LOOKASIDE_LIST_EX ---------------------------------------------------------------------------


def ExInitializeLookasideListEx(
    Lookaside: LOOKASIDE_LIST_EX,
    Allocate: Callable[[int, int, int, LOOKASIDE_LIST_EX], Any] | None,
    Free: Callable[[Any, LOOKASIDE_LIST_EX], object] | None,
    PoolType: SupportsIndex,
    Flags: SupportsIndex,
    Size: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Depth: SupportsIndex,
) -> Status:
    """Make a list in the caller's storage.

    Args:
        Lookaside: the storage.
        Allocate: (PoolType, NumberOfBytes, Tag, Lookaside) -> entry or None; None for pool.
        Free: (entry, Lookaside); None for pool.
        PoolType: of the entries.
        Flags: RAISE_ON_FAIL, or FAIL_NO_RAISE with an Allocate of one's own, or 0.
        Size: bytes of an entry, at least LOOKASIDE_MINIMUM_BLOCK_SIZE.
        Tag: of the entries.
        Depth: reserved, and ignored: the depth begins at 4.

    Returns:
        INVALID_PARAMETER_4 for a bad pool type, INVALID_PARAMETER_5 for bad flags,
        INVALID_PARAMETER for a bad size.

    Raises:
        BugCheck: BAD_POOL_CALLER for a tag that pool refuses.

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    STATUS_SUCCESS (0x00000000)
    >>> pages.L.Depth, pages.L.MaximumDepth, pages.L.TotalAllocates
    (4, 256, 0)
    >>> entry = ExAllocateFromLookasideListEx(pages)
    >>> ExFreeToLookasideListEx(pages, entry)
    >>> ExDeleteLookasideListEx(pages)
    """
    flags, pool_type = ulong(Flags, "Flags"), ulong(PoolType, "PoolType")
    ulong(Depth, "Depth")
    plan = ListPlan(
        pool_type=pool_type,
        size=size_t(Size, "Size"),
        tag=tag_number(Tag),
        raises=flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    )
    if not kind_of(pool_type).known:
        return STATUS_INVALID_PARAMETER_4
    if flags not in _FLAGS or (flags == EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE and not Allocate):
        return STATUS_INVALID_PARAMETER_5
    if not LOOKASIDE_MINIMUM_BLOCK_SIZE <= plan.size <= _LARGEST:
        return STATUS_INVALID_PARAMETER
    _initialize(Lookaside, plan, *_bound(Lookaside, Allocate, Free))
    return STATUS_SUCCESS


def ExAllocateFromLookasideListEx(Lookaside: LOOKASIDE_LIST_EX) -> Any:
    """An entry: the one freed last, a new one, or None.

    Raises:
        InsufficientResourcesError: there is no memory, and the list raises on failure.

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> status = ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    >>> entry = ExAllocateFromLookasideListEx(pages)
    >>> ExFreeToLookasideListEx(pages, entry)
    >>> ExFlushLookasideListEx(pages)
    >>> pages.L.ListDepth
    0
    >>> ExDeleteLookasideListEx(pages)
    """
    enter()
    state = _initialized(Lookaside)
    entry = state.entries.allocate()
    if entry is None and state.plan.raises:
        raise InsufficientResourcesError(f"no memory for an entry of {state.plan.size} bytes")
    return entry


def ExFreeToLookasideListEx(Lookaside: LOOKASIDE_LIST_EX, Entry: Any) -> None:
    """Give an entry back.

    Raises:
        BugCheck: BAD_POOL_CALLER for what is no entry of this list, or no more.

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> status = ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    >>> entry = ExAllocateFromLookasideListEx(pages)
    >>> ExFreeToLookasideListEx(pages, entry)
    >>> ExFlushLookasideListEx(pages)
    >>> pages.L.ListDepth
    0
    >>> ExDeleteLookasideListEx(pages)
    """
    enter()
    _initialized(Lookaside).entries.free(Entry)


def ExFlushLookasideListEx(Lookaside: LOOKASIDE_LIST_EX) -> None:
    """Free all idle entries; those in use are not touched.

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> status = ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    >>> entry = ExAllocateFromLookasideListEx(pages)
    >>> ExFreeToLookasideListEx(pages, entry)
    >>> ExFlushLookasideListEx(pages)
    >>> pages.L.ListDepth
    0
    >>> ExDeleteLookasideListEx(pages)
    """
    enter()
    _initialized(Lookaside).entries.flush()


def ExDeleteLookasideListEx(Lookaside: LOOKASIDE_LIST_EX) -> None:
    """End the list: its idle entries are freed, and the storage may be initialized again.

    >>> from membuf.wdf import PagedPool
    >>> pages = LOOKASIDE_LIST_EX()
    >>> status = ExInitializeLookasideListEx(pages, None, None, PagedPool, 0, 4096, b"Page", 0)
    >>> entry = ExAllocateFromLookasideListEx(pages)
    >>> ExFreeToLookasideListEx(pages, entry)
    >>> ExFlushLookasideListEx(pages)
    >>> pages.L.ListDepth
    0
    >>> ExDeleteLookasideListEx(pages)
    """
    enter()
    _initialized(Lookaside).entries.close()
    Lookaside.state = None


# ---- the older pair ------------------------------------------------------------------------------


def ExInitializeNPagedLookasideList(
    Lookaside: NPAGED_LOOKASIDE_LIST,
    Allocate: Callable[[int, int, int], Any] | None,
    Free: Callable[[Any], object] | None,
    Flags: SupportsIndex,
    Size: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Depth: SupportsIndex,
) -> None:
    """Make a non-paged list; see ExInitializeLookasideListEx.

    Args:
        Lookaside: the storage.
        Allocate: (PoolType, NumberOfBytes, Tag) -> entry or None; None for pool.
        Free: (entry); None for pool.
        Flags: POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_NX_ALLOCATION, or 0.
        Size: bytes of an entry, at least LOOKASIDE_MINIMUM_BLOCK_SIZE.
        Tag: of the entries.
        Depth: reserved, and ignored.

    Raises:
        BugCheck: BAD_POOL_CALLER for a tag that pool refuses.
        InvalidParameterError: a size out of range, which C leaves undefined.

    >>> lookaside = NPAGED_LOOKASIDE_LIST()
    >>> ExInitializeNPagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromNPagedLookasideList(lookaside)
    >>> ExFreeToNPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeleteNPagedLookasideList(lookaside)
    """
    _initialize_older(Lookaside, (Allocate, Free), NonPagedPoolNx, Flags, Size, Tag)
    ulong(Depth, "Depth")


def ExInitializePagedLookasideList(
    Lookaside: PAGED_LOOKASIDE_LIST,
    Allocate: Callable[[int, int, int], Any] | None,
    Free: Callable[[Any], object] | None,
    Flags: SupportsIndex,
    Size: SupportsIndex,
    Tag: SupportsIndex | bytes,
    Depth: SupportsIndex,
) -> None:
    """Make a paged list; see ExInitializeNPagedLookasideList.

    >>> lookaside = PAGED_LOOKASIDE_LIST()
    >>> ExInitializePagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromPagedLookasideList(lookaside)
    >>> ExFreeToPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeletePagedLookasideList(lookaside)
    """
    _initialize_older(Lookaside, (Allocate, Free), PagedPool, Flags, Size, Tag)
    ulong(Depth, "Depth")


def ExAllocateFromNPagedLookasideList(Lookaside: NPAGED_LOOKASIDE_LIST) -> Any:
    """See ExAllocateFromLookasideListEx.

    >>> lookaside = NPAGED_LOOKASIDE_LIST()
    >>> ExInitializeNPagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromNPagedLookasideList(lookaside)
    >>> ExFreeToNPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeleteNPagedLookasideList(lookaside)
    """
    return ExAllocateFromLookasideListEx(Lookaside)


def ExAllocateFromPagedLookasideList(Lookaside: PAGED_LOOKASIDE_LIST) -> Any:
    """See ExAllocateFromLookasideListEx.

    >>> lookaside = PAGED_LOOKASIDE_LIST()
    >>> ExInitializePagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromPagedLookasideList(lookaside)
    >>> ExFreeToPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeletePagedLookasideList(lookaside)
    """
    return ExAllocateFromLookasideListEx(Lookaside)


def ExFreeToNPagedLookasideList(Lookaside: NPAGED_LOOKASIDE_LIST, Entry: Any) -> None:
    """See ExFreeToLookasideListEx.

    >>> lookaside = NPAGED_LOOKASIDE_LIST()
    >>> ExInitializeNPagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromNPagedLookasideList(lookaside)
    >>> ExFreeToNPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeleteNPagedLookasideList(lookaside)
    """
    ExFreeToLookasideListEx(Lookaside, Entry)


def ExFreeToPagedLookasideList(Lookaside: PAGED_LOOKASIDE_LIST, Entry: Any) -> None:
    """See ExFreeToLookasideListEx.

    >>> lookaside = PAGED_LOOKASIDE_LIST()
    >>> ExInitializePagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromPagedLookasideList(lookaside)
    >>> ExFreeToPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeletePagedLookasideList(lookaside)
    """
    ExFreeToLookasideListEx(Lookaside, Entry)


def ExDeleteNPagedLookasideList(Lookaside: NPAGED_LOOKASIDE_LIST) -> None:
    """See ExDeleteLookasideListEx.

    >>> lookaside = NPAGED_LOOKASIDE_LIST()
    >>> ExInitializeNPagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromNPagedLookasideList(lookaside)
    >>> ExFreeToNPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeleteNPagedLookasideList(lookaside)
    """
    ExDeleteLookasideListEx(Lookaside)


def ExDeletePagedLookasideList(Lookaside: PAGED_LOOKASIDE_LIST) -> None:
    """See ExDeleteLookasideListEx.

    >>> lookaside = PAGED_LOOKASIDE_LIST()
    >>> ExInitializePagedLookasideList(lookaside, None, None, 0, 64, b"Capt", 0)
    >>> entry = ExAllocateFromPagedLookasideList(lookaside)
    >>> ExFreeToPagedLookasideList(lookaside, entry)
    >>> lookaside.L.TotalFrees
    1
    >>> ExDeletePagedLookasideList(lookaside)
    """
    ExDeleteLookasideListEx(Lookaside)


# ---- what they share -----------------------------------------------------------------------------

_FLAGS = (
    0,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
)
_LARGEST = 2**32 - 1


def _bound(
    lookaside: LOOKASIDE_LIST_EX,
    allocate: Callable[[int, int, int, LOOKASIDE_LIST_EX], Any] | None,
    free: Callable[[Any, LOOKASIDE_LIST_EX], object] | None,
) -> tuple[Callable[[int, int, int], Any] | None, Callable[[Any], object] | None]:
    return (
        None if allocate is None else lambda kind, size, tag: allocate(kind, size, tag, lookaside),
        None if free is None else lambda entry: free(entry, lookaside),
    )


def _initialize_older(
    lookaside: LOOKASIDE_LIST_EX,
    own: tuple[Callable[[int, int, int], Any] | None, Callable[[Any], object] | None],
    pool_type: int,
    flags: SupportsIndex,
    size: SupportsIndex,
    tag: SupportsIndex | bytes,
) -> None:
    raises = bool(ulong(flags, "Flags") & POOL_RAISE_IF_ALLOCATION_FAILURE)
    plan = ListPlan(pool_type, size_t(size, "Size"), tag_number(tag), raises)
    if not LOOKASIDE_MINIMUM_BLOCK_SIZE <= plan.size <= _LARGEST:
        raise InvalidParameterError(
            f"Size must be {LOOKASIDE_MINIMUM_BLOCK_SIZE} to {_LARGEST} bytes; got {plan.size}"
        )
    _initialize(lookaside, plan, *own)


def _initialize(
    lookaside: LOOKASIDE_LIST_EX,
    plan: ListPlan,
    allocate: Callable[[int, int, int], Any] | None,
    free: Callable[[Any], object] | None,
) -> None:
    enter()
    if lookaside.state is not None:
        raise InvalidParameterError("the list is initialized: delete it first")
    fault = tag_fault(plan.tag)
    if fault is not None:
        reason = f"the tag {plan.tag:#x} is none that pool takes"
        bug_check(BAD_POOL_CALLER, fault, plan.pool_type, plan.size, reason=reason)
    lookaside.state = ListState(_entries(plan, allocate, free), plan)


def _entries(
    plan: ListPlan,
    allocate: Callable[[int, int, int], Any] | None,
    free: Callable[[Any], object] | None,
) -> List:
    if allocate is None and free is None:
        pool, alignment = placement(plan.pool_type)
        return CoreList(plan.size, pool, alignment, plan.tag)
    make, end = allocate or ExAllocatePoolWithTag, free or ExFreePool
    return CallerList(lambda: make(plan.pool_type, plan.size, plan.tag), end)


def _initialized(lookaside: LOOKASIDE_LIST_EX) -> ListState:
    if lookaside.state is None:
        raise InvalidParameterError("the list is not initialized, or deleted")
    return lookaside.state

"""MDLs that own their pages: fresh, zeroed, in memory from the start."""

# ruff: noqa: SLF001 - the MDL is made here, in a state of its own
# pyright: reportPrivateUsage=false

from __future__ import annotations

import mmap
from typing import Final, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import InsufficientResourcesError, InvalidParameterError, from_status
from membuf.base.integers import exact_index
from membuf.mdl.mdl import Mdl
from membuf.mdl.pages import MAXIMUM_BYTE_COUNT, PAGE_SIZE, round_to_pages

_MAP_HUGETLB: Final = 0x40000
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_HUGE_PAGE_SIZE: Final = 2 << 20


def allocate_pages(
    size: SupportsIndex, *, fully_required: bool = False, contiguous: bool = False
) -> Mdl:
    """An MDL with pages of its own, locked, until `Mdl.free_pages`.

    Args:
        size: bytes, rounded up to pages.
        fully_required: fail rather than describe fewer bytes than asked for.
        contiguous: in frames that follow each other: one reserved huge page of 2 MiB at most.

    Raises:
        InsufficientResourcesError: the system has, or locks, no page at all; not all of them,
            where all are required; no huge page is reserved (vm.nr_hugepages).
        InvalidParameterError: no byte, or more than an MDL describes.
        MembufError: NOT_SUPPORTED: contiguous, and more than a huge page holds.

    Source: MmAllocatePagesForMdlEx.

    >>> mdl = allocate_pages(5000)
    >>> mdl.byte_count, mdl.kind, "resident" in mdl.guarantees
    (8192, 'pages', True)
    >>> mdl.free_pages()
    """
    wanted = round_to_pages(exact_index(size, "size"))
    if not 0 < wanted <= MAXIMUM_BYTE_COUNT:
        raise InvalidParameterError(
            f"an MDL describes 1 to {MAXIMUM_BYTE_COUNT} bytes, got {wanted}"
        )
    if contiguous:
        return _contiguous(wanted)
    while True:
        try:
            return _locked(_map(wanted, 0), wanted)
        except InsufficientResourcesError:
            if fully_required or wanted == PAGE_SIZE:
                raise
        wanted = round_to_pages(wanted // 2)


def _contiguous(size: int) -> Mdl:
    if size > _HUGE_PAGE_SIZE:
        raise from_status(
            st.STATUS_NOT_SUPPORTED,
            f"{size} bytes in frames that follow each other: a huge page holds {_HUGE_PAGE_SIZE}",
            operands={"needed": size, "available": _HUGE_PAGE_SIZE},
        )
    return _locked(_map(_HUGE_PAGE_SIZE, _MAP_HUGETLB), size)


def _map(size: int, flags: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size, flags=_PRIVATE | flags)
    except OSError as error:
        what = "reserved huge page" if flags else "memory"
        raise InsufficientResourcesError(
            f"the system has no {what} for {size} bytes ({error.strerror})",
            operands={"needed": size},
        ) from error


def _locked(pages: mmap.mmap, size: int) -> Mdl:
    mdl = Mdl(pages, 0, size)
    mdl._hold_pages()
    mdl._kind = "pages"
    return mdl

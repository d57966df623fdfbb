"""wdm.h: page arithmetic, wrapping as the macros do."""

from __future__ import annotations

from typing import Final, SupportsIndex

from membuf.mdl import byte_offset, bytes_to_pages, page_align, round_to_pages
from membuf.wdf._arguments import SIZE_MAX, size_t
from membuf.wdf._blocks import address_of

__all__ = [
    "ADDRESS_AND_SIZE_TO_SPAN_PAGES",
    "BYTES_TO_PAGES",
    "BYTE_OFFSET",
    "PAGE_ALIGN",
    "PAGE_SHIFT",
    "PAGE_SIZE",
    "ROUND_TO_PAGES",
]

PAGE_SIZE: Final = 0x1000
PAGE_SHIFT: Final = 12


def ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va: object, Size: SupportsIndex) -> int:
    """The pages that a range touches.

    >>> ADDRESS_AND_SIZE_TO_SPAN_PAGES(0xFFF, 2), ADDRESS_AND_SIZE_TO_SPAN_PAGES(0, 0)
    (2, 0)
    """
    size = size_t(Size, "Size")
    return _wrapped_pages(byte_offset(address_of(Va)) + size)


def BYTES_TO_PAGES(Size: SupportsIndex) -> int:
    """The pages that so many bytes fill.

    >>> BYTES_TO_PAGES(4097)
    2
    """
    return bytes_to_pages(size_t(Size, "Size"))


def ROUND_TO_PAGES(Size: SupportsIndex) -> int:
    """A size rounded up to whole pages.

    >>> ROUND_TO_PAGES(1)
    4096
    """
    return round_to_pages(size_t(Size, "Size")) & SIZE_MAX


def PAGE_ALIGN(Va: object) -> int:
    """The start of the page of an address.

    >>> hex(PAGE_ALIGN(0x12345))
    '0x12000'
    """
    return page_align(address_of(Va))


def BYTE_OFFSET(Va: object) -> int:
    """Where in its page an address lies.

    >>> hex(BYTE_OFFSET(0x12345))
    '0x345'
    """
    return byte_offset(address_of(Va))


def _wrapped_pages(total: int) -> int:
    """As the macro: a sum past 64 bits wraps before it is divided."""
    return (total + PAGE_SIZE - 1 & SIZE_MAX) >> PAGE_SHIFT

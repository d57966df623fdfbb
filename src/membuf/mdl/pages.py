"""Page arithmetic: which pages an address and a length span."""

from __future__ import annotations

from typing import Final

PAGE_SIZE: Final = 4096
"""Bytes in a page."""

MAXIMUM_BYTE_COUNT: Final = 2**32 - PAGE_SIZE
"""The most bytes that one MDL describes (IoAllocateMdl, Windows 7 and later)."""

_HEADER_SIZE: Final = 48
_FRAME_SIZE: Final = 8


def byte_offset(address: int) -> int:
    """Where in its page an address lies (BYTE_OFFSET).

    >>> hex(byte_offset(0x12345))
    '0x345'
    """
    return address % PAGE_SIZE


def page_align(address: int) -> int:
    """The start of the page that an address lies in (PAGE_ALIGN).

    >>> hex(page_align(0x12345))
    '0x12000'
    """
    return address - address % PAGE_SIZE


def bytes_to_pages(size: int) -> int:
    """The pages that so many bytes fill when they begin at one (BYTES_TO_PAGES).

    >>> bytes_to_pages(0), bytes_to_pages(1), bytes_to_pages(4096), bytes_to_pages(4097)
    (0, 1, 1, 2)
    """
    return -(-size // PAGE_SIZE)


def round_to_pages(size: int) -> int:
    """A size rounded up to whole pages (ROUND_TO_PAGES).

    >>> round_to_pages(4097)
    8192
    """
    return bytes_to_pages(size) * PAGE_SIZE


def span_pages(address: int, size: int) -> int:
    """The pages that `size` bytes at an address touch (ADDRESS_AND_SIZE_TO_SPAN_PAGES).

    >>> span_pages(0xFFF, 1), span_pages(0xFFF, 2), span_pages(1, 4096)
    (1, 2, 2)
    """
    return bytes_to_pages(byte_offset(address) + size)


def size_of_mdl(address: int, size: int) -> int:
    """Bytes of the framework's MDL structure for a range (MmSizeOfMdl, 64 bits).

    >>> size_of_mdl(0xFFF, 2)
    64
    """
    return _HEADER_SIZE + _FRAME_SIZE * span_pages(address, size)

"""wdfcore.h: the alignment macros, wrapping as in C."""

from __future__ import annotations

from typing import SupportsIndex

from membuf.wdf._arguments import size_t

__all__ = ["WDF_ALIGN_SIZE_DOWN", "WDF_ALIGN_SIZE_UP"]

_SIZE_MASK = 2**64 - 1


def WDF_ALIGN_SIZE_DOWN(Length: SupportsIndex, AlignTo: SupportsIndex) -> int:
    """Length with the bits below AlignTo cleared; no check, as in C.

    Args:
        Length: bytes, 0 to 2**64-1.
        AlignTo: bytes; meaningful for powers of two alone. `membuf.align_down` checks that.

    Raises:
        OverflowError: an argument outside 0 to 2**64-1.
        TypeError: an argument that is no integer.

    >>> WDF_ALIGN_SIZE_DOWN(4097, 4096), WDF_ALIGN_SIZE_DOWN(10, 3)
    (4096, 8)
    """
    return size_t(Length, "Length") & ~(size_t(AlignTo, "AlignTo") - 1) & _SIZE_MASK


def WDF_ALIGN_SIZE_UP(Length: SupportsIndex, AlignTo: SupportsIndex) -> int:
    """The next multiple of AlignTo, wrapping past 2**64 as in C.

    A result below Length means overflow, as the documentation says; `membuf.align_up` raises.

    Args:
        Length: bytes, 0 to 2**64-1.
        AlignTo: bytes; meaningful for powers of two alone.

    Raises:
        OverflowError: an argument outside 0 to 2**64-1.
        TypeError: an argument that is no integer.

    >>> WDF_ALIGN_SIZE_UP(4097, 4096), WDF_ALIGN_SIZE_UP(2**64 - 1, 8)
    (8192, 0)
    """
    rounded = size_t(Length, "Length") + size_t(AlignTo, "AlignTo") - 1
    return WDF_ALIGN_SIZE_DOWN(rounded & _SIZE_MASK, AlignTo)

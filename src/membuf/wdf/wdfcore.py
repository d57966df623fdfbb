"""wdfcore.h: the macros of alignment, wrapping as in C, and of times in units of 100 ns."""

from __future__ import annotations

from typing import Final, SupportsIndex

from membuf.wdf._arguments import size_t

__all__ = [
    "WDF_ABS_TIMEOUT_IN_MS",
    "WDF_ABS_TIMEOUT_IN_SEC",
    "WDF_ABS_TIMEOUT_IN_US",
    "WDF_ALIGN_SIZE_DOWN",
    "WDF_ALIGN_SIZE_UP",
    "WDF_REL_TIMEOUT_IN_MS",
    "WDF_REL_TIMEOUT_IN_SEC",
    "WDF_REL_TIMEOUT_IN_US",
    "WDF_TIMEOUT_TO_MS",
    "WDF_TIMEOUT_TO_SEC",
    "WDF_TIMEOUT_TO_US",
]

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


WDF_TIMEOUT_TO_SEC: Final = 10_000_000
WDF_TIMEOUT_TO_MS: Final = 10_000
WDF_TIMEOUT_TO_US: Final = 10


def WDF_REL_TIMEOUT_IN_SEC(Time: SupportsIndex) -> int:
    """A time that long from now, given in seconds.

    >>> WDF_REL_TIMEOUT_IN_SEC(5)
    -50000000
    """
    return -size_t(Time, "Time") * WDF_TIMEOUT_TO_SEC


def WDF_REL_TIMEOUT_IN_MS(Time: SupportsIndex) -> int:
    """A time that long from now, given in milliseconds.

    >>> WDF_REL_TIMEOUT_IN_MS(5)
    -50000
    """
    return -size_t(Time, "Time") * WDF_TIMEOUT_TO_MS


def WDF_REL_TIMEOUT_IN_US(Time: SupportsIndex) -> int:
    """A time that long from now, given in microseconds.

    >>> WDF_REL_TIMEOUT_IN_US(5)
    -50
    """
    return -size_t(Time, "Time") * WDF_TIMEOUT_TO_US


def WDF_ABS_TIMEOUT_IN_SEC(Time: SupportsIndex) -> int:
    """A time since 1601, in UTC, given in seconds.

    >>> WDF_ABS_TIMEOUT_IN_SEC(5)
    50000000
    """
    return size_t(Time, "Time") * WDF_TIMEOUT_TO_SEC


def WDF_ABS_TIMEOUT_IN_MS(Time: SupportsIndex) -> int:
    """A time since 1601, in UTC, given in milliseconds.

    >>> WDF_ABS_TIMEOUT_IN_MS(5)
    50000
    """
    return size_t(Time, "Time") * WDF_TIMEOUT_TO_MS


def WDF_ABS_TIMEOUT_IN_US(Time: SupportsIndex) -> int:
    """A time since 1601, in UTC, given in microseconds.

    >>> WDF_ABS_TIMEOUT_IN_US(5)
    50
    """
    return size_t(Time, "Time") * WDF_TIMEOUT_TO_US

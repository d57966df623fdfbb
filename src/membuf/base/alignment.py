"""Rounding to a power of two, with no silent wrap.

The framework's own macros wrap as C does; they are `membuf.wdf.WDF_ALIGN_SIZE_UP` and `..._DOWN`.
"""

from __future__ import annotations

from typing import Final, SupportsIndex

from membuf.base.errors import IntegerOverflowError, InvalidParameterError
from membuf.base.integers import exact_index

SIZE_LIMIT: Final = 2**64
"""The first number that a C `size_t` of 64 bits does not hold."""


def align_up(length: SupportsIndex, alignment: SupportsIndex) -> int:
    """The smallest multiple of `alignment` that is not below `length`.

    Args:
        length: bytes, 0 to 2**64-1.
        alignment: bytes, a power of two.

    Raises:
        InvalidParameterError: `length` is negative, or `alignment` is not a power of two.
        IntegerOverflowError: the result does not fit 64 bits.
        TypeError: a bool, a float, or anything without `__index__`.

    Source: `WDF_ALIGN_SIZE_UP` with its documented preconditions checked.

    >>> align_up(4097, 4096), align_up(8192, 4096), align_up(0, 8)
    (8192, 8192, 0)
    >>> align_up(10, 3)
    Traceback (most recent call last):
    ...
    membuf.InvalidParameterError: alignment must be a power of two; got 3
    """
    size, unit = _checked(length, alignment)
    aligned = -(-size // unit) * unit
    if aligned >= SIZE_LIMIT:
        raise IntegerOverflowError(
            f"{size:#x} rounded up to a multiple of {unit:#x} does not fit 64 bits",
            operands={"length": size, "alignment": unit},
        )
    return aligned


def align_down(length: SupportsIndex, alignment: SupportsIndex) -> int:
    """The largest multiple of `alignment` that is not above `length`.

    Args:
        length: bytes, 0 to 2**64-1.
        alignment: bytes, a power of two.

    Raises:
        InvalidParameterError: `length` is negative, or `alignment` is not a power of two.
        IntegerOverflowError: `length` does not fit 64 bits.
        TypeError: a bool, a float, or anything without `__index__`.

    Source: `WDF_ALIGN_SIZE_DOWN` with its documented preconditions checked.

    >>> align_down(4097, 4096), align_down(4095, 4096)
    (4096, 0)
    """
    size, unit = _checked(length, alignment)
    return size - size % unit


def _checked(length: SupportsIndex, alignment: SupportsIndex) -> tuple[int, int]:
    size = exact_index(length, "length")
    unit = exact_index(alignment, "alignment")
    operands = {"length": size, "alignment": unit}
    if size < 0:
        raise InvalidParameterError(f"length must not be negative; got {size}", operands=operands)
    if unit <= 0 or unit & (unit - 1):
        raise InvalidParameterError(
            f"alignment must be a power of two; got {unit}", operands=operands
        )
    if max(size, unit) >= SIZE_LIMIT:
        raise IntegerOverflowError(
            f"length and alignment must fit 64 bits; got {size:#x} and {unit:#x}",
            operands=operands,
        )
    return size, unit

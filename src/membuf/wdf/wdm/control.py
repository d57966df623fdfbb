"""wdm.h: I/O control codes."""

from __future__ import annotations

from typing import SupportsIndex

from membuf.wdf._arguments import unsigned

__all__ = ["CTL_CODE", "DEVICE_TYPE_FROM_CTL_CODE", "METHOD_FROM_CTL_CODE"]

_METHOD_MASK = 3
_DEVICE_TYPE_MASK = 0xFFFF0000


def CTL_CODE(
    DeviceType: SupportsIndex, Function: SupportsIndex, Method: SupportsIndex, Access: SupportsIndex
) -> int:
    """An I/O control code.

    Raises:
        OverflowError: a part that does not fit its bits.

    >>> hex(CTL_CODE(0x22, 0x800, 0, 0))
    '0x222000'
    """
    return (
        unsigned(DeviceType, "DeviceType", 0xFFFF) << 16
        | unsigned(Access, "Access", 3) << 14
        | unsigned(Function, "Function", 0xFFF) << 2
        | unsigned(Method, "Method", 3)
    )


def METHOD_FROM_CTL_CODE(ctrlCode: SupportsIndex) -> int:
    """How a control code passes its buffers: one of the `METHOD_` constants.

    >>> METHOD_FROM_CTL_CODE(0x22E003)
    3
    """
    return unsigned(ctrlCode, "ctrlCode", 0xFFFFFFFF) & _METHOD_MASK


def DEVICE_TYPE_FROM_CTL_CODE(ctrlCode: SupportsIndex) -> int:
    """The device type of a control code.

    >>> hex(DEVICE_TYPE_FROM_CTL_CODE(0x22E003))
    '0x22'
    """
    return (unsigned(ctrlCode, "ctrlCode", 0xFFFFFFFF) & _DEVICE_TYPE_MASK) >> 16

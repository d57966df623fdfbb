"""wdfcommonbuffer.h: memory that device and driver share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, SupportsIndex

from membuf._native import Pointer
from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.wdf._arguments import handle, not_null, size_t, ulong
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._create import create
from membuf.wdf._driver import enter, need_driver
from membuf.wdf.wdftypes import WDFCOMMONBUFFER, WDFDMAENABLER
from membuf.wdf.wdm.dma import PHYSICAL_ADDRESS

if TYPE_CHECKING:
    from membuf.wdf._driver import Driver

__all__ = [
    "WDF_COMMON_BUFFER_CONFIG",
    "WDF_COMMON_BUFFER_CONFIG_INIT",
    "WdfCommonBufferCreate",
    "WdfCommonBufferCreateWithConfig",
    "WdfCommonBufferGetAlignedLogicalAddress",
    "WdfCommonBufferGetAlignedVirtualAddress",
    "WdfCommonBufferGetLength",
]


@dataclass(eq=False, slots=True)
class WDF_COMMON_BUFFER_CONFIG:
    """How a common buffer is made; zeroed until WDF_COMMON_BUFFER_CONFIG_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        AlignmentRequirement: the low bits of the device address that must be zero, a mask.

    >>> WDF_COMMON_BUFFER_CONFIG().AlignmentRequirement, WDF_COMMON_BUFFER_CONFIG.SIZEOF
    (0, 8)
    """

    SIZEOF: ClassVar[int] = 8

    Size: int = 0
    AlignmentRequirement: int = 0


def WDF_COMMON_BUFFER_CONFIG_INIT(
    Config: WDF_COMMON_BUFFER_CONFIG, AlignmentRequirement: int
) -> None:
    """Set the size and the alignment mask.

    >>> config = WDF_COMMON_BUFFER_CONFIG()
    >>> WDF_COMMON_BUFFER_CONFIG_INIT(config, 15)
    >>> config.Size, config.AlignmentRequirement
    (8, 15)
    """
    Config.Size = WDF_COMMON_BUFFER_CONFIG.SIZEOF
    Config.AlignmentRequirement = AlignmentRequirement


def WdfCommonBufferCreate(
    DmaEnabler: WDFDMAENABLER | None,
    Length: SupportsIndex,
    Attributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFCOMMONBUFFER | None]:
    """Create a common buffer with the enabler's alignment; zeroed.

    Returns:
        The status and the common buffer.

    Raises:
        BugCheck: no driver, or not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, common = WdfCommonBufferCreate(enabler, 5000, None)
    ...     WdfCommonBufferGetLength(common), WdfCommonBufferCreate(enabler, 0, None)[0]
    (5000, STATUS_INVALID_PARAMETER (0xC000000D))
    """
    driver = need_driver("WdfCommonBufferCreate")
    enabler = handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler")
    return _create(driver, enabler, size_t(Length, "Length"), None, Attributes)


def WdfCommonBufferCreateWithConfig(
    DmaEnabler: WDFDMAENABLER | None,
    Length: SupportsIndex,
    Config: WDF_COMMON_BUFFER_CONFIG | None,
    Attributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFCOMMONBUFFER | None]:
    """Create a common buffer with an alignment of its own; zeroed.

    Returns:
        The status and the common buffer.

    Raises:
        BugCheck: no driver, not a live enabler handle, or Config is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     config = WDF_COMMON_BUFFER_CONFIG()
    ...     WDF_COMMON_BUFFER_CONFIG_INIT(config, 0xFFFF)
    ...     status, common = WdfCommonBufferCreateWithConfig(enabler, 5000, config, None)
    ...     WdfCommonBufferGetAlignedLogicalAddress(common) % 65536
    0
    """
    driver = need_driver("WdfCommonBufferCreateWithConfig")
    enabler = handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler")
    config = not_null(Config, "Config")
    if config.Size != WDF_COMMON_BUFFER_CONFIG.SIZEOF:
        return STATUS_INFO_LENGTH_MISMATCH, None
    mask = ulong(config.AlignmentRequirement, "AlignmentRequirement")
    return _create(driver, enabler, size_t(Length, "Length"), mask, Attributes)


def WdfCommonBufferGetAlignedVirtualAddress(CommonBuffer: WDFCOMMONBUFFER | None) -> Pointer:
    r"""A pointer to the bytes; `.address` is the virtual address.

    Raises:
        BugCheck: not a live common buffer handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, common = WdfCommonBufferCreate(enabler, 5000, None)
    ...     bytes(WdfCommonBufferGetAlignedVirtualAddress(common)[:4])
    b'\x00\x00\x00\x00'
    """
    enter()
    return Pointer(handle(CommonBuffer, WDFCOMMONBUFFER, "CommonBuffer").buffer)


def WdfCommonBufferGetAlignedLogicalAddress(
    CommonBuffer: WDFCOMMONBUFFER | None,
) -> PHYSICAL_ADDRESS:
    """The device address of the first byte.

    Raises:
        BugCheck: not a live common buffer handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, common = WdfCommonBufferCreate(enabler, 5000, None)
    ...     WdfCommonBufferGetAlignedLogicalAddress(common).QuadPart % 4096
    0
    """
    enter()
    common = handle(CommonBuffer, WDFCOMMONBUFFER, "CommonBuffer")
    return PHYSICAL_ADDRESS(common.logical_address)


def WdfCommonBufferGetLength(CommonBuffer: WDFCOMMONBUFFER | None) -> int:
    """The bytes asked for.

    Raises:
        BugCheck: not a live common buffer handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, common = WdfCommonBufferCreate(enabler, 5000, None)
    ...     WdfCommonBufferGetLength(common)
    5000
    """
    enter()
    return handle(CommonBuffer, WDFCOMMONBUFFER, "CommonBuffer").length


def _create(
    driver: Driver,
    enabler: WDFDMAENABLER,
    length: int,
    mask: int | None,
    attributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFCOMMONBUFFER | None]:
    check_parent_handle(attributes)
    status = STATUS_INVALID_PARAMETER if length == 0 else validate(attributes, parent_allowed=False)
    if status != STATUS_SUCCESS:
        return status, None
    return create(driver, attributes, partial(WDFCOMMONBUFFER, enabler, length, mask))

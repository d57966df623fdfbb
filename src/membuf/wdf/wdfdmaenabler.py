"""wdfdmaenabler.h: what a device can do by DMA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, SupportsIndex

from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_DEVICE_REQUEST,
    STATUS_SUCCESS,
    Status,
)
from membuf.dma import UNLIMITED, PowerCallbacks
from membuf.dma.enabler import check_parent
from membuf.wdf._arguments import handle, not_null, size_t, ulong
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import debug_break, perform
from membuf.wdf._create import create
from membuf.wdf._dma import power
from membuf.wdf._driver import enter, need_driver
from membuf.wdf.wdftypes import WDFDEVICE, WDFDMAENABLER

if TYPE_CHECKING:
    from membuf.dma.registers import MapRegisters
    from membuf.request.device import Device

__all__ = [
    "WDF_DMA_DIRECTION",
    "WDF_DMA_ENABLER_CONFIG",
    "WDF_DMA_ENABLER_CONFIG_INIT",
    "WDF_DMA_ENABLER_CONFIG_NO_SGLIST_PREALLOCATION",
    "WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER",
    "WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS",
    "WDF_DMA_PROFILE",
    "WDF_DMA_SYSTEM_PROFILE_CONFIG",
    "WDF_DMA_SYSTEM_PROFILE_CONFIG_INIT",
    "WdfDmaDirectionReadFromDevice",
    "WdfDmaDirectionWriteToDevice",
    "WdfDmaEnablerConfigureSystemProfile",
    "WdfDmaEnablerCreate",
    "WdfDmaEnablerGetFragmentLength",
    "WdfDmaEnablerGetMaximumLength",
    "WdfDmaEnablerGetMaximumScatterGatherElements",
    "WdfDmaEnablerSetMaximumScatterGatherElements",
    "WdfDmaEnablerWdmGetDmaAdapter",
    "WdfDmaProfileInvalid",
    "WdfDmaProfilePacket",
    "WdfDmaProfilePacket64",
    "WdfDmaProfileScatterGather",
    "WdfDmaProfileScatterGather64",
    "WdfDmaProfileScatterGather64Duplex",
    "WdfDmaProfileScatterGatherDuplex",
    "WdfDmaProfileSystem",
    "WdfDmaProfileSystemDuplex",
]


class WDF_DMA_PROFILE(IntEnum):
    """What a DMA device can do.

    >>> WDF_DMA_PROFILE.WdfDmaProfileSystemDuplex.value
    8
    """

    WdfDmaProfileInvalid = 0
    WdfDmaProfilePacket = 1
    WdfDmaProfileScatterGather = 2
    WdfDmaProfilePacket64 = 3
    WdfDmaProfileScatterGather64 = 4
    WdfDmaProfileScatterGatherDuplex = 5
    WdfDmaProfileScatterGather64Duplex = 6
    WdfDmaProfileSystem = 7
    WdfDmaProfileSystemDuplex = 8


class WDF_DMA_DIRECTION(IntEnum):
    """Which way the data goes.

    >>> WDF_DMA_DIRECTION.WdfDmaDirectionWriteToDevice.value
    1
    """

    WdfDmaDirectionReadFromDevice = 0
    WdfDmaDirectionWriteToDevice = 1


WdfDmaProfileInvalid = WDF_DMA_PROFILE.WdfDmaProfileInvalid
WdfDmaProfilePacket = WDF_DMA_PROFILE.WdfDmaProfilePacket
WdfDmaProfileScatterGather = WDF_DMA_PROFILE.WdfDmaProfileScatterGather
WdfDmaProfilePacket64 = WDF_DMA_PROFILE.WdfDmaProfilePacket64
WdfDmaProfileScatterGather64 = WDF_DMA_PROFILE.WdfDmaProfileScatterGather64
WdfDmaProfileScatterGatherDuplex = WDF_DMA_PROFILE.WdfDmaProfileScatterGatherDuplex
WdfDmaProfileScatterGather64Duplex = WDF_DMA_PROFILE.WdfDmaProfileScatterGather64Duplex
WdfDmaProfileSystem = WDF_DMA_PROFILE.WdfDmaProfileSystem
WdfDmaProfileSystemDuplex = WDF_DMA_PROFILE.WdfDmaProfileSystemDuplex

WdfDmaDirectionReadFromDevice = WDF_DMA_DIRECTION.WdfDmaDirectionReadFromDevice
WdfDmaDirectionWriteToDevice = WDF_DMA_DIRECTION.WdfDmaDirectionWriteToDevice

WDF_DMA_ENABLER_CONFIG_NO_SGLIST_PREALLOCATION: Final = 0x1
WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER: Final = 0x2
WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS: Final = UNLIMITED

PowerEvent = Callable[[Any], int] | None


@dataclass(eq=False, slots=True)
class WDF_DMA_ENABLER_CONFIG:
    """What a device can do by DMA; zeroed until WDF_DMA_ENABLER_CONFIG_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        Profile: a WDF_DMA_PROFILE.
        MaximumLength: the most bytes of a transfer.
        EvtDmaEnablerFill: called first as the device gains power.
        EvtDmaEnablerFlush: called last as it loses power.
        EvtDmaEnablerDisable: called before that.
        EvtDmaEnablerEnable: called second as the device gains power.
        EvtDmaEnablerSelfManagedIoStart: called last as the device gains power.
        EvtDmaEnablerSelfManagedIoStop: called first as it loses power.
        AddressWidthOverride: the bits of an address, 0 for the profile's.
        WdmDmaVersionOverride: 2 or 3, 0 for 3.
        Flags: WDF_DMA_ENABLER_CONFIG_NO_SGLIST_PREALLOCATION and its like.

    >>> WDF_DMA_ENABLER_CONFIG().Profile, WDF_DMA_ENABLER_CONFIG.SIZEOF
    (0, 80)
    """

    SIZEOF: ClassVar[int] = 80

    Size: int = 0
    Profile: int = 0
    MaximumLength: int = 0
    EvtDmaEnablerFill: PowerEvent = None
    EvtDmaEnablerFlush: PowerEvent = None
    EvtDmaEnablerDisable: PowerEvent = None
    EvtDmaEnablerEnable: PowerEvent = None
    EvtDmaEnablerSelfManagedIoStart: PowerEvent = None
    EvtDmaEnablerSelfManagedIoStop: PowerEvent = None
    AddressWidthOverride: int = 0
    WdmDmaVersionOverride: int = 0
    Flags: int = 0


def WDF_DMA_ENABLER_CONFIG_INIT(
    Config: WDF_DMA_ENABLER_CONFIG, Profile: int, MaximumLength: int
) -> None:
    """Zero the structure, set its size, the profile and the length.

    >>> config = WDF_DMA_ENABLER_CONFIG()
    >>> WDF_DMA_ENABLER_CONFIG_INIT(config, WdfDmaProfileScatterGather64, 65536)
    >>> config.Size, config.MaximumLength
    (80, 65536)
    """
    for member in fields(Config):
        setattr(Config, member.name, member.default)
    Config.Size = WDF_DMA_ENABLER_CONFIG.SIZEOF
    Config.Profile, Config.MaximumLength = Profile, MaximumLength


@dataclass(eq=False, slots=True)
class WDF_DMA_SYSTEM_PROFILE_CONFIG:
    """How a device uses the system's DMA controller, which there is none of here.

    Attributes:
        Size: of this structure, `SIZEOF`.
        DemandMode: of the controller.
        LoopedTransfer: of the controller.
        DmaWidth: of the controller.
        DeviceAddress: of the device's data register.
        DmaDescriptor: the resource.

    >>> WDF_DMA_SYSTEM_PROFILE_CONFIG.SIZEOF
    32
    """

    SIZEOF: ClassVar[int] = 32

    Size: int = 0
    DemandMode: bool = False
    LoopedTransfer: bool = False
    DmaWidth: int = 0
    DeviceAddress: int = 0
    DmaDescriptor: Any = None


def WDF_DMA_SYSTEM_PROFILE_CONFIG_INIT(
    DmaConfig: WDF_DMA_SYSTEM_PROFILE_CONFIG, Address: int, DmaWidth: int, DmaDescriptor: Any
) -> None:
    """Zero the structure, set its size and what is given.

    >>> config = WDF_DMA_SYSTEM_PROFILE_CONFIG()
    >>> WDF_DMA_SYSTEM_PROFILE_CONFIG_INIT(config, 0x60, 1, None)
    >>> config.Size, config.DeviceAddress
    (32, 96)
    """
    for member in fields(DmaConfig):
        setattr(DmaConfig, member.name, member.default)
    DmaConfig.Size = WDF_DMA_SYSTEM_PROFILE_CONFIG.SIZEOF
    DmaConfig.DeviceAddress, DmaConfig.DmaWidth = Address, DmaWidth
    DmaConfig.DmaDescriptor = DmaDescriptor


def WdfDmaEnablerCreate(
    Device: Device | None,
    Config: WDF_DMA_ENABLER_CONFIG | None,
    Attributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFDMAENABLER | None]:
    """Create an enabler: what a device can do by DMA.

    The parent is the device, unless attributes name one of its descendants.

    Returns:
        The status and the enabler.

    Raises:
        BugCheck: no driver, not a device handle, or Config is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     config = WDF_DMA_ENABLER_CONFIG()
    ...     WDF_DMA_ENABLER_CONFIG_INIT(config, WdfDmaProfileScatterGather64, 65536)
    ...     status, enabler = WdfDmaEnablerCreate(membuf.request.Device("nic"), config, None)
    ...     WdfDmaEnablerGetMaximumLength(enabler)
    65536
    """
    driver = need_driver("WdfDmaEnablerCreate")
    device = handle(Device, WDFDEVICE, "Device")
    config = not_null(Config, "Config")
    check_parent_handle(Attributes)
    status = validate(Attributes)
    parent = None if Attributes is None else Attributes.ParentObject
    if status == STATUS_SUCCESS:
        status = perform(check_parent, device, parent)
    if status == STATUS_SUCCESS and config.Size != WDF_DMA_ENABLER_CONFIG.SIZEOF:
        status = STATUS_INFO_LENGTH_MISMATCH
    if status != STATUS_SUCCESS:
        return status, None
    make = partial(
        WDFDMAENABLER,
        device,
        ulong(config.Profile, "Profile"),
        size_t(config.MaximumLength, "MaximumLength"),
        address_width=ulong(config.AddressWidthOverride, "AddressWidthOverride"),
        dma_version=ulong(config.WdmDmaVersionOverride, "WdmDmaVersionOverride") or 3,
        single_transfer=bool(config.Flags & WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER),
        preallocate=not config.Flags & WDF_DMA_ENABLER_CONFIG_NO_SGLIST_PREALLOCATION,
        power=_power(config),
        verifier=driver.verifier,
        strict=driver.strict,
        parent=parent,
    )
    return create(driver, Attributes, make)


def WdfDmaEnablerConfigureSystemProfile(
    DmaEnabler: WDFDMAENABLER | None,
    ProfileConfig: WDF_DMA_SYSTEM_PROFILE_CONFIG | None,
    ConfigDirection: int,
) -> Status:
    """Configure system DMA: no enabler here has a system profile.

    Returns:
        INVALID_DEVICE_REQUEST.

    Raises:
        BugCheck: not a live enabler handle, or ProfileConfig is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     config = WDF_DMA_SYSTEM_PROFILE_CONFIG()
    ...     WdfDmaEnablerConfigureSystemProfile(enabler, config, WdfDmaDirectionReadFromDevice)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    """
    enter()
    enabler = handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler")
    not_null(ProfileConfig, "ProfileConfig")
    debug_break("%r has no system profile", enabler)
    return STATUS_INVALID_DEVICE_REQUEST


def WdfDmaEnablerGetMaximumLength(DmaEnabler: WDFDMAENABLER | None) -> int:
    """The most bytes of a transfer, as configured.

    Raises:
        BugCheck: not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfDmaEnablerGetMaximumLength(WDFDMAENABLER(membuf.request.Device("nic")))
    65536
    """
    enter()
    return handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler").maximum_length


def WdfDmaEnablerGetMaximumScatterGatherElements(DmaEnabler: WDFDMAENABLER | None) -> int:
    """The most elements of a transfer.

    Raises:
        BugCheck: not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     limit = WdfDmaEnablerGetMaximumScatterGatherElements(enabler)
    ...     limit == WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS
    True
    """
    enter()
    return handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler").maximum_elements


def WdfDmaEnablerSetMaximumScatterGatherElements(
    DmaEnabler: WDFDMAENABLER | None, MaximumFragments: SupportsIndex
) -> None:
    """Set the most elements of a transfer; 0 is ignored.

    Raises:
        BugCheck: not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     WdfDmaEnablerSetMaximumScatterGatherElements(enabler, 16)
    ...     WdfDmaEnablerGetMaximumScatterGatherElements(enabler)
    16
    """
    enter()
    enabler = handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler")
    enabler.set_maximum_elements(size_t(MaximumFragments, "MaximumFragments"))


def WdfDmaEnablerGetFragmentLength(DmaEnabler: WDFDMAENABLER | None, DmaDirection: int) -> int:
    """The most bytes of a transfer that the map registers allow; 0 for another direction.

    Raises:
        BugCheck: not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"), map_registers=16)
    ...     WdfDmaEnablerGetFragmentLength(enabler, WdfDmaDirectionWriteToDevice)
    61440
    """
    enter()
    return handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler").fragment_length(DmaDirection)


def WdfDmaEnablerWdmGetDmaAdapter(
    DmaEnabler: WDFDMAENABLER | None, DmaDirection: int
) -> MapRegisters:
    """The adapter of a direction: here, its map registers.

    Raises:
        BugCheck: not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     WdfDmaEnablerWdmGetDmaAdapter(enabler, WdfDmaDirectionReadFromDevice).total
    17
    """
    enter()
    return handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler").adapter(DmaDirection)


def _power(config: WDF_DMA_ENABLER_CONFIG) -> PowerCallbacks:
    names = {
        "fill": "EvtDmaEnablerFill",
        "enable": "EvtDmaEnablerEnable",
        "self_managed_io_start": "EvtDmaEnablerSelfManagedIoStart",
        "self_managed_io_stop": "EvtDmaEnablerSelfManagedIoStop",
        "disable": "EvtDmaEnablerDisable",
        "flush": "EvtDmaEnablerFlush",
    }
    given = {name: power(field, getattr(config, field)) for name, field in names.items()}
    return PowerCallbacks(**given)

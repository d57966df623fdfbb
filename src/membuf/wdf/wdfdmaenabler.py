"""wdfdmaenabler.h: so far its enumerations."""

from enum import IntEnum

__all__ = [
    "WDF_DMA_DIRECTION",
    "WDF_DMA_PROFILE",
    "WdfDmaDirectionReadFromDevice",
    "WdfDmaDirectionWriteToDevice",
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

"""wdfdevice.h: so far its enumerations."""

from enum import IntEnum

__all__ = [
    "WDF_DEVICE_IO_TYPE",
    "WdfDeviceIoBuffered",
    "WdfDeviceIoDirect",
    "WdfDeviceIoNeither",
    "WdfDeviceIoUndefined",
]


class WDF_DEVICE_IO_TYPE(IntEnum):
    """How a device's requests carry their buffers.

    >>> WDF_DEVICE_IO_TYPE.WdfDeviceIoDirect.value
    3
    """

    WdfDeviceIoUndefined = 0
    WdfDeviceIoNeither = 1
    WdfDeviceIoBuffered = 2
    WdfDeviceIoDirect = 3


WdfDeviceIoUndefined = WDF_DEVICE_IO_TYPE.WdfDeviceIoUndefined
WdfDeviceIoNeither = WDF_DEVICE_IO_TYPE.WdfDeviceIoNeither
WdfDeviceIoBuffered = WDF_DEVICE_IO_TYPE.WdfDeviceIoBuffered
WdfDeviceIoDirect = WDF_DEVICE_IO_TYPE.WdfDeviceIoDirect

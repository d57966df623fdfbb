"""wdfcontrol.h: devices that no hardware stands behind."""

from __future__ import annotations

from membuf.wdf._arguments import handle
from membuf.wdf._device_init import WDFDEVICE_INIT
from membuf.wdf._driver import enter
from membuf.wdf.wdftypes import WDFDEVICE, WDFDRIVER

__all__ = ["WdfControlDeviceInitAllocate", "WdfControlFinishInitializing"]


def WdfControlDeviceInitAllocate(
    Driver: WDFDRIVER | None, SDDLString: str | None
) -> WDFDEVICE_INIT:
    """What WdfDeviceCreate makes a control device of; who may open it is not looked at.

    Raises:
        BugCheck: not a driver handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = WdfControlDeviceInitAllocate(d, "D:P(A;;GA;;;SY)")
    ...     membuf.wdf.WdfDeviceInitFree(init)
    """
    enter()
    return WDFDEVICE_INIT(handle(Driver, WDFDRIVER, "Driver"), control=True)


def WdfControlFinishInitializing(Device: WDFDEVICE | None) -> None:
    """Say that a control device is complete: it takes requests from now on.

    Raises:
        BugCheck: not a live device handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = WdfControlDeviceInitAllocate(d, None)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     WdfControlFinishInitializing(device)
    """
    enter()
    handle(Device, WDFDEVICE, "Device").start()

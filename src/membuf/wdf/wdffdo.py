"""wdffdo.h: functional and filter device objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf.wdf._device_init import usable
from membuf.wdf._driver import enter

if TYPE_CHECKING:
    from membuf.wdf._device_init import WDFDEVICE_INIT

__all__ = ["WdfFdoInitSetFilter"]


def WdfFdoInitSetFilter(DeviceInit: WDFDEVICE_INIT | None) -> None:
    """Make the device a filter: it passes down what it has no callback for.

    Raises:
        BugCheck: DeviceInit is NULL, or was used.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     WdfFdoInitSetFilter(init)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     device.filter
    True
    """
    enter()
    usable(DeviceInit).filter = True

"""WDFDEVICE_INIT: what a driver decides about a device before there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from membuf.wdf._arguments import not_null
from membuf.wdf._bugcheck import violation
from membuf.wdf.wdfbugcodes import WDF_REQUIRED_PARAMETER_IS_NULL

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.request import Device
    from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES
    from membuf.wdf._driver import Driver

BUFFERED = 2


@dataclass(eq=False, slots=True)
class WDFDEVICE_INIT:
    """What is decided about a device before WdfDeviceCreate; its members are nobody's business.

    WdfControlDeviceInitAllocate makes one, and EvtDriverDeviceAdd is given one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    >>> status
    STATUS_SUCCESS (0x00000000)
    """

    driver: Driver
    control: bool = False
    name: str | None = None
    lower: Any = None
    io_type: int = BUFFERED
    filter: bool = False
    in_caller_context: Callable[..., object] | None = None
    request_attributes: WDF_OBJECT_ATTRIBUTES | None = None
    file_config: Any = None
    file_attributes: WDF_OBJECT_ATTRIBUTES | None = None
    used: bool = False
    device: Device | None = None


def usable(init: WDFDEVICE_INIT | None) -> WDFDEVICE_INIT:
    """An init that a device can still be made of.

    Raises:
        BugCheck: WDF_REQUIRED_PARAMETER_IS_NULL, for one that was used or freed too: the framework
            sets the driver's pointer to NULL then.
    """
    found = not_null(init, "DeviceInit")
    if found.used:
        violation(WDF_REQUIRED_PARAMETER_IS_NULL, reason="DeviceInit was used or freed: it is NULL")
    return found

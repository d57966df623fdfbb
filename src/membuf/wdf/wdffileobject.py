"""wdffileobject.h: openings of a device."""

from __future__ import annotations

from membuf.wdf._arguments import handle
from membuf.wdf._driver import enter
from membuf.wdf.wdftypes import WDFDEVICE, WDFFILEOBJECT

__all__ = ["WdfFileObjectGetDevice"]


def WdfFileObjectGetDevice(FileObject: WDFFILEOBJECT | None) -> WDFDEVICE:
    """The device that was opened.

    Raises:
        BugCheck: not a live file object handle.

    >>> import membuf
    >>> device = membuf.Device("wdffileobject-doc")
    >>> with device.open() as handle:
    ...     WdfFileObjectGetDevice(handle.file) is device
    True
    """
    enter()
    return handle(FileObject, WDFFILEOBJECT, "FileObject").device

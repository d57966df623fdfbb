"""The structures and enumerations of wdfiotarget.h; `wdfiotarget` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from membuf.wdf._queue_config import zero

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.request import Device

FILE_OPEN = 1
FILE_NON_DIRECTORY_FILE = 0x40


class WDF_IO_TARGET_STATE(IntEnum):
    """What a target does at the moment.

    >>> WDF_IO_TARGET_STATE.WdfIoTargetPurged.value
    6
    """

    WdfIoTargetStateUndefined = 0
    WdfIoTargetStarted = 1
    WdfIoTargetStopped = 2
    WdfIoTargetClosedForQueryRemove = 3
    WdfIoTargetClosed = 4
    WdfIoTargetDeleted = 5
    WdfIoTargetPurged = 6


class WDF_IO_TARGET_OPEN_TYPE(IntEnum):
    """What a target is opened by.

    >>> WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen.value
    3
    """

    WdfIoTargetOpenUndefined = 0
    WdfIoTargetOpenUseExistingDevice = 1
    WdfIoTargetOpenByName = 2
    WdfIoTargetOpenReopen = 3


class WDF_IO_TARGET_SENT_IO_ACTION(IntEnum):
    """What a stop does with requests that were sent.

    >>> WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetLeaveSentIoPending.value
    3
    """

    WdfIoTargetSentIoUndefined = 0
    WdfIoTargetCancelSentIo = 1
    WdfIoTargetWaitForSentIoToComplete = 2
    WdfIoTargetLeaveSentIoPending = 3


class WDF_IO_TARGET_PURGE_IO_ACTION(IntEnum):
    """What a purge waits for.

    >>> WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIo.value
    2
    """

    WdfIoTargetPurgeIoUndefined = 0
    WdfIoTargetPurgeIoAndWait = 1
    WdfIoTargetPurgeIo = 2


@dataclass(eq=False, slots=True)
class WDF_IO_TARGET_OPEN_PARAMS:
    """How a remote target is opened.

    Attributes:
        Size: of this structure, `SIZEOF`.
        Type: a WDF_IO_TARGET_OPEN_TYPE.
        TargetDeviceObject: the device, where Type says that there is one.
        TargetFileObject: the file object that its requests get, or None.
        TargetDeviceName: a target's name as `membuf.open_target` takes it, where Type says so.

    >>> WDF_IO_TARGET_OPEN_PARAMS().Type, WDF_IO_TARGET_OPEN_PARAMS.SIZEOF
    (0, 136)
    """

    SIZEOF: ClassVar[int] = 136

    Size: int = 0
    Type: int = 0
    EvtIoTargetQueryRemove: Callable[[Any], int] | None = None
    EvtIoTargetRemoveCanceled: Callable[[Any], object] | None = None
    EvtIoTargetRemoveComplete: Callable[[Any], object] | None = None
    TargetDeviceObject: Device | None = None
    TargetFileObject: Any = None
    TargetDeviceName: str | None = None
    DesiredAccess: int = 0
    ShareAccess: int = 0
    FileAttributes: int = 0
    CreateDisposition: int = 0
    CreateOptions: int = 0
    EaBuffer: Any = None
    EaBufferLength: int = 0
    AllocationSize: int | None = None
    FileInformation: int = 0
    FileName: str | None = None


def WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(
    Params: WDF_IO_TARGET_OPEN_PARAMS, DeviceObject: Device | None
) -> None:
    """Have the target opened to a device at hand.

    >>> params = WDF_IO_TARGET_OPEN_PARAMS()
    >>> WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, None)
    >>> params.Type
    1
    """
    _init(Params, WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenUseExistingDevice)
    Params.TargetDeviceObject = DeviceObject


def WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(
    Params: WDF_IO_TARGET_OPEN_PARAMS, TargetDeviceName: str | None, DesiredAccess: int
) -> None:
    """Have the target opened by name, and made where it is a file that there is not.

    >>> params = WDF_IO_TARGET_OPEN_PARAMS()
    >>> WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(params, "file:disk.img", 3)
    >>> params.TargetDeviceName, params.CreateDisposition
    ('file:disk.img', 0)
    """
    _init(Params, WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenByName)
    Params.TargetDeviceName, Params.DesiredAccess = TargetDeviceName, DesiredAccess
    Params.CreateOptions = FILE_NON_DIRECTORY_FILE


def WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(
    Params: WDF_IO_TARGET_OPEN_PARAMS, TargetDeviceName: str | None, DesiredAccess: int
) -> None:
    """Have the target opened by the name of what there is.

    >>> params = WDF_IO_TARGET_OPEN_PARAMS()
    >>> WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(params, "device:ram0", 3)
    >>> params.Type, params.CreateDisposition
    (2, 1)
    """
    WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(Params, TargetDeviceName, DesiredAccess)
    Params.CreateDisposition = FILE_OPEN


def WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(Params: WDF_IO_TARGET_OPEN_PARAMS) -> None:
    """Have the target opened as it was opened before, by name.

    >>> params = WDF_IO_TARGET_OPEN_PARAMS()
    >>> WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(params)
    >>> params.Type
    3
    """
    _init(Params, WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen)


def _init(params: WDF_IO_TARGET_OPEN_PARAMS, type: WDF_IO_TARGET_OPEN_TYPE) -> None:
    zero(params)
    params.Size = WDF_IO_TARGET_OPEN_PARAMS.SIZEOF
    params.Type = type.value

"""wdfdevice.h: devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from membuf.base.status import STATUS_INVALID_PARAMETER, STATUS_SUCCESS, Status
from membuf.request import IoType
from membuf.wdf._arguments import handle, not_null
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import debug_break, perform
from membuf.wdf._callback_locks import set_scope
from membuf.wdf._create import create_then_dress
from membuf.wdf._device_init import usable
from membuf.wdf._driver import driver_of, enter
from membuf.wdf._events import check_callable, install_device
from membuf.wdf._queue_config import zero
from membuf.wdf.wdftypes import (
    WDFDEVICE,
    WDFDRIVER,
    WDFIOTARGET,
    WDFQUEUE,
    WDFREQUEST,
    WdfUseDefault,
)

if TYPE_CHECKING:
    from membuf.wdf._device_init import WDFDEVICE_INIT

__all__ = [
    "WDF_DEVICE_IO_TYPE",
    "WDF_FILEOBJECT_CLASS",
    "WDF_FILEOBJECT_CONFIG",
    "WDF_FILEOBJECT_CONFIG_INIT",
    "WDF_IO_TYPE_CONFIG",
    "WDF_IO_TYPE_CONFIG_INIT",
    "WdfDeviceConfigureRequestDispatching",
    "WdfDeviceCreate",
    "WdfDeviceEnqueueRequest",
    "WdfDeviceGetDefaultQueue",
    "WdfDeviceGetDriver",
    "WdfDeviceGetIoTarget",
    "WdfDeviceInitAssignName",
    "WdfDeviceInitFree",
    "WdfDeviceInitSetFileObjectConfig",
    "WdfDeviceInitSetIoInCallerContextCallback",
    "WdfDeviceInitSetIoType",
    "WdfDeviceInitSetIoTypeEx",
    "WdfDeviceInitSetRequestAttributes",
    "WdfDeviceIoBuffered",
    "WdfDeviceIoDirect",
    "WdfDeviceIoNeither",
    "WdfDeviceIoUndefined",
    "WdfFileObjectCanBeOptional",
    "WdfFileObjectInvalid",
    "WdfFileObjectNotRequired",
    "WdfFileObjectWdfCanUseFsContext",
    "WdfFileObjectWdfCanUseFsContext2",
    "WdfFileObjectWdfCannotUseFsContexts",
]

Event = Callable[..., object] | None


class WDF_DEVICE_IO_TYPE(IntEnum):
    """How a device's requests carry their buffers.

    >>> WDF_DEVICE_IO_TYPE.WdfDeviceIoDirect.value
    3
    """

    WdfDeviceIoUndefined = 0
    WdfDeviceIoNeither = 1
    WdfDeviceIoBuffered = 2
    WdfDeviceIoDirect = 3


class WDF_FILEOBJECT_CLASS(IntEnum):
    """Whether the driver wants file objects, and where their handle is kept: of no matter here.

    >>> WDF_FILEOBJECT_CLASS.WdfFileObjectCanBeOptional.value
    2147483648
    """

    WdfFileObjectInvalid = 0
    WdfFileObjectNotRequired = 1
    WdfFileObjectWdfCanUseFsContext = 2
    WdfFileObjectWdfCanUseFsContext2 = 3
    WdfFileObjectWdfCannotUseFsContexts = 4
    WdfFileObjectCanBeOptional = 0x80000000


WdfDeviceIoUndefined = WDF_DEVICE_IO_TYPE.WdfDeviceIoUndefined
WdfDeviceIoNeither = WDF_DEVICE_IO_TYPE.WdfDeviceIoNeither
WdfDeviceIoBuffered = WDF_DEVICE_IO_TYPE.WdfDeviceIoBuffered
WdfDeviceIoDirect = WDF_DEVICE_IO_TYPE.WdfDeviceIoDirect

WdfFileObjectInvalid = WDF_FILEOBJECT_CLASS.WdfFileObjectInvalid
WdfFileObjectNotRequired = WDF_FILEOBJECT_CLASS.WdfFileObjectNotRequired
WdfFileObjectWdfCanUseFsContext = WDF_FILEOBJECT_CLASS.WdfFileObjectWdfCanUseFsContext
WdfFileObjectWdfCanUseFsContext2 = WDF_FILEOBJECT_CLASS.WdfFileObjectWdfCanUseFsContext2
WdfFileObjectWdfCannotUseFsContexts = WDF_FILEOBJECT_CLASS.WdfFileObjectWdfCannotUseFsContexts
WdfFileObjectCanBeOptional = WDF_FILEOBJECT_CLASS.WdfFileObjectCanBeOptional


@dataclass(eq=False, slots=True)
class WDF_IO_TYPE_CONFIG:
    """How requests carry their buffers.

    Attributes:
        Size: of this structure, `SIZEOF`.
        ReadWriteIoType: a WDF_DEVICE_IO_TYPE, for reads and writes.
        DeviceControlIoType: control requests go by the method in their code, whatever this says.
        DirectTransferThreshold: nothing here reads it.

    >>> WDF_IO_TYPE_CONFIG().Size, WDF_IO_TYPE_CONFIG.SIZEOF
    (0, 16)
    """

    SIZEOF: ClassVar[int] = 16

    Size: int = 0
    ReadWriteIoType: int = 0
    DeviceControlIoType: int = 0
    DirectTransferThreshold: int = 0


def WDF_IO_TYPE_CONFIG_INIT(IoTypeConfig: WDF_IO_TYPE_CONFIG) -> None:
    """Zero the structure, set its size, and buffered I/O.

    >>> config = WDF_IO_TYPE_CONFIG()
    >>> WDF_IO_TYPE_CONFIG_INIT(config)
    >>> config.Size, config.ReadWriteIoType.name
    (16, 'WdfDeviceIoBuffered')
    """
    zero(IoTypeConfig)
    IoTypeConfig.Size = WDF_IO_TYPE_CONFIG.SIZEOF
    IoTypeConfig.ReadWriteIoType = IoTypeConfig.DeviceControlIoType = WdfDeviceIoBuffered


@dataclass(eq=False, slots=True)
class WDF_FILEOBJECT_CONFIG:
    """What a driver wants to hear of openings of its device.

    Attributes:
        Size: of this structure, `SIZEOF`.
        EvtDeviceFileCreate: (device, request, file object), when it is opened; it completes the
            request.
        EvtFileClose: (file object), when all of its requests are complete.
        EvtFileCleanup: (file object), when it is closed.
        AutoForwardCleanupClose: a WDF_TRI_STATE; nothing here reads it.
        FileObjectClass: a WDF_FILEOBJECT_CLASS; nothing here reads it.

    >>> WDF_FILEOBJECT_CONFIG().Size, WDF_FILEOBJECT_CONFIG.SIZEOF
    (0, 40)
    """

    SIZEOF: ClassVar[int] = 40

    Size: int = 0
    EvtDeviceFileCreate: Event = None
    EvtFileClose: Event = None
    EvtFileCleanup: Event = None
    AutoForwardCleanupClose: int = 0
    FileObjectClass: int = 0


def WDF_FILEOBJECT_CONFIG_INIT(
    FileEventCallbacks: WDF_FILEOBJECT_CONFIG,
    EvtDeviceFileCreate: Event,
    EvtFileClose: Event,
    EvtFileCleanup: Event,
) -> None:
    """Zero the structure, set its size, the callbacks and the defaults.

    >>> config = WDF_FILEOBJECT_CONFIG()
    >>> WDF_FILEOBJECT_CONFIG_INIT(config, None, print, None)
    >>> config.Size, config.EvtFileClose is print
    (40, True)
    """
    zero(FileEventCallbacks)
    FileEventCallbacks.Size = WDF_FILEOBJECT_CONFIG.SIZEOF
    FileEventCallbacks.EvtDeviceFileCreate = EvtDeviceFileCreate
    FileEventCallbacks.EvtFileClose = EvtFileClose
    FileEventCallbacks.EvtFileCleanup = EvtFileCleanup
    FileEventCallbacks.AutoForwardCleanupClose = WdfUseDefault
    FileEventCallbacks.FileObjectClass = WdfFileObjectWdfCanUseFsContext


# ---- before there is a device --------------------------------------------------------------------


def WdfDeviceInitFree(DeviceInit: WDFDEVICE_INIT | None) -> None:
    """Give up an init that no device is made of.

    Raises:
        BugCheck: DeviceInit is NULL, or was used.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     WdfDeviceInitFree(init)
    """
    enter()
    usable(DeviceInit).used = True


def WdfDeviceInitAssignName(DeviceInit: WDFDEVICE_INIT | None, DeviceName: str | None) -> Status:
    r"""Name the device; the last part of the name is what `device:` targets call it.

    Raises:
        BugCheck: DeviceInit is NULL, or was used.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     status = WdfDeviceInitAssignName(init, "\\Device\\Ram0")
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     device.name
    'Ram0'
    """
    enter()
    name = None if DeviceName is None else DeviceName.rsplit("\\", 1)[-1]
    usable(DeviceInit).name = name
    return STATUS_SUCCESS


def WdfDeviceInitSetIoType(DeviceInit: WDFDEVICE_INIT | None, IoType: int) -> None:
    """Set how reads and writes carry their buffers; buffered where nothing is set.

    Raises:
        BugCheck: DeviceInit is NULL, or was used.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     WdfDeviceInitSetIoType(init, WdfDeviceIoDirect)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     device.io_type
    <IoType.DIRECT: 3>
    """
    enter()
    usable(DeviceInit).io_type = IoType


def WdfDeviceInitSetIoTypeEx(
    DeviceInit: WDFDEVICE_INIT | None, IoTypeConfig: WDF_IO_TYPE_CONFIG | None
) -> None:
    """Set how requests carry their buffers; a structure of another Size is ignored.

    Raises:
        BugCheck: DeviceInit is NULL, or was used; IoTypeConfig is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     config = WDF_IO_TYPE_CONFIG()
    ...     WDF_IO_TYPE_CONFIG_INIT(config)
    ...     config.ReadWriteIoType = WdfDeviceIoNeither
    ...     WdfDeviceInitSetIoTypeEx(init, config)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     device.io_type
    <IoType.NEITHER: 1>
    """
    enter()
    init, config = usable(DeviceInit), not_null(IoTypeConfig, "IoTypeConfig")
    if config.Size != WDF_IO_TYPE_CONFIG.SIZEOF:
        debug_break("WdfDeviceInitSetIoTypeEx ignored: Size is %s", config.Size)
    else:
        init.io_type = config.ReadWriteIoType


def WdfDeviceInitSetIoInCallerContextCallback(
    DeviceInit: WDFDEVICE_INIT | None, EvtIoInCallerContext: Event
) -> None:
    """Have every request shown on its originator's thread before it is queued.

    Raises:
        BugCheck: DeviceInit is NULL, or was used; EvtIoInCallerContext is NULL.

    >>> import membuf.wdf
    >>> def show(device, request):
    ...     membuf.wdf.WdfRequestComplete(request, 0)
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     WdfDeviceInitSetIoInCallerContextCallback(init, show)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     with device.open() as handle:
    ...         handle.write(b"")
    0
    """
    enter()
    init = usable(DeviceInit)
    check_callable("EvtIoInCallerContext", EvtIoInCallerContext)
    init.in_caller_context = not_null(EvtIoInCallerContext, "EvtIoInCallerContext")


def WdfDeviceInitSetRequestAttributes(
    DeviceInit: WDFDEVICE_INIT | None, RequestAttributes: WDF_OBJECT_ATTRIBUTES | None
) -> None:
    """Set the attributes of every request that the device receives; they are copied.

    Attributes that are not valid, those with a parent among them, are ignored.

    Raises:
        BugCheck: DeviceInit is NULL, or was used; RequestAttributes is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     attributes = WDF_OBJECT_ATTRIBUTES()
    ...     membuf.wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    ...     WdfDeviceInitSetRequestAttributes(init, attributes)
    """
    enter()
    init = usable(DeviceInit)
    attributes = not_null(RequestAttributes, "RequestAttributes")
    status = validate(attributes, parent_allowed=False)
    if status != STATUS_SUCCESS:
        debug_break("WdfDeviceInitSetRequestAttributes ignored: %s", status)
    else:
        init.request_attributes = replace(attributes)


def WdfDeviceInitSetFileObjectConfig(
    DeviceInit: WDFDEVICE_INIT | None,
    FileObjectConfig: WDF_FILEOBJECT_CONFIG | None,
    FileObjectAttributes: WDF_OBJECT_ATTRIBUTES | None,
) -> None:
    """Have the driver hear of openings of its device; both structures are copied.

    A structure of another Size and attributes that are not valid are ignored, and all with them.

    Raises:
        BugCheck: DeviceInit is NULL, or was used; FileObjectConfig is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     config = WDF_FILEOBJECT_CONFIG()
    ...     WDF_FILEOBJECT_CONFIG_INIT(config, None, None, lambda file: print("closed"))
    ...     WdfDeviceInitSetFileObjectConfig(init, config, None)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     device.open().close()
    closed
    """
    enter()
    init, config = usable(DeviceInit), not_null(FileObjectConfig, "FileObjectConfig")
    status = validate(
        FileObjectAttributes, level_allowed=True, scope_allowed=True, parent_allowed=False
    )
    if config.Size != WDF_FILEOBJECT_CONFIG.SIZEOF or status != STATUS_SUCCESS:
        debug_break("WdfDeviceInitSetFileObjectConfig ignored: %s, Size %s", status, config.Size)
        return
    for name in ("EvtDeviceFileCreate", "EvtFileClose", "EvtFileCleanup"):
        check_callable(name, getattr(config, name))
    init.file_config = replace(config)
    init.file_attributes = None if FileObjectAttributes is None else replace(FileObjectAttributes)


# ---- devices -------------------------------------------------------------------------------------


def WdfDeviceCreate(
    DeviceInit: WDFDEVICE_INIT | None, DeviceAttributes: WDF_OBJECT_ATTRIBUTES | None
) -> tuple[Status, WDFDEVICE | None]:
    """Create a device; its parent is the driver.

    Args:
        DeviceInit: what was decided about it, which is used up by a success.
        DeviceAttributes: no parent; or None.

    Returns:
        The status and the device; `device.open()` is how originators reach it.

    Raises:
        BugCheck: DeviceInit is NULL, or was used.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     status, device = WdfDeviceCreate(init, None)
    ...     device.parent is d
    True
    """
    enter()
    init = usable(DeviceInit)
    check_parent_handle(DeviceAttributes)
    status = validate(
        DeviceAttributes, level_allowed=True, scope_allowed=True, parent_allowed=False
    )
    if status == STATUS_SUCCESS and init.io_type not in set(IoType):
        status = STATUS_INVALID_PARAMETER
    if status != STATUS_SUCCESS:
        return status, None
    options = {"lower": init.lower, "filter": init.filter, "parent": init.driver}
    make = partial(WDFDEVICE, init.name, IoType(init.io_type), **options)
    status, device = create_then_dress(init.driver, DeviceAttributes, make)
    if device is not None:
        install_device(device, init)
        set_scope(device, DeviceAttributes)
        init.used, init.device = True, device
    return status, device


def WdfDeviceGetDriver(Device: WDFDEVICE | None) -> WDFDRIVER:
    """The driver that a device belongs to.

    Raises:
        BugCheck: not a live device handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     WdfDeviceGetDriver(device) is d
    True
    """
    enter()
    return driver_of(handle(Device, WDFDEVICE, "Device"))


def WdfDeviceGetIoTarget(Device: WDFDEVICE | None) -> WDFIOTARGET | None:
    """The local target of a device: what it sends to; None where nothing is below it.

    Raises:
        BugCheck: not a live device handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     init = membuf.wdf.WdfControlDeviceInitAllocate(d, None)
    ...     status, device = membuf.wdf.WdfDeviceCreate(init, None)
    ...     WdfDeviceGetIoTarget(device)
    """
    enter()
    target: WDFIOTARGET | None = handle(Device, WDFDEVICE, "Device").target
    return target


def WdfDeviceGetDefaultQueue(Device: WDFDEVICE | None) -> WDFQUEUE | None:
    """The queue that takes every type without a queue of its own, or None.

    Raises:
        BugCheck: not a live device handle.

    >>> import membuf
    >>> device = membuf.Device()
    >>> queue = device.queue(dispatch="manual", default=True)
    >>> WdfDeviceGetDefaultQueue(device) is queue
    True
    """
    enter()
    return handle(Device, WDFDEVICE, "Device").default_queue


def WdfDeviceConfigureRequestDispatching(
    Device: WDFDEVICE | None, Queue: WDFQUEUE | None, RequestType: int
) -> Status:
    """Have a queue take all requests of a type.

    Returns:
        INVALID_PARAMETER for another type than create, read, write and the two controls;
        INVALID_DEVICE_REQUEST for a queue of another device, the default queue, and one without a
        fitting callback; WDF_BUSY where the type has its queue.

    Raises:
        BugCheck: not a live device handle, or queue handle.

    >>> import membuf
    >>> device = membuf.Device()
    >>> queue = device.queue(dispatch="manual")
    >>> WdfDeviceConfigureRequestDispatching(device, queue, 3)
    STATUS_SUCCESS (0x00000000)
    """
    enter()
    device, queue = handle(Device, WDFDEVICE, "Device"), handle(Queue, WDFQUEUE, "Queue")
    return perform(device.route, RequestType, queue)


def WdfDeviceEnqueueRequest(Device: WDFDEVICE | None, Request: WDFREQUEST | None) -> Status:
    """Put a request that EvtIoInCallerContext was shown into its queue.

    Returns:
        INVALID_DEVICE_REQUEST outside that callback, for a request that is not the driver's, and
        where its type has no queue; WDF_BUSY where the queue takes none.

    Raises:
        BugCheck: not a live device handle, or request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfDeviceEnqueueRequest(queue.device, request)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    >>> request.complete()
    """
    enter()
    device, request = handle(Device, WDFDEVICE, "Device"), handle(Request, WDFREQUEST, "Request")
    return perform(device.enqueue, request)

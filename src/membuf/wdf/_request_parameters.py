"""What wdfrequest.h has to look at received requests; `wdfrequest` shows it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from membuf.request import ReceivedRequest
from membuf.wdf._arguments import not_null
from membuf.wdf._bugcheck import debug_break
from membuf.wdf._queue_config import zero
from membuf.wdf._request_handle import request_handle
from membuf.wdf.wdftypes import WDFFILEOBJECT, WDFQUEUE, WDFREQUEST
from membuf.wdf.wdm.constants import KPROCESSOR_MODE, KernelMode, UserMode

# ---- parameters ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Create:
    SecurityContext: Any = None
    Options: int = 0
    FileAttributes: int = 0
    ShareAccess: int = 0
    EaLength: int = 0


@dataclass(slots=True)
class _Transfer:
    Length: int = 0
    Key: int = 0
    DeviceOffset: int = 0


@dataclass(slots=True)
class _DeviceIoControl:
    OutputBufferLength: int = 0
    InputBufferLength: int = 0
    IoControlCode: int = 0
    Type3InputBuffer: Any = None


@dataclass(slots=True)
class _Others:
    Arg1: Any = None
    Arg2: Any = None
    IoControlCode: int = 0
    Arg4: Any = None


@dataclass(slots=True)
class _Parameters:
    Create: _Create = field(default_factory=_Create)
    Read: _Transfer = field(default_factory=_Transfer)
    Write: _Transfer = field(default_factory=_Transfer)
    DeviceIoControl: _DeviceIoControl = field(default_factory=_DeviceIoControl)
    Others: _Others = field(default_factory=_Others)


@dataclass(eq=False, slots=True)
class WDF_REQUEST_PARAMETERS:
    """What a request asks for.

    Attributes:
        Size: of this structure, `SIZEOF`.
        MinorFunction: always 0 here.
        Type: a WDF_REQUEST_TYPE.
        Parameters: its members Create, Read, Write, DeviceIoControl and Others; Type says which
            one counts.

    >>> WDF_REQUEST_PARAMETERS().Parameters.Read.Length, WDF_REQUEST_PARAMETERS.SIZEOF
    (0, 40)
    """

    SIZEOF: ClassVar[int] = 40

    Size: int = 0
    MinorFunction: int = 0
    Type: int = 0
    Parameters: _Parameters = field(default_factory=_Parameters)


def WDF_REQUEST_PARAMETERS_INIT(Parameters: WDF_REQUEST_PARAMETERS) -> None:
    """Zero the structure and set its size.

    >>> parameters = WDF_REQUEST_PARAMETERS()
    >>> WDF_REQUEST_PARAMETERS_INIT(parameters)
    >>> parameters.Size
    40
    """
    zero(Parameters)
    Parameters.Size = WDF_REQUEST_PARAMETERS.SIZEOF


def WdfRequestGetParameters(
    Request: WDFREQUEST | None, Parameters: WDF_REQUEST_PARAMETERS | None
) -> None:
    """Say what a received request asks for; a structure of another Size stays as it is.

    Raises:
        BugCheck: not a request handle, or Parameters is NULL.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> parameters = WDF_REQUEST_PARAMETERS()
    >>> WDF_REQUEST_PARAMETERS_INIT(parameters)
    >>> WdfRequestGetParameters(request, parameters)
    >>> parameters.Parameters.Read.Length
    8
    >>> request.complete()
    """
    request = request_handle(Request)
    parameters = not_null(Parameters, "Parameters")
    if parameters.Size != WDF_REQUEST_PARAMETERS.SIZEOF:
        debug_break("WdfRequestGetParameters ignored: Size is %s", parameters.Size)
    elif isinstance(request, ReceivedRequest):
        fill_parameters(parameters, request)


def fill_parameters(parameters: WDF_REQUEST_PARAMETERS, request: ReceivedRequest) -> None:
    """Fill the members that a request's type has."""
    irp = request.irp
    parameters.MinorFunction, parameters.Type = 0, irp.major
    transfer = _Transfer(irp.length, 0, irp.offset)
    control = _DeviceIoControl(irp.output_length, irp.input_length, irp.code, irp.type3_input)
    arguments = irp.arguments or (None, None, None)
    parameters.Parameters = _Parameters(
        Read=transfer,
        Write=replace(transfer),
        DeviceIoControl=control,
        Others=_Others(arguments[0], arguments[1], irp.code, arguments[2]),
    )


def WdfRequestGetRequestorMode(Request: WDFREQUEST | None) -> KPROCESSOR_MODE:
    """Who made a request: a user, or a driver.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestGetRequestorMode(request)
    <KPROCESSOR_MODE.UserMode: 1>
    >>> request.complete()
    """
    request = request_handle(Request)
    user = isinstance(request, ReceivedRequest) and request.mode == "user"
    return UserMode if user else KernelMode


def WdfRequestGetFileObject(Request: WDFREQUEST | None) -> WDFFILEOBJECT | None:
    """The file object that a request came through, or None.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestGetFileObject(request).device is queue.device
    True
    >>> request.complete()
    """
    request = request_handle(Request)
    return request.file if isinstance(request, ReceivedRequest) else None


def WdfRequestGetIoQueue(Request: WDFREQUEST | None) -> WDFQUEUE | None:
    """The queue that presented a request, or None.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestGetIoQueue(request) is queue
    True
    >>> request.complete()
    """
    request = request_handle(Request)
    return request.queue if isinstance(request, ReceivedRequest) else None


def WdfRequestIsFrom32BitProcess(Request: WDFREQUEST | None) -> bool:
    """Whether a 32-bit process made a request: never, here.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestIsFrom32BitProcess(request)
    False
    >>> request.complete()
    """
    request_handle(Request)
    return False


def WdfRequestIsReserved(Request: WDFREQUEST | None) -> bool:
    """Whether a request comes from a reserve for low memory: never, no queue has one.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestIsReserved(request)
    False
    >>> request.complete()
    """
    request_handle(Request)
    return False

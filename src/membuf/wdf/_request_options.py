"""The structures of wdfrequest.h for sending; `wdfrequest` shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsIndex

from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.request import CompletionParams, RequestType
from membuf.wdf._arguments import ulong
from membuf.wdf._queue_config import zero
from membuf.wdf._timeouts import seconds_until
from membuf.wdf.wdm.status_block import IO_STATUS_BLOCK

TIMEOUT, SYNCHRONOUS, IGNORE_TARGET_STATE, SEND_AND_FORGET = 0x1, 0x2, 0x4, 0x8
_EVERY_FLAG = TIMEOUT | SYNCHRONOUS | IGNORE_TARGET_STATE | SEND_AND_FORGET
SET_NEW_IRP = 0x1
_REUSE_FLAGS = (0x0, SET_NEW_IRP, 0x2)


# ---- options of a send ---------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class WDF_REQUEST_SEND_OPTIONS:
    """How to send a request; zeroed until WDF_REQUEST_SEND_OPTIONS_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        Flags: WDF_REQUEST_SEND_OPTIONS_FLAGS, or-ed.
        Timeout: in units of 100 ns: below 0 from now, above 0 since 1601, 0 for none.

    >>> WDF_REQUEST_SEND_OPTIONS().Size, WDF_REQUEST_SEND_OPTIONS.SIZEOF
    (0, 16)
    """

    SIZEOF: ClassVar[int] = 16

    Size: int = 0
    Flags: int = 0
    Timeout: int = 0


def WDF_REQUEST_SEND_OPTIONS_INIT(Options: WDF_REQUEST_SEND_OPTIONS, Flags: SupportsIndex) -> None:
    """Zero the structure, set its size and flags.

    >>> options = WDF_REQUEST_SEND_OPTIONS()
    >>> WDF_REQUEST_SEND_OPTIONS_INIT(options, SYNCHRONOUS)
    >>> options.Size, options.Flags
    (16, 2)
    """
    zero(Options)
    Options.Size = WDF_REQUEST_SEND_OPTIONS.SIZEOF
    Options.Flags = ulong(Flags, "Flags")


def WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(Options: WDF_REQUEST_SEND_OPTIONS, Timeout: int) -> None:
    """Set a timeout, and the flag for it.

    >>> options = WDF_REQUEST_SEND_OPTIONS()
    >>> WDF_REQUEST_SEND_OPTIONS_INIT(options, 0)
    >>> WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(options, -10_000)
    >>> options.Flags, options.Timeout
    (1, -10000)
    """
    Options.Flags |= TIMEOUT
    Options.Timeout = Timeout


def check_options(options: WDF_REQUEST_SEND_OPTIONS | None) -> Status:
    """What the framework answers to options: INFO_LENGTH_MISMATCH, then INVALID_PARAMETER."""
    if options is None:
        return STATUS_SUCCESS
    if options.Size != WDF_REQUEST_SEND_OPTIONS.SIZEOF:
        return STATUS_INFO_LENGTH_MISMATCH
    forgets = bool(options.Flags & SEND_AND_FORGET)
    if options.Flags & ~_EVERY_FLAG or (forgets and options.Flags != SEND_AND_FORGET):
        return STATUS_INVALID_PARAMETER
    return STATUS_SUCCESS


def send_keywords(options: WDF_REQUEST_SEND_OPTIONS | None) -> dict[str, Any]:
    """Valid options, as `Request.send` takes them."""
    if options is None:
        return {}
    flags = options.Flags
    timed = bool(flags & TIMEOUT) and options.Timeout != 0
    return {
        "timeout": seconds_until(options.Timeout) if timed else None,
        "synchronous": bool(flags & SYNCHRONOUS),
        "ignore_target_state": bool(flags & IGNORE_TARGET_STATE),
        "send_and_forget": bool(flags & SEND_AND_FORGET),
    }


# ---- reuse ---------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class WDF_REQUEST_REUSE_PARAMS:
    """How to reuse a request; zeroed until WDF_REQUEST_REUSE_PARAMS_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        Flags: a WDF_REQUEST_REUSE_FLAGS.
        Status: what WdfRequestGetStatus answers from then on.
        NewIrp: another packet for it: refused here, no request is made of one.

    >>> WDF_REQUEST_REUSE_PARAMS().Size, WDF_REQUEST_REUSE_PARAMS.SIZEOF
    (0, 24)
    """

    SIZEOF: ClassVar[int] = 24

    Size: int = 0
    Flags: int = 0
    Status: int = 0
    NewIrp: Any = None


def WDF_REQUEST_REUSE_PARAMS_INIT(
    Params: WDF_REQUEST_REUSE_PARAMS, Flags: SupportsIndex, Status: int
) -> None:
    """Zero the structure, set its size, flags and status.

    >>> params = WDF_REQUEST_REUSE_PARAMS()
    >>> WDF_REQUEST_REUSE_PARAMS_INIT(params, 0, STATUS_SUCCESS)
    >>> params.Size
    24
    """
    zero(Params)
    Params.Size = WDF_REQUEST_REUSE_PARAMS.SIZEOF
    Params.Flags = ulong(Flags, "Flags")
    Params.Status = Status


def WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP(Params: WDF_REQUEST_REUSE_PARAMS, NewIrp: Any) -> None:
    """Set another packet, and the flag for it.

    >>> params = WDF_REQUEST_REUSE_PARAMS()
    >>> WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP(params, None)
    >>> params.Flags
    1
    """
    Params.Flags |= SET_NEW_IRP
    Params.NewIrp = NewIrp


def check_reuse(params: WDF_REQUEST_REUSE_PARAMS) -> Status:
    """INVALID_PARAMETER for another Size and for a flag that means nothing."""
    fits = params.Size == WDF_REQUEST_REUSE_PARAMS.SIZEOF and params.Flags in _REUSE_FLAGS
    return STATUS_SUCCESS if fits else STATUS_INVALID_PARAMETER


# ---- completion ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Transfer:
    Buffer: Any = None
    Length: int = 0
    Offset: int = 0


@dataclass(slots=True)
class _Input:
    Buffer: Any = None
    Offset: int = 0


@dataclass(slots=True)
class _Output:
    Buffer: Any = None
    Offset: int = 0
    Length: int = 0


@dataclass(slots=True)
class _Ioctl:
    IoControlCode: int = 0
    Input: _Input = field(default_factory=_Input)
    Output: _Output = field(default_factory=_Output)


@dataclass(slots=True)
class _Argument:
    Value: int = 0
    Ptr: Any = None


@dataclass(slots=True)
class _Others:
    Argument1: _Argument = field(default_factory=_Argument)
    Argument2: _Argument = field(default_factory=_Argument)
    Argument3: _Argument = field(default_factory=_Argument)
    Argument4: _Argument = field(default_factory=_Argument)


@dataclass(slots=True)
class _Completed:
    Write: _Transfer = field(default_factory=_Transfer)
    Read: _Transfer = field(default_factory=_Transfer)
    Ioctl: _Ioctl = field(default_factory=_Ioctl)
    Others: _Others = field(default_factory=_Others)


@dataclass(eq=False, slots=True)
class WDF_REQUEST_COMPLETION_PARAMS:
    """How a sent request ended, and what it was formatted with.

    Attributes:
        Size: of this structure, `SIZEOF`.
        Type: a WDF_REQUEST_TYPE; WdfRequestTypeNoFormat where IoStatus alone has a meaning.
        IoStatus: its members Status and Information.
        Parameters: its members Write, Read, Ioctl and Others; Type says which one counts.

    >>> WDF_REQUEST_COMPLETION_PARAMS().Parameters.Read.Length, WDF_REQUEST_COMPLETION_PARAMS.SIZEOF
    (0, 72)
    """

    SIZEOF: ClassVar[int] = 72

    Size: int = 0
    Type: int = 0
    IoStatus: IO_STATUS_BLOCK = field(default_factory=IO_STATUS_BLOCK)
    Parameters: _Completed = field(default_factory=_Completed)


def WDF_REQUEST_COMPLETION_PARAMS_INIT(Params: WDF_REQUEST_COMPLETION_PARAMS) -> None:
    """Zero the structure, set its size, and no format.

    >>> params = WDF_REQUEST_COMPLETION_PARAMS()
    >>> WDF_REQUEST_COMPLETION_PARAMS_INIT(params)
    >>> params.Size, params.Type
    (72, 255)
    """
    zero(Params)
    Params.Size = WDF_REQUEST_COMPLETION_PARAMS.SIZEOF
    Params.Type = RequestType.NO_FORMAT.value


def fill_completion(params: WDF_REQUEST_COMPLETION_PARAMS, completion: CompletionParams) -> None:
    """Fill the structure with how a request ended."""
    length = completion.information
    params.Type = completion.type.value
    params.IoStatus = IO_STATUS_BLOCK(completion.status, length)
    memory, offset = completion.memory, completion.memory_offset
    first, second, fourth = (_Argument(Ptr=argument) for argument in completion.arguments)
    params.Parameters = _Completed(
        Write=_Transfer(memory, length, offset),
        Read=_Transfer(memory, length, offset),
        Ioctl=_Ioctl(
            completion.code,
            _Input(memory, offset),
            _Output(completion.output, completion.output_offset, length),
        ),
        Others=_Others(first, second, _Argument(completion.code), fourth),
    )

"""What wdfio.h has to describe queues with; `wdfio` shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from membuf.wdf._driver import Driver

Event = Callable[..., object] | None


class WDF_IO_QUEUE_DISPATCH_TYPE(IntEnum):
    """How a queue presents its requests.

    >>> WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchManual.value
    3
    """

    WdfIoQueueDispatchInvalid = 0
    WdfIoQueueDispatchSequential = 1
    WdfIoQueueDispatchParallel = 2
    WdfIoQueueDispatchManual = 3


class WDF_IO_QUEUE_STATE(IntEnum):
    """What a queue does at the moment; the values are or-ed.

    >>> WDF_IO_QUEUE_STATE.WdfIoQueuePnpHeld.value
    16
    """

    WdfIoQueueAcceptRequests = 0x1
    WdfIoQueueDispatchRequests = 0x2
    WdfIoQueueNoRequests = 0x4
    WdfIoQueueDriverNoRequests = 0x8
    WdfIoQueuePnpHeld = 0x10


WdfIoQueueDispatchInvalid = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchInvalid
WdfIoQueueDispatchSequential = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchSequential
WdfIoQueueDispatchParallel = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchParallel
WdfIoQueueDispatchManual = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchManual

WdfIoQueueAcceptRequests = WDF_IO_QUEUE_STATE.WdfIoQueueAcceptRequests
WdfIoQueueDispatchRequests = WDF_IO_QUEUE_STATE.WdfIoQueueDispatchRequests
WdfIoQueueNoRequests = WDF_IO_QUEUE_STATE.WdfIoQueueNoRequests
WdfIoQueueDriverNoRequests = WDF_IO_QUEUE_STATE.WdfIoQueueDriverNoRequests
WdfIoQueuePnpHeld = WDF_IO_QUEUE_STATE.WdfIoQueuePnpHeld

# ---- what a state means --------------------------------------------------------------------------


def WDF_IO_QUEUE_IDLE(State: int) -> bool:
    """Whether no request is in the queue or with the driver.

    >>> WDF_IO_QUEUE_IDLE(0x4 | 0x8), WDF_IO_QUEUE_IDLE(0x4)
    (True, False)
    """
    return _has(State, WdfIoQueueNoRequests | WdfIoQueueDriverNoRequests)


def WDF_IO_QUEUE_READY(State: int) -> bool:
    """Whether it takes requests and presents them.

    >>> WDF_IO_QUEUE_READY(0x3), WDF_IO_QUEUE_READY(0x13)
    (True, False)
    """
    wanted = WdfIoQueueAcceptRequests | WdfIoQueueDispatchRequests
    return _has(State, wanted, WdfIoQueuePnpHeld)


def WDF_IO_QUEUE_STOPPED(State: int) -> bool:
    """Whether it takes requests, presents none, and none is with the driver.

    >>> WDF_IO_QUEUE_STOPPED(0x1 | 0x8), WDF_IO_QUEUE_STOPPED(0x3 | 0x8)
    (True, False)
    """
    wanted = WdfIoQueueAcceptRequests | WdfIoQueueDriverNoRequests
    return _has(State, wanted, WdfIoQueueDispatchRequests)


def WDF_IO_QUEUE_DRAINED(State: int) -> bool:
    """Whether it takes none, and all that it had are complete.

    >>> WDF_IO_QUEUE_DRAINED(0x2 | 0x4 | 0x8), WDF_IO_QUEUE_DRAINED(0x3 | 0x4 | 0x8)
    (True, False)
    """
    idle = WdfIoQueueNoRequests | WdfIoQueueDriverNoRequests
    return _has(State, WdfIoQueueDispatchRequests | idle, WdfIoQueueAcceptRequests)


def WDF_IO_QUEUE_PURGED(State: int) -> bool:
    """Whether it takes none and has none.

    >>> WDF_IO_QUEUE_PURGED(0x4 | 0x8), WDF_IO_QUEUE_PURGED(0x1 | 0x4 | 0x8)
    (True, False)
    """
    idle = WdfIoQueueNoRequests | WdfIoQueueDriverNoRequests
    return _has(State, idle, WdfIoQueueAcceptRequests)


def _has(state: int, wanted: int, unwanted: int = 0) -> bool:
    return state & wanted == wanted and not state & unwanted


DISPATCH: Final[dict[int, Any]] = {1: "sequential", 2: "parallel", 3: "manual"}
"""What the Python face calls a WDF_IO_QUEUE_DISPATCH_TYPE."""


@dataclass(slots=True)
class _Parallel:
    NumberOfPresentedRequests: int = 0


@dataclass(slots=True)
class _Settings:
    Parallel: _Parallel = field(default_factory=_Parallel)


@dataclass(eq=False, slots=True)
class WDF_IO_QUEUE_CONFIG:
    """How to make a queue; zeroed until WDF_IO_QUEUE_CONFIG_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        DispatchType: a WDF_IO_QUEUE_DISPATCH_TYPE.
        PowerManaged: a WDF_TRI_STATE; devices here have one power state, so it changes nothing.
        AllowZeroLengthRequests: whether reads and writes of no bytes are presented.
        DefaultQueue: whether it takes every type without a queue of its own.
        EvtIoDefault: (queue, request), for types without a callback of their own.
        EvtIoRead: (queue, request, length).
        EvtIoWrite: (queue, request, length).
        EvtIoDeviceControl: (queue, request, output length, input length, code).
        EvtIoInternalDeviceControl: the same, for internal control requests.
        EvtIoStop: never called: no power state is left.
        EvtIoResume: never called.
        EvtIoCanceledOnQueue: (queue, request), for a request that was presented before and is
            cancelled while it waits again.
        Settings: its member Parallel.NumberOfPresentedRequests: how many are the driver's at once.
        Driver: used by drivers that share one queue's callbacks; nothing here reads it.

    >>> WDF_IO_QUEUE_CONFIG().Size, WDF_IO_QUEUE_CONFIG.SIZEOF
    (0, 96)
    """

    SIZEOF: ClassVar[int] = 96

    Size: int = 0
    DispatchType: int = 0
    PowerManaged: int = 0
    AllowZeroLengthRequests: bool = False
    DefaultQueue: bool = False
    EvtIoDefault: Event = None
    EvtIoRead: Event = None
    EvtIoWrite: Event = None
    EvtIoDeviceControl: Event = None
    EvtIoInternalDeviceControl: Event = None
    EvtIoStop: Event = None
    EvtIoResume: Event = None
    EvtIoCanceledOnQueue: Event = None
    Settings: _Settings = field(default_factory=_Settings)
    Driver: Driver | None = None


def zero(structure: Any) -> None:
    """Set every field of a structure back to what it is when nothing has filled it."""
    fresh = type(structure)()
    for member in fields(structure):
        setattr(structure, member.name, getattr(fresh, member.name))

"""wdftypes.h: the handle types. A handle is the object itself; a NULL handle is None."""

from enum import IntEnum
from typing import Final

from membuf._native import LookasideList as WDFLOOKASIDE
from membuf._native import Memory as WDFMEMORY
from membuf._native import Object as WDFOBJECT
from membuf.dma import CommonBuffer as WDFCOMMONBUFFER
from membuf.dma import Enabler as WDFDMAENABLER
from membuf.dma import Transaction as WDFDMATRANSACTION
from membuf.memory import Collection as WDFCOLLECTION
from membuf.memory import SpinLock as WDFSPINLOCK
from membuf.memory import WaitLock as WDFWAITLOCK
from membuf.request import Device as WDFDEVICE
from membuf.request import FileObject as WDFFILEOBJECT
from membuf.request import Queue as WDFQUEUE
from membuf.request import Request as WDFREQUEST
from membuf.target import Target as WDFIOTARGET
from membuf.wdf._device_init import WDFDEVICE_INIT
from membuf.wdf._driver import Driver as WDFDRIVER

__all__ = [
    "WDFCOLLECTION",
    "WDFCOMMONBUFFER",
    "WDFDEVICE",
    "WDFDEVICE_INIT",
    "WDFDMAENABLER",
    "WDFDMATRANSACTION",
    "WDFDRIVER",
    "WDFFILEOBJECT",
    "WDFIOTARGET",
    "WDFLOOKASIDE",
    "WDFMEMORY",
    "WDFOBJECT",
    "WDFQUEUE",
    "WDFREQUEST",
    "WDFSPINLOCK",
    "WDFWAITLOCK",
    "WDF_NO_CONTEXT",
    "WDF_NO_EVENT_CALLBACK",
    "WDF_NO_HANDLE",
    "WDF_TRI_STATE",
    "WdfFalse",
    "WdfTrue",
    "WdfUseDefault",
]

WDF_NO_EVENT_CALLBACK: Final = None
WDF_NO_HANDLE: Final = None
WDF_NO_CONTEXT: Final = None


class WDF_TRI_STATE(IntEnum):
    """Yes, no, or what the framework thinks best.

    >>> WDF_TRI_STATE.WdfUseDefault.value
    2
    """

    WdfFalse = 0
    WdfTrue = 1
    WdfUseDefault = 2


WdfFalse = WDF_TRI_STATE.WdfFalse
WdfTrue = WDF_TRI_STATE.WdfTrue
WdfUseDefault = WDF_TRI_STATE.WdfUseDefault

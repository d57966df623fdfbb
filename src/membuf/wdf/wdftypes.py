"""wdftypes.h: the handle types. A handle is the object itself; a NULL handle is None."""

from membuf._native import LookasideList as WDFLOOKASIDE
from membuf._native import Memory as WDFMEMORY
from membuf._native import Object as WDFOBJECT
from membuf.memory import Collection as WDFCOLLECTION
from membuf.memory import SpinLock as WDFSPINLOCK
from membuf.memory import WaitLock as WDFWAITLOCK
from membuf.wdf._driver import Driver as WDFDRIVER

__all__ = [
    "WDFCOLLECTION",
    "WDFDRIVER",
    "WDFLOOKASIDE",
    "WDFMEMORY",
    "WDFOBJECT",
    "WDFSPINLOCK",
    "WDFWAITLOCK",
]

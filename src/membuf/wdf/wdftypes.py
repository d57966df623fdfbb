"""wdftypes.h: the handle types. A handle is the object itself; a NULL handle is None."""

from membuf._native import LookasideList as WDFLOOKASIDE
from membuf._native import Memory as WDFMEMORY
from membuf._native import Object as WDFOBJECT
from membuf.wdf._driver import Driver as WDFDRIVER

__all__ = ["WDFDRIVER", "WDFLOOKASIDE", "WDFMEMORY", "WDFOBJECT"]

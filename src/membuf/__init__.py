"""The memory-buffer system of the Windows Driver Frameworks, in user space, for Python."""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

from membuf import pool
from membuf._native import Block, LookasideList, Memory, Object
from membuf.base.alignment import align_down, align_up
from membuf.base.errors import (
    AccessDeniedError,
    AccessViolationError,
    BufferTooSmallError,
    BugCheck,
    DeletePendingError,
    FrameUnknownError,
    InsufficientResourcesError,
    IntegerOverflowError,
    InvalidBufferSizeError,
    InvalidDeviceStateError,
    InvalidParameterError,
    IoTimeoutError,
    MembufError,
    ObjectDeletedError,
    RequestCancelledError,
    TargetBrokenPipeError,
    TargetError,
    TargetExistsError,
    TargetIsDirectoryError,
    TargetNotDirectoryError,
    TargetNotFoundError,
)
from membuf.base.status import Status
from membuf.base.tag import Tag
from membuf.pool import NONPAGED, PAGED, Domain, LeakError

if _typing.TYPE_CHECKING:
    from membuf import dma, testing, verifier, wdf
    from membuf.bus import open_target
    from membuf.mdl import Mdl
    from membuf.memory import Collection, MemoryDescriptor, SpinLock, WaitLock
    from membuf.request import BUFFERED, DIRECT, NEITHER, ControlCode, Device, Disk, Extent, Request

__all__ = [
    "BUFFERED",
    "DIRECT",
    "NEITHER",
    "NONPAGED",
    "PAGED",
    "AccessDeniedError",
    "AccessViolationError",
    "Block",
    "BufferTooSmallError",
    "BugCheck",
    "Collection",
    "ControlCode",
    "DeletePendingError",
    "Device",
    "Disk",
    "Domain",
    "Extent",
    "FrameUnknownError",
    "InsufficientResourcesError",
    "IntegerOverflowError",
    "InvalidBufferSizeError",
    "InvalidDeviceStateError",
    "InvalidParameterError",
    "IoTimeoutError",
    "LeakError",
    "LookasideList",
    "Mdl",
    "MembufError",
    "Memory",
    "MemoryDescriptor",
    "Object",
    "ObjectDeletedError",
    "Request",
    "RequestCancelledError",
    "SpinLock",
    "Status",
    "Tag",
    "TargetBrokenPipeError",
    "TargetError",
    "TargetExistsError",
    "TargetIsDirectoryError",
    "TargetNotDirectoryError",
    "TargetNotFoundError",
    "WaitLock",
    "align_down",
    "align_up",
    "dma",
    "open_target",
    "pool",
    "testing",
    "verifier",
    "wdf",
]

_LATER = {
    "BUFFERED": "membuf.request",
    "Collection": "membuf.memory",
    "ControlCode": "membuf.request",
    "DIRECT": "membuf.request",
    "Device": "membuf.request",
    "Disk": "membuf.request",
    "Extent": "membuf.request",
    "Mdl": "membuf.mdl",
    "MemoryDescriptor": "membuf.memory",
    "NEITHER": "membuf.request",
    "Request": "membuf.request",
    "SpinLock": "membuf.memory",
    "WaitLock": "membuf.memory",
    "dma": "",
    "open_target": "membuf.bus",
    "testing": "",
    "verifier": "",
    "wdf": "",
}
"""Names whose modules are imported when they are first asked for: who needs none waits for none.

The name of a module stands for the module itself.
"""


def __getattr__(name: str) -> _typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _importlib.import_module(_LATER[name] or f"{__name__}.{name}")
    value = getattr(module, name) if _LATER[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

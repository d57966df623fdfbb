"""The memory-buffer system of the Windows Driver Frameworks, in user space, for Python."""

from membuf import pool
from membuf._native import Block, LookasideList, Memory, Object
from membuf.base.alignment import align_down, align_up
from membuf.base.errors import (
    AccessDeniedError,
    AccessViolationError,
    BufferTooSmallError,
    BugCheck,
    DeletePendingError,
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
from membuf.bus import open_target
from membuf.memory import MemoryDescriptor
from membuf.pool import NONPAGED, PAGED, Domain, LeakError
from membuf.request import Request

__all__ = [
    "NONPAGED",
    "PAGED",
    "AccessDeniedError",
    "AccessViolationError",
    "Block",
    "BufferTooSmallError",
    "BugCheck",
    "DeletePendingError",
    "Domain",
    "InsufficientResourcesError",
    "IntegerOverflowError",
    "InvalidBufferSizeError",
    "InvalidDeviceStateError",
    "InvalidParameterError",
    "IoTimeoutError",
    "LeakError",
    "LookasideList",
    "MembufError",
    "Memory",
    "MemoryDescriptor",
    "Object",
    "ObjectDeletedError",
    "Request",
    "RequestCancelledError",
    "Status",
    "Tag",
    "TargetBrokenPipeError",
    "TargetError",
    "TargetExistsError",
    "TargetIsDirectoryError",
    "TargetNotDirectoryError",
    "TargetNotFoundError",
    "align_down",
    "align_up",
    "open_target",
    "pool",
]

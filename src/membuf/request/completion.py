"""What a completion routine is told, and the kinds of requests."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from membuf.base.status import Status


class RequestType(IntEnum):
    """What a request asks for, with the framework's numbers (WDF_REQUEST_TYPE).

    >>> RequestType(3)
    <RequestType.READ: 3>
    """

    READ = 3
    WRITE = 4
    FLUSH = 9
    NO_FORMAT = 0xFF


class CompletionParams(NamedTuple):
    """How a request ended (WDF_REQUEST_COMPLETION_PARAMS).

    Attributes:
        type: what it asked for; NO_FORMAT where it was never formatted.
        status: the status it ended with.
        information: bytes transferred.
        memory: the memory it was formatted with, as given.
        memory_offset: where in that memory the transfer began, in bytes.

    >>> import membuf.bus
    >>> def told(request, target, params, context):
    ...     print(params.type.name, params.status, params.information, context)
    >>> with membuf.bus.open_target("file:/dev/zero", access="read") as target:
    ...     request = membuf.request.Request(target)
    ...     request.format_read(membuf.Memory(16))
    ...     request.send(told, context="mine", synchronous=True)
    READ STATUS_SUCCESS (0x00000000) 16 mine
    """

    type: RequestType
    status: Status
    information: int
    memory: Any
    memory_offset: int

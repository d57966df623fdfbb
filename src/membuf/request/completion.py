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

    CREATE = 0x0
    CLOSE = 0x2
    READ = 0x3
    WRITE = 0x4
    FLUSH = 0x9
    DEVICE_CONTROL = 0xE
    INTERNAL_DEVICE_CONTROL = 0xF
    CLEANUP = 0x12
    OTHER = 0x1C
    USB = 0x40
    NO_FORMAT = 0xFF

    # An enumeration hashes its name, in Python; these are looked up with every request.
    __hash__ = int.__hash__


class CompletionParams(NamedTuple):
    """How a request ended (WDF_REQUEST_COMPLETION_PARAMS).

    Attributes:
        type: what it asked for; NO_FORMAT where it carries no format of this framework.
        status: the status it ended with.
        information: bytes transferred.
        memory: the memory it was formatted with, as given; of a control request, its input.
        memory_offset: where in that memory the transfer began, in bytes.
        code: the control code of a control request.
        output: the output memory of a control request, as given.
        output_offset: where in that memory the output begins, in bytes.
        arguments: the three memories of a request of type OTHER, as given.

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
    memory: Any = None
    memory_offset: int = 0
    code: int = 0
    output: Any = None
    output_offset: int = 0
    arguments: tuple[Any, Any, Any] = (None, None, None)

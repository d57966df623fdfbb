"""What a received request's memory is, by type and access method.

Sources: WdfRequestRetrieveInputMemory and its relatives; requests 1.2 to 1.4 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from typing import TYPE_CHECKING

from membuf._native import Memory, request_memory, set_undeletable
from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.request.completion import RequestType
from membuf.request.ioctl import BUFFERED_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from membuf.request.received import ReceivedRequest

_READ, _WRITE = RequestType.READ, RequestType.WRITE
_IOCTL, _INTERNAL = RequestType.DEVICE_CONTROL, RequestType.INTERNAL_DEVICE_CONTROL


class Retrieved:
    """What was retrieved of a request until now: nothing is made twice."""

    __slots__ = ("input", "locked", "output")

    def __init__(self) -> None:
        self.input: Memory | None = None
        self.output: Memory | None = None
        self.locked: list[Memory] = []

    def __iter__(self) -> Iterator[Memory]:
        if self.input is not None:
            yield self.input
        if self.output is not None:
            yield self.output
        yield from self.locked


def input_memory(request: ReceivedRequest) -> Memory:
    """See `ReceivedRequest.input_memory`."""
    kind = request.type
    if kind != _WRITE and kind not in (_IOCTL, _INTERNAL):
        raise _refused(request, "input")
    kept = _kept(request)
    if kept.input is None:
        irp = request._irp
        size = irp.length if kind == _WRITE else irp.input_length
        kept.input = _embedded(request, irp.system_buffer, size, _input_is_readonly(request))
    return kept.input


def output_memory(request: ReceivedRequest) -> Memory:
    """See `ReceivedRequest.output_memory`."""
    kind = request.type
    if kind != _READ and kind not in (_IOCTL, _INTERNAL):
        raise _refused(request, "output")
    kept = _kept(request)
    if kept.output is None:
        irp = request._irp
        size = irp.length if kind == _READ else irp.output_length
        kept.output = _embedded(request, irp.system_buffer, size, False)
    return kept.output


def buffer_of(memory: Memory, minimum: int) -> memoryview:
    """The bytes of a retrieved memory, `minimum` of them at least."""
    if memory.size < minimum:
        raise from_status(
            st.STATUS_BUFFER_TOO_SMALL,
            f"{minimum} bytes are needed: {memory!r} has {memory.size}",
            {"needed": minimum, "available": memory.size},
        )
    return memory.buffer


def _input_is_readonly(request: ReceivedRequest) -> bool:
    return request.type == _WRITE or request.code & 3 != BUFFERED_METHOD


def _kept(request: ReceivedRequest) -> Retrieved:
    if request.completed:
        raise from_status(
            st.STATUS_INTERNAL_ERROR, f"{request!r} is complete: its memory is gone with it"
        )
    if request._retrieved is None:
        request._retrieved = Retrieved()
    return request._retrieved


def _embedded(request: ReceivedRequest, buffer: object, size: int, readonly: bool) -> Memory:
    if not size or buffer is None:
        raise from_status(st.STATUS_BUFFER_TOO_SMALL, f"{request!r} has no bytes there")
    memory = request_memory(buffer, size, readonly, request)  # type: ignore[arg-type]
    set_undeletable(memory)
    return memory


def _refused(request: ReceivedRequest, which: str) -> Exception:
    return from_status(
        st.STATUS_INVALID_DEVICE_REQUEST,
        f"{request!r} has no {which} buffer: a request of type {request.type.name} brings none",
    )

"""What a request for a device carries: copies, pages or pointers, made when it is formatted.

Source: requests 2.3 of the specification.
"""

# pyright: reportPrivateUsage=false
# A target and the device that it leads to are one machine.
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from membuf._native import Memory
from membuf.base.errors import AccessViolationError
from membuf.mdl import Mdl
from membuf.request.attaching import attach_control, attach_pages, attach_transfer
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.ioctl import BUFFERED_METHOD, IN_DIRECT, NEITHER_METHOD
from membuf.request.retrieval import mdl_of

if TYPE_CHECKING:
    from membuf.request.buffers import Part
    from membuf.request.device import Device
    from membuf.request.irp import Irp
    from membuf.request.protocol import Control

Finish = Callable[["Irp"], None]

_EMPTY: Final = memoryview(b"")


def view_of(memory: Any, offset: int, length: int) -> memoryview:
    """The bytes of a part of a buffer."""
    if memory is None or not length:
        return _EMPTY
    return memoryview(memory).cast("B")[offset : offset + length]


def attach(device: Device, irp: Irp, memory: Any, offset: int, length: int) -> Finish:
    """Attach the part of a read or write, by the device's I/O type.

    Returns:
        What ends it: bytes are copied back, and what was attached is let go.

    Raises:
        AccessViolationError: the memory cannot be accessed as the request will.
    """
    view = view_of(memory, offset, length)
    if device.io_type is IoType.DIRECT and length:
        access: Literal["read", "write"] = "write" if irp.major is RequestType.READ else "read"
        return _attach_pages(device, irp, memory, offset, view, access)
    if device.io_type is IoType.NEITHER:
        irp.user_buffer = view
        return _drop_pointers
    return attach_transfer(device, irp, view)


def attach_several(device: Device, irp: Irp, buffers: list[Any]) -> Finish:
    """Attach several buffers of a read or write, which a device sees as one; see `attach`."""
    views = [memoryview(buffer).cast("B") for buffer in buffers if memoryview(buffer).nbytes]
    together = bytearray().join(views)
    irp.length = len(together)
    ending = attach(device, irp, together, 0, irp.length)

    def finish(irp: Irp) -> None:
        ending(irp)
        start = 0
        for view in views if irp.major is RequestType.READ else ():
            view[:] = together[start : start + len(view)]
            start += len(view)

    return finish


def attach_parts(device: Device, irp: Irp, control: Control) -> Finish:
    """Attach the memories of a control request, by the method in its code; see `attach`."""
    if control.kind is RequestType.OTHER:
        first, second, fourth = (_pointer(part) for part in control.arguments)
        irp.arguments = (first, second, fourth)
        return _drop_pointers
    source, output = control.input, control.output
    read = view_of(source.memory, source.offset, source.length)
    write = view_of(output.memory, output.offset, output.length)
    method = control.code & 3
    if method != IN_DIRECT and method != NEITHER_METHOD and write.nbytes and write.readonly:
        raise AccessViolationError("the output of a control request must be writable")
    if method == NEITHER_METHOD:
        irp.type3_input = read if source.memory is not None else None
        irp.user_buffer = write if output.memory is not None else None
        return _drop_pointers
    if method == BUFFERED_METHOD:
        return attach_control(device, irp, read, write)
    irp.system_buffer = read if source.length else None
    if not output.length:
        return _drop_pointers
    access: Literal["read", "write"] = "read" if method == IN_DIRECT else "write"
    pages = _attach_pages(device, irp, output.memory, output.offset, write, access)

    def finish(irp: Irp) -> None:
        pages(irp)
        _drop_pointers(irp)

    return finish


def _drop_pointers(irp: Irp) -> None:
    """The packet may be kept longer than the memory that its pointers lead to."""
    irp.system_buffer = irp.user_buffer = irp.type3_input = irp.arguments = None


def _pointer(part: Part) -> memoryview | None:
    return None if part.memory is None else view_of(part.memory, part.offset, part.length)


def _attach_pages(
    device: Device,
    irp: Irp,
    memory: Any,
    offset: int,
    view: memoryview,
    access: Literal["read", "write"],
) -> Finish:
    """The MDL that the memory has, a part of it, or a new one with its pages locked."""
    source = memory if isinstance(memory, Mdl) else mdl_of(memory) if _may_have(memory) else None
    if source is None:
        return attach_pages(device, irp, view, access)
    if not offset and view.nbytes == source.byte_count:
        irp.mdl = source
        return _detach
    part = source.partial(offset, view.nbytes)
    irp.mdl = part

    def finish(irp: Irp) -> None:
        irp.mdl = None
        part.free()

    return finish


def _may_have(memory: Any) -> bool:
    """Whether an MDL can be behind it: embedded and probe-locked memory of a request."""
    return isinstance(memory, Memory)


def _detach(irp: Irp) -> None:
    irp.mdl = None

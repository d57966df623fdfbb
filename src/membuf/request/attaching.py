"""What an originator attaches to a packet, and what it does when that has come back.

By access method: a system buffer to copy through, the originator's own pages locked, or its bare
pointers. The table is requests 1.1 of the specification.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from membuf._native import Memory
from membuf.base.errors import InsufficientResourcesError
from membuf.mdl import Mdl
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.ioctl import BUFFERED_METHOD, IN_DIRECT, NEITHER_METHOD

if TYPE_CHECKING:
    from membuf.request.device import Device
    from membuf.request.irp import Irp

_ERROR: Final = 0xC000_0000

Finish = Callable[["Irp"], None]
"""Called when the packet has come back: bytes are copied back, and what was attached is let go."""


def nothing(_irp: Irp) -> None:
    """There is nothing to let go."""


def attach_transfer(device: Device, irp: Irp, view: memoryview) -> Finish:
    """Attach the buffer of a read or write, by the device's I/O type.

    Raises:
        AccessViolationError: the buffer cannot be accessed as the request will.
    """
    if device.io_type is IoType.NEITHER:
        irp.user_buffer = view
        return nothing
    if not irp.length:
        return nothing
    reading = irp.major is RequestType.READ
    if device.io_type is IoType.DIRECT:
        return attach_pages(device, irp, view, "write" if reading else "read")
    if reading:
        return _attach_copy(device, irp, None, view)
    return _attach_copy(device, irp, view, None)


def attach_control(
    device: Device, irp: Irp, source: memoryview | None, destination: memoryview | None
) -> Finish:
    """Attach the buffers of a control request, by the method in its code."""
    method = irp.code & 3
    if method == BUFFERED_METHOD:
        return _attach_copy(device, irp, source, destination)
    if method == NEITHER_METHOD:
        irp.type3_input, irp.user_buffer = source, destination
        return nothing
    copied = _attach_copy(device, irp, source, None)
    if destination is None or not irp.output_length:
        return copied
    access: Final = "read" if method == IN_DIRECT else "write"
    try:
        locked = attach_pages(device, irp, destination, access)
    except BaseException:
        copied(irp)
        raise

    def finish(irp: Irp) -> None:
        copied(irp)
        locked(irp)

    return finish


def _attach_copy(
    device: Device, irp: Irp, source: memoryview | None, destination: memoryview | None
) -> Finish:
    """A system buffer: the source is copied in now, to the destination at the end."""
    count = 0 if source is None else source.nbytes
    wanted = 0 if destination is None else destination.nbytes
    if not count and not wanted:
        return nothing
    system = device.system_buffers.take(max(count, wanted), wanted > count)
    irp.system_buffer = system
    if source is not None and count:
        system.copy_from(source)

    def finish(irp: Irp) -> None:
        information = irp.information
        if wanted and information and irp.status < _ERROR:
            _copy_back(system, destination, min(information, wanted))
        irp.system_buffer = None
        system.delete()

    return finish


def _copy_back(system: Memory, destination: Any, count: int) -> None:
    if count == destination.nbytes:
        system.copy_to(destination)
    else:
        system.copy_to(destination[:count])


def attach_pages(
    device: Device, irp: Irp, view: memoryview, access: Literal["read", "write"]
) -> Finish:
    """An MDL over the originator's own pages, locked until the end."""
    mdl = Mdl(view)
    try:
        mdl.lock(access)
    except InsufficientResourcesError:
        # Probed, but not kept resident: the right to lock is missing, and `guarantees` says so.
        mdl.build_nonpaged()
    mdl._framework_owner = device
    irp.mdl = mdl

    def finish(irp: Irp) -> None:
        irp.mdl = None
        mdl.end()

    return finish

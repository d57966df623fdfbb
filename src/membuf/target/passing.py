"""Packets that a device passes on as it received them, to a target that is no device."""

# pyright: reportPrivateUsage=false
# A target and what stands over it are one machine.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.request.buffers import NO_PART, part
from membuf.request.completion import RequestType
from membuf.request.ioctl import BUFFERED_METHOD, NEITHER_METHOD
from membuf.request.protocol import Control
from membuf.target._future import current_loop
from membuf.target._port import Packet, Port

if TYPE_CHECKING:
    from membuf.request.irp import Irp
    from membuf.target.endpoint import Endpoint

CONTROLS: Final = (RequestType.DEVICE_CONTROL, RequestType.INTERNAL_DEVICE_CONTROL)
_TRANSFERS: Final = (RequestType.READ, RequestType.WRITE)
_NOTHING_TO_DO: Final = (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE)


def packet_of(port: Port, irp: Irp) -> Packet:
    """A transfer for what a device received.

    Raises:
        InvalidDeviceStateError: STATUS_INVALID_DEVICE_REQUEST: it is neither read, write nor flush.
    """
    if irp.major == RequestType.FLUSH:
        return Packet(port, irp.major, None, None)
    if irp.major not in _TRANSFERS:
        raise from_status(
            st.STATUS_INVALID_DEVICE_REQUEST, f"{port.name} takes no such request: {irp}"
        )
    memory = memory_of(irp) if irp.length else None
    offset = None if port.stream and not irp.offset else irp.offset
    return Packet(port, irp.major, memory, offset, 0, irp.length)


def control_of(irp: Irp) -> Control:
    """What a device received as a control request, with its memories as its method brings them."""
    method = irp.code & 3
    source = irp.type3_input if method == NEITHER_METHOD else irp.system_buffer
    output = irp.system_buffer
    if method != BUFFERED_METHOD:
        output = irp.user_buffer if method == NEITHER_METHOD else irp.mdl
    return Control(
        irp.major,
        irp.code,
        part(source, 0, irp.input_length) if irp.input_length else NO_PART,
        part(output, 0, irp.output_length) if irp.output_length else NO_PART,
    )


def memory_of(irp: Irp) -> Any:
    """Where the bytes of a read or write are, by its access method."""
    for memory in (irp.system_buffer, irp.mdl, irp.user_buffer):
        if memory is not None:
            return memory
    return None


def forward(endpoint: Endpoint, irp: Irp, *, ignores_state: bool = True) -> None:
    """Carry out what a device passed on for good, and complete it.

    Args:
        endpoint: the target.
        irp: what was passed on.
        ignores_state: whether a stopped or purged target does it all the same.
    """
    if irp.major in _NOTHING_TO_DO:
        irp.complete(st.STATUS_SUCCESS, 0)
        return
    try:
        packet = endpoint.make_irp_packet(irp)
    except MembufError as error:
        irp.complete(error.status, 0)
        return

    def complete(ended: Packet) -> None:
        irp.set_cancel_routine(None)
        ended.release()
        error = ended.failure()
        irp.complete(st.STATUS_SUCCESS if error is None else error.status, ended.information)

    if not irp.set_cancel_routine(lambda _: endpoint.cancel_packet(packet)):
        packet.release()
        irp.complete(st.STATUS_CANCELLED, 0)
        return
    packet.callback, packet.ignores_state = complete, ignores_state
    try:
        endpoint._launch(packet, current_loop())  # noqa: SLF001
    except MembufError as error:
        packet.interrupt(0, error)
        complete(packet)

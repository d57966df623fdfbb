"""Devices of this process as targets: `device:NAME`, and the local target of a device above.

A request is made into a packet when it is formatted, with the buffers that the device's I/O type or
the control code's method asks for, and comes back from the device when that completes it.
"""

# pyright: reportPrivateUsage=false
# A target and the device that it leads to are one machine.
from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.base.integers import exact_index
from membuf.base.status import nt_success
from membuf.bus.attachment import Finish, attach, attach_parts, attach_several
from membuf.bus.registry import register_scheme
from membuf.request.attaching import nothing
from membuf.request.completion import RequestType
from membuf.request.device import Device, find_device
from membuf.request.irp import Irp
from membuf.target._port import Packet, Port
from membuf.target.failures import VERBS
from membuf.target.relay import RelayTarget, errno_of, tell

if TYPE_CHECKING:
    import asyncio

    from membuf._native import Object
    from membuf.request.files import FileObject
    from membuf.request.originator import Handle
    from membuf.request.protocol import Control
    from membuf.target.relay import RelayLane


class DevicePacket(Packet):
    """A packet with what was made for the device when the request was formatted.

    Attributes:
        irp: what the device gets.
        passed: whether it was received, and stays its receiver's to complete.
    """

    def __init__(
        self,
        port: Port,
        kind: int,
        irp: Irp,
        memory: Any = None,
        part: tuple[SupportsIndex, SupportsIndex | None] = (0, None),
        *,
        passed: bool = False,
    ) -> None:
        super().__init__(port, kind, memory, irp.offset, *part, keeps_memory=True)
        self.irp, self.passed = irp, passed
        self.attached: Finish = nothing

    def let_go(self) -> None:
        """Copy back what there is to copy, and let go what was attached; once."""
        finish, self.attached = self.attached, nothing
        finish(self.irp)

    def release(self) -> None:
        """Let the memory go: now, or when it is over."""
        if not self.begun or self.over:
            self.let_go()
        super().release()

    def failure(self) -> MembufError | None:
        """The exception for its end, or None where it ended well."""
        status = self.status
        return None if isinstance(status, st.Status) and nt_success(status) else super().failure()


class Flight:
    """One packet at a device; it stands in for the packet's lane meanwhile.

    Args:
        packet: what was sent to the target.
        irp: what the device gets.
        finish: what is done when it has come back.
        lane: where its end is told; None: on the thread that waits in `wait`.
    """

    def __init__(
        self, packet: Packet, irp: Irp, finish: Finish, lane: RelayLane | None, *, passed: bool
    ) -> None:
        self._packet, self._irp, self._finish, self._lane = packet, irp, finish, lane
        self._passed = passed
        self._back = threading.Event() if lane is None else None
        packet.lane = self

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which its end is told."""
        return None if self._lane is None else self._lane.loop

    def submit(self, device: Device) -> None:
        """Give it to the device."""
        irp = self._irp
        irp.push(self._came_back)
        if self._packet.marked_cancelled:
            irp.cancel()
        device.submit(irp)

    def cancel(self, packet: Packet) -> bool:
        """Ask the device for its early end; whether it lets it be cancelled now."""
        packet.mark_cancelled()
        return not packet.over and self._irp.cancel()

    def wait(self, deadline: float | None) -> None:
        """Wait until it has come back; when the time is up it is cancelled, and waited for."""
        back = self._back
        if back is None:
            return
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not back.wait(left):
                self._packet.timed_out = True
                self.cancel(self._packet)
                back.wait()
        except BaseException:
            self.cancel(self._packet)
            back.wait()
            raise

    def _came_back(self, irp: Irp) -> bool:
        """The device has completed it."""
        self._finish(irp)
        packet, lane, back = self._packet, self._lane, self._back
        status, done = irp.status, irp.information
        if not nt_success(status):
            error = _error_of(packet, status, done)
            packet.interrupt(errno_of(error), error, done)
        else:
            told = status if status and isinstance(packet, DevicePacket) else None
            packet.interrupt(0, told, done)
        if back is not None:
            back.set()
        elif lane is not None:
            packet.lane = lane
            lane.call(partial(tell, packet))
        return self._passed


class DeviceTarget(RelayTarget):
    """A device of this process, as a target.

    Args:
        device: where requests go.
        local: whether it is the local target of a device above: requests keep the file object
            that they came with. Otherwise it has the device open, as a driver (mode "kernel").
        file: the file object that its requests get, of a device that the caller has open.
        parent: the object whose deletion closes the target.

    >>> import membuf
    >>> device = membuf.Device("device-target-doc")
    >>> @device.on_write
    ... def write(request):
    ...     request.complete(information=request.length)
    >>> with membuf.open_target("device:device-target-doc") as target:
    ...     target.write(b"hello")
    5
    """

    def __init__(
        self,
        device: Device,
        *,
        local: bool = False,
        file: FileObject | None = None,
        parent: Object | None = None,
    ) -> None:
        super().__init__(
            f"device:{device.name}",
            offset_alignment=getattr(device, "block_size", 1),
            parent=parent,
        )
        self._device = device
        opens = not local and file is None
        self._handle: Handle | None = device.open(mode="kernel") if opens else None
        self._file = file if self._handle is None else self._handle.file
        self._opened()

    @property
    def device(self) -> Device:
        """Where requests go."""
        return self._device

    @property
    def stack_depth(self) -> int:
        """How many devices a request passes there."""
        return self._device.stack_depth

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Packet:
        """Make the packet of a read or write, with what the device's I/O type asks for.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        self.check_open()
        irp = self._irp(
            RequestType(kind), offset=0 if offset is None else exact_index(offset, "offset")
        )
        packet = DevicePacket(self._port, kind, irp, memory, (memory_offset, memory_length))
        try:
            packet.attached = self._attach(irp, packet)
        except BaseException:
            packet.release()
            raise
        return packet

    def make_control_packet(self, control: Control) -> Packet:
        """Make the packet of a control request, with what its method asks for."""
        self.check_open()
        kind = control.kind
        parts = (control.input, control.output, *control.arguments)
        irp = self._irp(
            RequestType.INTERNAL_DEVICE_CONTROL if kind is RequestType.OTHER else kind,
            code=control.code,
            input_length=control.input.length,
            output_length=control.output.length,
        )
        memories = [part.memory for part in parts if part.memory is not None]
        packet = DevicePacket(self._port, kind, irp, memories or None)
        try:
            packet.attached = attach_parts(self._device, irp, control)
        except BaseException:
            packet.release()
            raise
        return packet

    def make_irp_packet(self, irp: Irp) -> Packet:
        """A packet that passes a received one on as it is."""
        self.check_open()
        return DevicePacket(self._port, irp.major, irp, passed=True)

    def inherit(self, packet: Packet, irp: Irp) -> None:
        """A local target's requests keep the file object that they came with."""
        if self._file is None and isinstance(packet, DevicePacket):
            packet.irp.file = irp.file

    def forward(self, irp: Irp) -> None:
        """Pass a received packet on for good."""
        self._device.submit(irp)

    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Give a packet to the device."""
        self._flight(packet, lane).submit(self._device)

    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Give a packet to the device, and wait until it has come back."""
        before, flight = packet.lane, self._flight(packet, None)
        try:
            flight.submit(self._device)
            flight.wait(deadline)
        finally:
            packet.lane = before  # the flight knows its packet: together they would be a cycle

    def _carry_out(self, packet: Packet, timeout: float | None) -> None:
        self._device.check_may_wait()
        super()._carry_out(packet, timeout)

    def _flight(self, packet: Packet, lane: RelayLane | None) -> Flight:
        if isinstance(packet, DevicePacket):
            finish: Finish = lambda _: packet.let_go()  # noqa: E731
            return Flight(packet, packet.irp, finish, lane, passed=packet.passed)
        irp = self._irp(RequestType(packet.kind), offset=packet.offset)
        return Flight(packet, irp, self._attach(irp, packet), lane, passed=False)

    def _attach(self, irp: Irp, packet: Packet) -> Finish:
        memory, start, length = packet.part
        if packet.vectored:
            return attach_several(self._device, irp, memory)
        irp.length = length
        return attach(self._device, irp, memory, start, length)

    def _irp(self, type: RequestType, **parameters: Any) -> Irp:
        return Irp(
            type,
            mode="kernel",
            file=self._file,
            stack_count=self._device.stack_depth,
            **parameters,
        )

    def _give_back(self) -> None:
        if self._handle is not None:
            self._handle.close()


def _error_of(packet: Packet, status: st.Status, done: int) -> MembufError:
    what = f"{VERBS.get(packet.kind, 'request')} of {packet.port.name} ended with {status}"
    operands = {"done": done, "information": done}
    return from_status(status, what, operands)


def open_device(name: str, *, parent: Object | None = None) -> DeviceTarget:
    """Open a live device of this process as a target; `open_target("device:NAME")` calls this.

    Args:
        name: the device's.
        parent: the object whose deletion closes the target.

    Raises:
        TargetNotFoundError: there is no such device.
    """
    return DeviceTarget(find_device(name), parent=parent)


def local_target(device: Device, *, parent: Object | None = None) -> DeviceTarget:
    """The target by which a device above sends to this one: its `lower`.

    >>> import membuf
    >>> bottom = membuf.Device("local-target-doc")
    >>> @bottom.on_read
    ... def read(request):
    ...     request.output_memory().copy_from(b"deep")
    ...     request.complete(information=4)
    >>> top = membuf.Device(lower=local_target(bottom), filter=True)
    >>> with top.open() as handle:
    ...     handle.read(4)
    b'deep'
    """
    return DeviceTarget(device, local=True, parent=parent)


register_scheme("device", open_device)

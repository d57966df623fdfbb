"""Exports: what a server serves, as it was found when the server opened it."""

# pyright: reportPrivateUsage=false
# A device's target and its device are one machine.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.bus.device import DeviceTarget
from membuf.bus.file import FileTarget
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Flag
from membuf.bus.nbd.server.workers import apart
from membuf.bus.store import StoreTarget
from membuf.mdl import Mdl
from membuf.request import storage
from membuf.request.completion import RequestType
from membuf.request.device import Device
from membuf.request.disk import Disk
from membuf.request.io_type import IoType
from membuf.request.irp import Irp
from membuf.request.originator import Handle
from membuf.request.storage import Range
from membuf.target.filters import Filter
from membuf.target.target import Target

PREFERRED: Final = 4096
_ANSWER_BYTES: Final = 64 * 1024
_NOT_KNOWN: Final = (st.STATUS_INVALID_DEVICE_REQUEST, st.STATUS_NOT_SUPPORTED)

Served = Device | Target
Finish = Callable[[Irp], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is served under a name.

    Attributes:
        name: its name.
        served: the device or target.
        size: its bytes.
        readonly: whether clients may not write.
        block_sizes: smallest, preferred and largest transfer, in bytes.
        trims, zeros, tells: whether what is served trims, makes zeros, and tells where data is.
        write_through: whether it makes a write durable itself where that is asked for.
        description: in words, for who lists exports.
    """

    name: str
    served: Served
    size: int
    readonly: bool
    block_sizes: tuple[int, int, int]
    trims: bool
    zeros: bool
    tells: bool
    write_through: bool
    description: str = ""

    def flags(self, *, structured: bool) -> int:
        """Its transmission flags.

        Every client sees the same bytes and a flush is one for all of them, so several connections
        of one client are no problem.
        """
        flags = Flag.HAS_FLAGS | Flag.SEND_FLUSH | Flag.SEND_FUA | Flag.SEND_CACHE
        flags |= Flag.CAN_MULTI_CONN
        if structured:
            flags |= Flag.SEND_DF
        if self.readonly:
            return int(flags | Flag.READ_ONLY)
        flags |= Flag.SEND_WRITE_ZEROES | Flag.SEND_FAST_ZERO
        return int(flags | Flag.SEND_TRIM if self.trims else flags)

    # ---- packets --------------------------------------------------------------------------------

    @property
    def device(self) -> Device | None:
        """What is served, where it is a device."""
        return self.served if isinstance(self.served, Device) else None

    @property
    def submit(self) -> Callable[[Irp], None]:
        """What takes its packets; they wait while a target is stopped."""
        served = self.served
        return served.submit_checked if isinstance(served, Disk) else served.submit

    @property
    def clears(self) -> bool:
        """Whether the memory of a read is cleared before it goes down.

        What a driver leaves out must not show what other commands carried. Of files and memory it
        is known that they leave nothing out.
        """
        return not isinstance(self.served, (FileTarget, StoreTarget))

    @property
    def stack_depth(self) -> int:
        """How many drivers a packet passes."""
        return self.served.stack_depth

    @property
    def attach(self) -> Callable[[Irp, Memory], Finish] | None:
        """What gives a packet its memory, where that is not simply its system buffer."""
        return {IoType.DIRECT: _attach_pages, IoType.NEITHER: _attach_pointer}.get(self._io_type)

    @property
    def _io_type(self) -> IoType:
        """How the bytes come to what is at the bottom; filters pass them on as they are."""
        bottom = self.served
        while isinstance(bottom, Filter):
            bottom = bottom.lower
        if isinstance(bottom, DeviceTarget):
            bottom = bottom.device
        return bottom.io_type if isinstance(bottom, Device) else IoType.BUFFERED

    async def open(self) -> Handle | None:
        """Open the device for a client; what is no device needs no opening.

        Raises:
            MembufError: it does not let itself be opened.
        """
        device = self.device
        if device is None:
            return None
        if _opens_at_once(device):
            return device.open(mode="kernel")
        return await apart(partial(device.open, mode="kernel"), Handle.close)


def _opens_at_once(device: Device) -> bool:
    """Whether no driver has a say in it, who may take his time."""
    asked = device._on_create is not None or RequestType.CREATE in device._routes  # noqa: SLF001
    return not asked and not device.filter


def _attach_pages(irp: Irp, memory: Memory) -> Finish:
    """Its own pages are there to stay: nothing has to be locked."""
    mdl = Mdl(memory.buffer[: irp.length])
    mdl.build_nonpaged()
    irp.mdl = mdl

    def finish(irp: Irp) -> None:
        irp.mdl = None
        mdl.end()

    return finish


def _attach_pointer(irp: Irp, memory: Memory) -> Finish:
    irp.user_buffer = memory.buffer[: irp.length]

    def finish(irp: Irp) -> None:
        irp.user_buffer = None

    return finish


# ---- opening -------------------------------------------------------------------------------------


async def open_export(
    name: str, served: Served, *, readonly: bool = False, largest: int = nbd.LARGEST_PAYLOAD
) -> Export:
    """Find out what there is to know of a device or target; it answers control requests.

    What a target knows is asked with empty ranges, which change nothing.

    Raises:
        InvalidParameterError: it is no disk: it has no length, or no offsets.
    """
    if isinstance(served, DeviceTarget):
        served = served._device  # noqa: SLF001 - it says how packets bring their memory
    target = DeviceTarget(served) if isinstance(served, Device) else served
    try:
        size = await _length_of(target, name)
        readonly = readonly or not await _is_writable(target)
        trim, zero = storage.trim_input([Range(0, 0)]), storage.zero_input(Range(0, 0))
        smallest = target.offset_alignment
        largest = max(largest, smallest)
        preferred = min(max(smallest, _preferred(served)), largest)
        return Export(
            name=name,
            served=served,
            size=size // smallest * smallest,
            readonly=readonly,
            block_sizes=(smallest, preferred, largest),
            trims=not readonly and await _knows(target, storage.TRIM, trim),
            zeros=not readonly and await _knows(target, storage.ZERO, zero),
            tells=await _knows(target, storage.ALLOCATED, storage.allocated_input(Range(0, 0))),
            write_through=isinstance(served, Disk) and served.write_through,
            description=target.name or "",
        )
    finally:
        if target is not served:
            target.close()


def _preferred(served: Served) -> int:
    return served.preferred_size if isinstance(served, Disk) else PREFERRED


async def _length_of(target: Target, name: str) -> int:
    output = bytearray(8)
    try:
        await target.ioctl_async(storage.GET_LENGTH, None, output)
    except MembufError as error:
        if error.status not in _NOT_KNOWN:
            raise
        raise InvalidParameterError(
            f"{target.name} cannot be served as {name!r}: it has no length. Serve a disk: a "
            "membuf.Disk, a target with offsets, or a device that answers "
            "IOCTL_DISK_GET_LENGTH_INFO"
        ) from error
    return storage.length_of(output)


async def _is_writable(target: Target) -> bool:
    try:
        await target.ioctl_async(storage.IS_WRITABLE)
    except MembufError as error:
        return error.status in _NOT_KNOWN
    return True


async def _knows(target: Target, code: int, data: bytes) -> bool:
    output = bytearray(16) if code == storage.ALLOCATED else None
    try:
        await target.ioctl_async(code, data, output)
    except MembufError:
        return False
    return True

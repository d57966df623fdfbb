"""What a target is asked as a disk: its length, what of it holds data, and what is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.request import storage
from membuf.request.completion import RequestType
from membuf.request.protocol import Control
from membuf.request.storage import Extent, Range
from membuf.target._port import Packet, Port
from membuf.target.controls import Controls

_ANSWER_BYTES: Final = 16384


class StorageTarget(Controls):
    """The half of a target that is asked as a disk; every call is a control request.

    What takes such requests are files, block devices, disks of this process and of others, and
    filters over them.
    """

    __slots__ = ()

    @property
    def size(self) -> int:
        """Its bytes now (IOCTL_DISK_GET_LENGTH_INFO).

        Raises:
            InvalidDeviceStateError: STATUS_INVALID_DEVICE_REQUEST: it has none.
        """
        output = bytearray(8)
        self.ioctl(storage.GET_LENGTH, None, output)
        return storage.length_of(output)

    @property
    def offset_alignment(self) -> int:
        """What offsets and lengths must be multiples of, in bytes; 1 where any will do."""
        return self._port.offset_alignment

    def trim(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        """Say that bytes are not needed any more; what they read as afterwards is not said.

        Source: IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES, the action trim.

        Raises:
            InvalidDeviceStateError: STATUS_INVALID_DEVICE_REQUEST: it does not know how.
            InvalidParameterError: they do not lie inside it.
        """
        self.ioctl(storage.TRIM, storage.trim_input([_range(offset, length)]))

    def zero(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        r"""Have bytes read as zeros without writing them; see `trim`.

        Source: FSCTL_SET_ZERO_DATA.

        >>> import tempfile, membuf
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     with membuf.open_target(f"file:{file.name}") as target:
        ...         count = target.write(b"secret" * 1000)
        ...         target.zero(0, 4096)
        ...         target.read(data := bytearray(8), 4092), bytes(data)
        (8, b'\x00\x00\x00\x00retsec')
        """
        self.ioctl(storage.ZERO, storage.zero_input(_range(offset, length)))

    async def trim_async(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        """As `trim`, awaited."""
        await self.ioctl_async(storage.TRIM, storage.trim_input([_range(offset, length)]))

    async def zero_async(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        """As `zero`, awaited."""
        await self.ioctl_async(storage.ZERO, storage.zero_input(_range(offset, length)))

    def extents(
        self, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> Iterator[Extent]:
        """The data and the holes of it, in order (FSCTL_QUERY_ALLOCATED_RANGES).

        What does not know reports one extent of data.

        Args:
            offset: where to begin to look, in bytes.
            length: how many bytes to look at; None reaches to the end.
        """
        here, end = storage.part_of(self.size, offset, length)
        while here < end:
            asked = Range(here, end - here)
            # An answer that says nothing at all would be asked for again and again.
            found = self._extents(asked) or [Extent(*asked, data=True)]
            yield from found
            here = found[-1].offset + found[-1].length

    def _extents(self, asked: Range) -> list[Extent]:
        output = bytearray(_ANSWER_BYTES)
        whole = True
        try:
            count = self.ioctl(storage.ALLOCATED, storage.allocated_input(asked), output)
        except MembufError as error:
            if error.status == st.STATUS_BUFFER_OVERFLOW:
                whole, count = False, error.operands.get("information", 0)
            elif error.status in (st.STATUS_INVALID_DEVICE_REQUEST, st.STATUS_NOT_SUPPORTED):
                return [Extent(asked.offset, asked.length, data=True)]
            else:
                raise
        return list(storage.extents_of(output[:count], asked, whole=whole))


def _range(offset: SupportsIndex, length: SupportsIndex) -> Range:
    return storage.exact_range(offset, length)


class WorkPacket(Packet):
    """A control request that a thread carries out.

    Args:
        port: the target's.
        disk: what stores the bytes.
        control: what is asked.
    """

    def __init__(self, port: Port, disk: storage.Storage, control: Control) -> None:
        memories = [
            part.memory for part in (control.input, control.output) if part.memory is not None
        ]
        super().__init__(port, RequestType.DEVICE_CONTROL, memories or None, None)
        self._disk, self._control = disk, control

    def work(self, deadline: float | None = None) -> None:
        """Carry it out on this thread; see `Packet.work`."""
        try:
            status, done = perform(self._disk, self._control)
        except MembufError as error:
            self.interrupt(error.errno_of_status or 0, error)
        else:
            self.interrupt(0, _warning(status, done) if status else None, done)


def _warning(status: st.Status, done: int) -> MembufError:
    return from_status(
        status,
        f"the answer is longer than its {done} bytes: ask on behind them",
        {"done": done, "information": done},
    )


def changed_by(control: Control) -> list[Range]:
    """The ranges of a disk that a control request changes; none where it says them wrongly."""
    if control.code not in (storage.TRIM, storage.ZERO):
        return []
    try:
        return storage.ranges_of(control.code, _input(control))
    except MembufError:
        return []


def perform(disk: storage.Storage, control: Control) -> tuple[st.Status, int]:
    """Carry out a control request; the status, and the bytes of its output.

    Raises:
        MembufError: what it ended with.
    """
    room = control.output.length
    answer, status = storage.perform(disk, control.code, _input(control), room)
    return status, put_answer(control, answer)


def put_answer(control: Control, answer: bytes) -> int:
    """Put the answer to a control request into its output; the count of bytes."""
    if answer:
        output = control.output
        view = memoryview(output.memory).cast("B")
        view[output.offset : output.offset + len(answer)] = answer
    return len(answer)


def _input(control: Control) -> bytes:
    source = control.input
    if source.memory is None:
        return b""
    view = memoryview(source.memory).cast("B")
    return bytes(view[source.offset : source.offset + source.length])

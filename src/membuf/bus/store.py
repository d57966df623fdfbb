"""Disks that are nowhere but here: memory (`ram:SIZE`), and nothing at all (`null:SIZE`)."""

# pyright: reportPrivateUsage=false
# A target and what it is made of are one machine.
from __future__ import annotations

import abc
import errno
import mmap
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_errno
from membuf.bus._file import punch
from membuf.bus.registry import register_scheme
from membuf.request.completion import RequestType
from membuf.request.storage import Extent, Range, part_of
from membuf.target._port import Packet
from membuf.target.filters.base import Transfer
from membuf.target.filters.options import size as size_of
from membuf.target.relay import RelayTarget, errno_of
from membuf.target.states import TargetState
from membuf.target.storage import WorkPacket
from membuf.target.target import READ, WRITE

if TYPE_CHECKING:
    from membuf.request.irp import Irp
    from membuf.request.protocol import Control
    from membuf.target.relay import RelayLane

_EVERYTHING: Final = 1 << 62
_STARTED: Final = TargetState.STARTED
_TRANSFERS: Final = (RequestType.READ, RequestType.WRITE)


class StoreTarget(RelayTarget):
    """A target that carries out every transfer at once.

    Args:
        name: what errors and reports call it.
        size: its bytes.
        parent: the object whose deletion closes it.
    """

    def __init__(self, name: str, size: int, parent: Object | None = None) -> None:
        super().__init__(name, parent=parent)
        self._size = size
        self._opened()

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._size

    @property
    def writable(self) -> bool:
        """It is."""
        return True

    @abc.abstractmethod
    def put(self, view: memoryview, offset: int) -> None:
        """Write bytes that lie inside it."""

    @abc.abstractmethod
    def get(self, view: memoryview, offset: int) -> None:
        """Read bytes that lie inside it."""

    @abc.abstractmethod
    def clear(self, range: Range) -> None:
        """Have the bytes read as zeros."""

    def discard(self, range: Range) -> None:
        """Give back what the bytes occupy."""
        self.clear(range)

    @abc.abstractmethod
    def extents(self, offset: Any = 0, length: Any = None) -> Iterator[Extent]:
        """The data and the holes of a part, in order."""

    def make_control_packet(self, control: Control) -> Packet:
        """Take the memories of a control request of disks; see `membuf.request.storage`."""
        self.check_open()
        return WorkPacket(self._port, self, control)

    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Carry out a packet, here and now."""
        if isinstance(packet, WorkPacket):
            packet.work()
            lane.call(packet.finish)
            return
        done, error = self._transfer(packet)
        lane.end(packet, done, error)

    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Carry out a packet on this thread."""
        if isinstance(packet, WorkPacket):
            packet.work()
            return
        done, error = self._transfer(packet)
        packet.interrupt(errno_of(error), error, done)

    def submit(self, irp: Irp) -> None:
        """Carry out the packet of an originator, at once where it is a read or write."""
        view = irp.system_buffer
        if view is None or irp.major not in _TRANSFERS or self._state is not _STARTED:
            super().submit(irp)
            return
        try:
            done = self._move(irp.major, memoryview(view)[: irp.length], irp.offset)
        except MembufError as error:
            self._port.note(irp.major, 0, errno_of(error))
            irp.complete(error.status, 0)
            return
        except ValueError:  # another thread closed it meanwhile
            irp.complete(st.STATUS_INVALID_DEVICE_STATE, 0)
            return
        self._port.note(irp.major, done, 0)
        irp.complete(st.STATUS_SUCCESS, done)

    def _transfer(self, packet: Packet) -> tuple[int, MembufError | None]:
        done = 0
        try:
            for view in Transfer(packet, self).views():
                done += self._move(packet.kind, view, packet.offset + done)
        except MembufError as error:
            return done, error
        return done, None

    def _move(self, kind: int, view: memoryview, offset: int) -> int:
        room = self._size - offset
        if kind == READ:
            if len(view) > room:
                view = view[: max(room, 0)]
            self.get(view, offset)
        elif kind == WRITE:
            if len(view) > room:
                raise from_errno(
                    errno.ENOSPC, f"{len(view)} bytes at {offset}", self._port.name,
                    operands={"offset": offset, "needed": len(view), "available": max(room, 0)},
                )  # fmt: skip
            self.put(view, offset)
        return len(view)


class RamTarget(StoreTarget):
    """A disk in memory; `open_target("ram:64MiB")` makes one. What was never written takes none.

    >>> import membuf
    >>> with membuf.open_target("ram:1MiB") as target:
    ...     count = target.write(b"hello", 65536)
    ...     list(target.extents())[:2]
    [Extent(offset=0, length=65536, data=False), Extent(offset=65536, length=4096, data=True)]
    """

    def __init__(self, size: int, parent: Object | None = None) -> None:
        self._fd = os.memfd_create("membuf-ram", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._fd, size)
            self._map = mmap.mmap(self._fd, size)
        except (OSError, OverflowError) as error:
            os.close(self._fd)
            number = getattr(error, "errno", None) or errno.ENOMEM
            raise from_errno(number, f"ram: cannot have {size} bytes") from error
        self._view = memoryview(self._map)
        super().__init__(f"ram:{size}", size, parent)

    def put(self, view: memoryview, offset: int) -> None:
        """Write."""
        self._view[offset : offset + len(view)] = view

    def get(self, view: memoryview, offset: int) -> None:
        """Read."""
        # To look at a hole through the map would fill it with pages. While a part of the map is
        # held, nothing is given back.
        with self._view[offset : offset + len(view)] as held:
            done = 0
            while done < len(held):
                done += os.preadv(self._fd, [view[done:]], offset + done)

    def clear(self, range: Range) -> None:
        """Give the memory back; it reads as zeros."""
        if range.length:
            punch(self._fd, *range)

    def extents(self, offset: Any = 0, length: Any = None) -> Iterator[Extent]:
        """What was written, page by page, and what was not."""
        here, end = part_of(self._size, offset, length)
        while here < end:
            data = self._seek(here, os.SEEK_DATA, end)
            if data > here:
                yield Extent(here, data - here, data=False)
            if data < end:
                hole = self._seek(data, os.SEEK_HOLE, end)
                yield Extent(data, hole - data, data=True)
                data = hole
            here = data

    def _seek(self, start: int, whence: int, end: int) -> int:
        try:
            return min(os.lseek(self._fd, start, whence), end)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise from_errno(error.errno or errno.EIO, "cannot be searched") from error
            return end

    def _give_back(self) -> None:
        while True:
            try:
                self._view.release()
            except BufferError:  # another thread is copying, and is counted nowhere
                time.sleep(0)
            else:
                break
        self._map.close()
        # The number may soon be another file's.
        fd, self._fd = self._fd, -1
        os.close(fd)


class NullTarget(StoreTarget):
    r"""A disk that forgets what is written and reads as zeros; `open_target("null:")` makes one.

    >>> import membuf
    >>> with membuf.open_target("null:1MiB") as target:
    ...     target.write(b"gone"), target.read(data := bytearray(b"data")), data
    (4, 4, bytearray(b'\x00\x00\x00\x00'))
    """

    def __init__(self, size: int, parent: Object | None = None) -> None:
        super().__init__("null:", size, parent)

    def put(self, view: memoryview, offset: int) -> None:
        """Forget."""

    def get(self, view: memoryview, offset: int) -> None:
        """Zeros."""
        view[:] = bytes(len(view))

    def clear(self, range: Range) -> None:
        """It is clear already."""

    def extents(self, offset: Any = 0, length: Any = None) -> Iterator[Extent]:
        """One hole."""
        here, end = part_of(self._size, offset, length)
        if here < end:
            yield Extent(here, end - here, data=False)


def open_ram(size: str, *, parent: Object | None = None) -> RamTarget:
    """Make a disk in memory; `open_target("ram:64MiB")` calls this.

    Raises:
        InvalidParameterError: it is no size, or 0.
        InsufficientResourcesError: the system has no such room.
    """
    return RamTarget(_size("ram", size), parent)


def open_null(size: str, *, parent: Object | None = None) -> NullTarget:
    """Make a disk that forgets; `open_target("null:")` or `open_target("null:1TiB")` calls this."""
    return NullTarget(_size("null", size) if size else _EVERYTHING, parent)


def _size(scheme: str, text: str) -> int:
    try:
        number = size_of(text)
    except ValueError as error:
        raise InvalidParameterError(
            f"{scheme}: takes a size, as in {scheme}:64MiB; got {text!r}: {error}"
        ) from error
    if not 0 < number <= _EVERYTHING:
        raise InvalidParameterError(f"{scheme}: takes a size of 1 to 2**62 bytes; got {text!r}")
    return number


register_scheme("ram", open_ram)
register_scheme("null", open_null)

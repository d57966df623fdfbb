"""Which commands a read, a write, a flush or a control request of a target takes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Final

from membuf.base import status as st
from membuf.base.errors import from_errno, from_status
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client.exchange import Exchange
from membuf.bus.nbd.client.flight import Later
from membuf.bus.nbd.protocol import Command, CommandFlag, Flag
from membuf.request import storage
from membuf.request.completion import RequestType
from membuf.request.storage import Extent, Range
from membuf.target._port import Packet, Port
from membuf.target.storage import put_answer

if TYPE_CHECKING:
    from membuf.bus.nbd.client.fleet import History
    from membuf.bus.nbd.client.flight import Outcome, Plan
    from membuf.bus.nbd.client.greeting import ExportInfo
    from membuf.request.protocol import Control

_MOST_CHANGED: Final = 1 << 30
"""Bytes of one command without payload; servers do not take 4 GiB."""
_RANGE_BYTES: Final = 16
_ZEROS: Final = memoryview(bytes(1 << 18))
_ZEROS_AT_ONCE: Final = 16


class ControlPacket(Packet):
    """A control request.

    Args:
        port: the target's.
        control: what is asked.

    Attributes:
        control: what is asked.
    """

    def __init__(self, port: Port, control: Control) -> None:
        memories = [
            part.memory for part in (control.input, control.output) if part.memory is not None
        ]
        super().__init__(port, RequestType.DEVICE_CONTROL, memories or None, None)
        self.control = control


class ThroughPacket(Packet):
    """A write that is durable when it has ended."""


Take = Callable[[], list[memoryview]]
"""Answers the memory of a transfer, once it is known to be possible: an error keeps none."""


class Plans:
    """The plans of an export's target.

    Args:
        name: the target's.
        info: what the export is.
        size: its bytes, without a last block that is not whole.
        access: "read", "write" or "read-write".
        history: what a flush has to tell.
    """

    def __init__(
        self, name: str, info: ExportInfo, size: int, access: str, history: History
    ) -> None:
        self._name, self._info, self._history = name, info, history
        self.size = size
        self.readable, self.writable = access != "write", access != "read"

    def __repr__(self) -> str:
        return self._name

    # ---- transfers ------------------------------------------------------------------------------

    def read(self, take: Take, offset: int, length: int) -> Plan:
        """Read what lies inside it."""
        if not self.readable:
            raise from_errno(errno.EBADF, f"{self._name} was opened to be written only")
        length = max(min(length, self.size - offset), 0)
        if length:
            yield self._pieces(Command.READ, take(), Range(offset, length), 0)
        return length, None

    def write(self, take: Take, offset: int, length: int, *, through: bool = False) -> Plan:
        """Write; with `through`, until it is durable."""
        self._check_writable()
        if length and offset + length > self.size:
            available = max(self.size - offset, 0)
            raise from_errno(
                errno.ENOSPC,
                f"{length} bytes at {offset} do not lie inside the {self.size} bytes of "
                f"{self._name}",
                operands={"offset": offset, "needed": length, "available": available},
            )
        has_fua = bool(self._info.flags & Flag.SEND_FUA)
        if length:
            flags = CommandFlag.FUA if through and has_fua else 0
            yield self._pieces(Command.WRITE, take(), Range(offset, length), flags)
        if through and not has_fua:
            yield from self.flush()
        return length, None

    def flush(self) -> Plan:
        """Have the server make durable what it has acknowledged.

        A server that does not offer it has nothing that could be lost.
        """
        flush = Exchange(Command.FLUSH)
        self._history.mark(flush)  # before the look: what is lost later, its end tells
        if self._history.take_lost():
            raise from_errno(errno.EIO, f"flush of {self._name}: {self._history.WORDS}")
        if self._info.flags & Flag.SEND_FLUSH:
            yield [flush]
        return 0, None

    def _pieces(
        self, command: Command, views: list[memoryview], range: Range, flags: int
    ) -> list[Exchange]:
        """Commands for all of a range, each of which the server takes."""
        pieces: list[Exchange] = []
        for offset, length in _cut(range, self._info.maximum_payload):
            part = _part(views, offset - range.offset, length)
            pieces.append(Exchange(command, offset, length, part, flags))
        for view in views:
            view.release()
        return pieces

    # ---- control requests -----------------------------------------------------------------------

    def control(self, control: Control) -> Plan:
        """Carry out a control request of disks; see `membuf.request.storage`."""
        code, room = control.code, control.output.length
        if code in storage.DESCRIBING:
            answer = storage.describe(self, code, room)
            return Later(lambda: (put_answer(control, answer), None))
        if code not in (storage.TRIM, storage.ZERO, storage.ALLOCATED):
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self._name} does not take the control code {code:#x}",
                {"code": code},
            )
        ranges = [
            storage.check_range(self, part) for part in storage.ranges_of(code, _input(control))
        ]
        if code == storage.ALLOCATED:
            return (yield from self._allocated(control, ranges[0], room))
        self._check_writable()
        changed = [part for part in ranges if part.length]
        if code == storage.TRIM:
            yield from self._trim(changed)
        else:
            yield from self._zero(changed)
        return 0, None

    def _trim(self, ranges: list[Range]) -> Plan:
        if not self._info.flags & Flag.SEND_TRIM:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, f"the server of {self._name} has no trim"
            )
        self._check_aligned(ranges)
        yield _each(Command.TRIM, ranges)
        return 0, None

    def _zero(self, ranges: list[Range]) -> Plan:
        """Have the server write zeros; one that does not know how is sent them."""
        self._check_aligned(ranges)
        if self._info.flags & Flag.SEND_WRITE_ZEROES:
            yield _each(Command.WRITE_ZEROES, ranges)
            return 0, None
        most = min(len(_ZEROS), self._info.maximum_payload)
        waiting: list[Exchange] = []
        for part in ranges:
            for offset, length in _cut(part, most):
                waiting.append(Exchange(Command.WRITE, offset, length, [_ZEROS[:length]]))
                if len(waiting) == _ZEROS_AT_ONCE:
                    yield waiting
                    waiting = []
        yield waiting
        return 0, None

    def _allocated(self, control: Control, range: Range, room: int) -> Plan:
        if nbd.ALLOCATION not in self._info.contexts or not range.length:
            extents = [Extent(range.offset, range.length, data=True)] if range.length else []
        else:
            extents = yield from self._extents(range, room // _RANGE_BYTES)
        answer, status = storage.allocated_answer(extents, range, room)

        def put() -> Outcome:
            done = put_answer(control, answer)
            warning = None
            if status:
                warning = from_status(
                    status,
                    f"the answer is longer than its {done} bytes: ask on behind them",
                    {"done": done, "information": done},
                )
            return done, warning

        return Later(put)

    def _extents(self, range: Range, most: int) -> Generator[list[Exchange], None, list[Extent]]:
        """Ask until all of a range is known, or more runs of data than there is room for."""
        block = self._info.minimum_block
        here, end = range.offset, range.offset + range.length
        found: list[Extent] = []
        runs = 0
        while here < end and runs <= most:
            start = here // block * block
            length = min(-(-(end - start) // block) * block, _MOST_CHANGED)
            exchange = Exchange(Command.BLOCK_STATUS, start, length)
            yield [exchange]
            for size, flags in exchange.extents or ():
                stop = min(start + size, end)
                data = not flags & nbd.ZERO
                if stop > here:
                    runs += _append(found, Extent(here, stop - here, data=data))
                    here = stop
                start += size
        return found

    def _check_writable(self) -> None:
        if not self.writable:
            raise from_errno(errno.EROFS, f"{self._name} takes no writes: it is open to be read")

    def _check_aligned(self, ranges: list[Range]) -> None:
        block = self._info.minimum_block
        for part in ranges:
            if (part.offset | part.length) & (block - 1):
                raise from_status(
                    st.STATUS_INVALID_PARAMETER,
                    f"{self._name} takes offsets and lengths in multiples of {block}; got "
                    f"{part.length} bytes at {part.offset}",
                    {"offset": part.offset, "length": part.length, "offset_alignment": block},
                )


def _cut(range: Range, most: int) -> Iterator[tuple[int, int]]:
    here, end = range.offset, range.offset + range.length
    while here < end:
        length = min(end - here, most)
        yield here, length
        here += length


def _each(command: Command, ranges: list[Range]) -> list[Exchange]:
    return [
        Exchange(command, offset, length)
        for part in ranges
        for offset, length in _cut(part, _MOST_CHANGED)
    ]


def _part(views: list[memoryview], start: int, length: int) -> list[memoryview]:
    """A part of what several views show one after the other."""
    part: list[memoryview] = []
    for view in views:
        if start < len(view) and length:
            piece = view[start : start + length]
            part.append(piece)
            length -= len(piece)
        start = max(start - len(view), 0)
    return part


def _append(extents: list[Extent], extent: Extent) -> int:
    """Add an extent, joined with a neighbour of its kind; how many runs of data that adds."""
    if extents and extents[-1].data == extent.data:
        last = extents[-1]
        extents[-1] = Extent(last.offset, last.length + extent.length, extent.data)
        return 0
    extents.append(extent)
    return int(extent.data)


def _input(control: Control) -> bytes:
    source = control.input
    if source.memory is None:
        return b""
    view = memoryview(source.memory).cast("B")
    return bytes(view[source.offset : source.offset + source.length])

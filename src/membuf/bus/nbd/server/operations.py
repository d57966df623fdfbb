"""The commands that are not one packet: trim, zeros, cache, and where data is."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.base.status import Status, nt_error
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Command, CommandFlag
from membuf.bus.nbd.server.export import Export, Finish
from membuf.bus.nbd.server.negotiation import CONTEXT_ID
from membuf.request import storage
from membuf.request.attaching import attach_control, nothing
from membuf.request.completion import RequestType
from membuf.request.irp import Irp
from membuf.request.storage import Extent, Range

_PIECE: Final = 1 << 20
"""Bytes of one transfer, where a command is done by several."""
_ANSWER_BYTES: Final = 64 * 1024
_CHANGING: Final = (Command.TRIM, Command.WRITE_ZEROES)
_NOT_KNOWN: Final = (st.STATUS_INVALID_DEVICE_REQUEST, st.STATUS_NOT_SUPPORTED)


class Asked(Protocol):
    """What a client asks."""

    @property
    def kind(self) -> int:
        """Which command."""
        ...

    @property
    def flags(self) -> int:
        """How it is to be done."""
        ...

    @property
    def offset(self) -> int:
        """Where, in bytes."""
        ...

    @property
    def length(self) -> int:
        """How many bytes."""
        ...


class Operations:
    """What is done for one client by more than one packet, or by control packets.

    Args:
        export: what the client has.
        submit: takes a packet.
        file: what packets carry.
    """

    def __init__(self, export: Export, submit: Callable[[Irp], None], file: Any) -> None:
        self._export, self._submit, self._file = export, submit, file
        self._flying: set[Irp] = set()
        self._cancelled = False

    def cancel(self) -> None:
        """Ask who has its packets to end them: nobody waits for them any more."""
        self._cancelled = True
        for irp in list(self._flying):
            irp.cancel()

    async def perform(self, command: Asked) -> tuple[int, bytes | None]:
        """Do a command.

        Returns:
            The error on the wire or 0, and what a block status answers.
        """
        asked = Range(command.offset, command.length)
        try:
            if command.kind == Command.BLOCK_STATUS:
                return 0, await self._status(asked, one=bool(command.flags & CommandFlag.REQ_ONE))
            await self._do(command, asked)
            if command.flags & CommandFlag.FUA and command.kind in _CHANGING:
                await self._send(self._irp(RequestType.FLUSH))
        except MembufError as error:
            return nbd.error_of(error.status), None
        except MemoryError:
            return errno.ENOMEM, None
        return 0, None

    async def _do(self, command: Asked, range: Range) -> None:
        if command.kind == Command.TRIM:
            if self._export.trims:  # else nobody has lost anything
                await self._control(storage.TRIM, storage.trim_input([range]))
        elif command.kind == Command.WRITE_ZEROES:
            await self._zero(range, command.flags)
        elif command.kind == Command.CACHE:
            await self._transfer(RequestType.READ, range)

    async def _zero(self, range: Range, flags: int) -> None:
        """Have bytes read as zeros; with NO_HOLE they keep their room, so they are written."""
        holes = self._export.zeros and not flags & CommandFlag.NO_HOLE
        if holes:
            try:
                await self._control(storage.ZERO, storage.zero_input(range))
            except MembufError as error:
                if error.status not in _NOT_KNOWN:
                    raise
            else:
                return
        if flags & CommandFlag.FAST_ZERO:
            raise from_status(st.STATUS_NOT_SUPPORTED, "zeros are no faster than writing here")
        await self._transfer(RequestType.WRITE, range)

    async def _status(self, asked: Range, *, one: bool) -> bytes:
        extents = await self._extents(asked) if self._export.tells else []
        extents = extents[:1] if one else extents
        if not extents:
            extents = [Extent(asked.offset, asked.length, data=True)]
        runs = [
            nbd.EXTENT.pack(extent.length, 0 if extent.data else nbd.HOLE | nbd.ZERO)
            for extent in extents
        ]
        return struct.pack(">I", CONTEXT_ID) + b"".join(runs)

    async def _extents(self, asked: Range) -> list[Extent]:
        output = bytearray(_ANSWER_BYTES)
        try:
            status, count = await self._control(
                storage.ALLOCATED, storage.allocated_input(asked), output
            )
        except MembufError as error:
            if error.status not in _NOT_KNOWN:
                raise
            return []
        whole = status != st.STATUS_BUFFER_OVERFLOW
        found = list(storage.extents_of(output[:count], asked, whole=whole))
        return list(_in_blocks(found, asked, self._export.block_sizes[0]))

    # ---- packets --------------------------------------------------------------------------------

    async def _transfer(self, kind: RequestType, range: Range) -> None:
        """Read bytes for nobody, or write zeros."""
        attach = self._export.attach
        memory = Memory(min(range.length, _PIECE), tag="Nbd ", zero=True)
        try:
            for offset in _steps(range):
                length = min(_PIECE, range.offset + range.length - offset)
                irp = self._irp(kind, offset=offset, length=length)
                finish: Finish = nothing
                if attach is None:
                    irp.system_buffer = memory
                else:
                    finish = attach(irp, memory)
                try:
                    await self._send(irp)
                finally:
                    finish(irp)
                if irp.information != length:
                    raise from_status(st.STATUS_IO_DEVICE_ERROR, f"{irp!r} was cut short")
        finally:
            memory.delete()

    async def _control(
        self, code: int, data: bytes, output: bytearray | None = None
    ) -> tuple[Status, int]:
        irp = self._irp(
            RequestType.DEVICE_CONTROL,
            code=code,
            input_length=len(data),
            output_length=0 if output is None else len(output),
        )
        view = None if output is None else memoryview(output)
        device = self._export.device
        if device is not None:
            finish = attach_control(device, irp, memoryview(data), view)
        else:
            finish = _attach_pointers(irp, data, view)
        try:
            await self._send(irp)
        finally:
            finish(irp)
        return irp.status, irp.information

    def _irp(self, kind: RequestType, **parameters: Any) -> Irp:
        depth = self._export.stack_depth
        return Irp(kind, file=self._file, stack_count=depth, **parameters)

    async def _send(self, irp: Irp) -> None:
        """Send a packet and await its end; however that is, nobody touches its memory any more."""
        if self._cancelled:  # the client is gone: nothing further is begun
            raise from_status(st.STATUS_CANCELLED, f"{irp!r} is not sent: the client is gone")
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def told() -> None:
            if not over.done():
                over.set_result(None)

        irp.push(lambda _: _tell(loop, told))
        self._flying.add(irp)
        try:
            self._submit(irp)
            await over
        finally:
            self._flying.discard(irp)
        if nt_error(irp.status):
            raise from_status(irp.status, f"{irp!r} ended with {irp.status}")


def _tell(loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(told)


def _attach_pointers(irp: Irp, data: bytes, output: memoryview | None) -> Callable[[Irp], None]:
    """What is no device takes a control request's memory from where its method says."""
    if irp.code & 3 == 3:
        irp.type3_input, irp.user_buffer = memoryview(data), output
    else:
        irp.system_buffer = memoryview(data)
    return nothing


def _steps(range_: Range) -> Iterator[int]:
    yield from range(range_.offset, range_.offset + range_.length, _PIECE)


def _in_blocks(extents: list[Extent], asked: Range, block: int) -> Iterator[Extent]:
    """The same extents in whole blocks: a block that holds any data is data."""
    here, end = asked.offset, asked.offset + asked.length
    for offset, length, data in extents:
        first = max(offset // block * block, here)
        last = min(-(-(offset + length) // block) * block, end)
        if not data or last <= first:
            continue
        if first > here:
            yield Extent(here, first - here, data=False)
        yield Extent(first, last - first, data=True)
        here = last
    # What is told in part ends with data: behind it nothing is known.
    if extents and not extents[-1].data and here < end:
        yield Extent(here, end - here, data=False)

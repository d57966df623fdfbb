"""A filter that writes elsewhere: what lies below stays as it is."""

# pyright: reportPrivateUsage=false
# A target and what stands over it are one machine.
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, from_status
from membuf.request import storage
from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Send, Steps, Turn, Turns
from membuf.target.filters.options import size
from membuf.target.storage import put_answer
from membuf.target.target import FLUSH, READ, WRITE

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target

_OF_WHAT_LIES_BELOW: Final = (storage.TRIM, storage.ZERO, storage.ALLOCATED)


class Cow(Filter):
    """Copy on write: what is written goes to an overlay, and is read from there.

    Which blocks the overlay has is known only while the target is open.

    Args:
        lower: the target below; nothing is written to it.
        overlay: where blocks are kept that were written to; it is closed with the filter.
        block: bytes of a block.
        parent: the object whose deletion closes all three.

    >>> import os, tempfile, membuf
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     count = file.write(b"as it was"); file.flush()
    ...     with membuf.open_target(f"cow+file:{file.name}") as target:
    ...         data = bytearray(9)
    ...         count = target.write(b"IS", 3)
    ...         count = target.read(data)
    ...     bytes(data), os.pread(file.fileno(), 9, 0)
    (b'as IS was', b'as it was')
    """

    filter_name: ClassVar[str] = "cow"
    options: ClassVar[Options] = {"block": size}

    def __init__(
        self,
        lower: Target,
        *,
        overlay: Target,
        block: int = 4096,
        parent: Object | None = None,
    ) -> None:
        port = lower._port  # noqa: SLF001
        if block < 1 or block % port.offset_alignment or port.stream:
            raise InvalidParameterError(
                f"cow needs a target with offsets, and blocks in multiples of its alignment "
                f"{port.offset_alignment}; got block {block} and {lower!r}"
            )
        super().__init__(lower, parent=parent)
        self._overlay, self._block = overlay, block
        self._written: set[int] = set()
        self._end = super().size
        self._turns = Turns()

    @property
    def size(self) -> int:
        """The bytes of what lies below, or up to the last one written."""
        return self._end

    @property
    def writable(self) -> bool:
        """It is, whatever lies below."""
        return True

    @property
    def blocks(self) -> int:
        """How many blocks the overlay has."""
        return len(self._written)

    def steps(self, transfer: Transfer) -> Steps:
        """Read from where the blocks are, write to the overlay."""
        if transfer.kind == READ:
            return self._read(transfer)
        if transfer.kind == WRITE:
            return self._write(transfer)
        return self._other(transfer)

    def _other(self, transfer: Transfer) -> Steps:
        if transfer.kind == FLUSH:
            return (yield Send(self._overlay, FLUSH))
        control = transfer.control
        if control is not None and control.code in storage.DESCRIBING:
            answer = storage.describe(self, control.code, control.output.length)
            return put_answer(control, answer)
        if control is not None and control.code in _OF_WHAT_LIES_BELOW:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self.name} does not pass the control code {control.code:#x} on: what lies below "
                "is not what it holds",
            )
        return (yield transfer.down())

    # ---- reading --------------------------------------------------------------------------------

    def _read(self, transfer: Transfer) -> Steps:
        length = max(min(transfer.length, self._end - transfer.offset), 0)
        done = 0
        for view in transfer.views():
            part = view[: length - done]
            yield from self._read_part(part, transfer.offset + done)
            done += len(part)
        return done

    def _read_part(self, view: memoryview, offset: int) -> Steps:
        for start, stop, owned in self._runs(offset, len(view)):
            part = view[start - offset : stop - offset]
            target = self._overlay if owned else self._lower
            count = yield Send(target, READ, part, start)
            part[count:] = bytes(len(part) - count)  # past the end of what lies below
        return len(view)

    def _runs(self, offset: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """A part of the target in runs of blocks that lie in one place: start, stop, overlay."""
        end = offset + length
        while offset < end:
            block = offset // self._block
            owned = block in self._written
            while block * self._block < end and (block in self._written) == owned:
                block += 1
            stop = min(block * self._block, end)
            yield offset, stop, owned
            offset = stop

    # ---- writing --------------------------------------------------------------------------------

    def _write(self, transfer: Transfer) -> Steps:
        turn, done = Turn(self._turns), 0
        try:
            yield turn
            for view in transfer.views():
                yield from self._write_part(view, transfer.offset + done)
                done += len(view)
                self._end = max(self._end, transfer.offset + done)
        finally:
            turn.give()
        return done

    def _write_part(self, view: memoryview, offset: int) -> Steps:
        position = 0
        while position < len(view):
            here = offset + position
            inside = here % self._block
            if inside or len(view) - position < self._block:
                count = min(self._block - inside, len(view) - position)
                yield from self._fill_block(here // self._block)
            else:
                count = (len(view) - position) // self._block * self._block
            yield Send(self._overlay, WRITE, view[position : position + count], here)
            blocks = range(here // self._block, (here + count - 1) // self._block + 1)
            self._written.update(blocks)
            position += count
        return position

    def _fill_block(self, block: int) -> Steps:
        """Have the overlay hold a block of which only a part will be written."""
        if block in self._written:
            return 0
        alignment = max(self._port.memory_alignment, 16)
        memory = Memory(self._block, alignment=alignment, zero=True, tag="Cow ")
        try:
            yield Send(self._lower, READ, memory, block * self._block)
            yield Send(self._overlay, WRITE, memory, block * self._block)
        finally:
            memory.delete()
        self._written.add(block)
        return self._block

    def _give_back(self) -> None:
        with contextlib.ExitStack() as both:
            both.callback(self._overlay.close)
            super()._give_back()

"""One transfer: its elements, its bounce buffers, and what the device may touch meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from membuf.dma.backends import Access, Element, Window
from membuf.dma.bounce import Bounce, copy
from membuf.dma.profiles import Direction
from membuf.dma.splitting import Chain
from membuf.mdl import PAGE_SIZE

if TYPE_CHECKING:
    from membuf.dma.backends import Backend


class Reach(NamedTuple):
    """What a device can reach.

    Attributes:
        backend: makes its addresses.
        limit: one past the highest address it drives.
        mask: the low bits of an address that must be zero.
        packet: whether it takes one element only.
    """

    backend: Backend
    limit: int
    mask: int
    packet: bool


class Mapped(NamedTuple):
    """An MDL of a transaction: its bytes, and the window on them, None where there can be none."""

    view: memoryview
    window: Window | None
    addresses: tuple[int, int]
    """The first virtual address, and one past the last."""


class _Piece(NamedTuple):
    """A part of a transfer: bytes of an MDL, which the device sees themselves or by a stand-in."""

    view: memoryview
    mapped: Mapped
    offset: int
    bounce: Bounce | None


class Transfer:
    """What is under way between device and memory, from its preparation until it is flushed.

    Args:
        reach: what the device can reach.
        chain: where the bytes of the transaction lie.
        mapped: its MDLs.
        position: of the first byte of the transfer.
        length: its bytes.
        direction: which way they go.
        owner: for messages.
        former: the transfer before, whose bounce buffers may serve again.
    """

    __slots__ = ("_direction", "_pieces", "_reach", "bounces", "elements", "length")

    def __init__(
        self,
        reach: Reach,
        chain: Chain,
        mapped: Sequence[Mapped],
        position: int,
        length: int,
        direction: Direction,
        owner: str,
        former: Transfer | None,
    ) -> None:
        self._reach, self._direction, self.length = reach, direction, length
        idle = [] if former is None else list(former.bounces)
        self.bounces: list[Bounce] = []
        try:
            self._prepare(chain, mapped, position, idle, owner)
        except BaseException:
            self.release()
            raise
        finally:
            if former is not None:
                former.bounces = idle
                former.release()
        self.elements: tuple[Element, ...] = tuple(self._all_elements())

    @property
    def bounced(self) -> int:
        """How many of its bytes go through bounce buffers."""
        return sum(bounce.length for bounce in self.bounces)

    def begin(self) -> None:
        """Fill the bounce buffers and let the device at it."""
        # Filled for both directions: what a device does not write must come back as it was.
        if self.bounces:
            self._copy(self.length, out=False)
        access: Access = "read" if self._direction == Direction.WRITE_TO_DEVICE else "write"
        for bounce in self.bounces:
            bounce.allow(access)
        for piece in self._pieces:
            if piece.bounce is None and not self._whole:
                window = _window(piece)
                end = piece.offset + len(piece.view)
                self._reach.backend.allow(window, piece.offset, end, access)

    def stop(self) -> None:
        """Let the device at it no longer."""
        for bounce in self.bounces:
            bounce.forbid()
        for piece in self._pieces:
            if piece.mapped.window is not None:
                self._reach.backend.forbid(piece.mapped.window)

    def finish(self, completed: int) -> None:
        """Stop the device and flush what it wrote.

        Args:
            completed: the bytes that it transferred; a packet device's are flushed exactly, a
                scatter/gather list is flushed whole.
        """
        self.stop()
        if self.bounces and self._direction == Direction.READ_FROM_DEVICE:
            self._copy(completed if self._reach.packet else self.length, out=True)

    def release(self) -> None:
        """Give the bounce buffers back."""
        for bounce in self.bounces:
            bounce.release()
        self.bounces = []

    @property
    def _whole(self) -> bool:
        """Whether one bounce buffer stands in for the whole transfer."""
        return len(self.bounces) == 1 and self.bounces[0].length == self.length

    def _prepare(
        self,
        chain: Chain,
        mapped: Sequence[Mapped],
        position: int,
        idle: list[Bounce],
        owner: str,
    ) -> None:
        reach = self._reach
        self._pieces = [
            _Piece(mapped[at].view[offset : offset + length], mapped[at], offset, None)
            for at, offset, length in chain.walk(position, self.length)
        ]
        if reach.packet:
            if not self._is_one_element() or not _reachable(self._pieces[0], reach):
                offset = chain.page_offset(position)
                self._bounce(self.length, offset, idle, owner, contiguous=True)
            return
        for number, piece in enumerate(self._pieces):
            if not _reachable(piece, reach):
                window = piece.mapped.window
                contiguous = window is not None and not window.scattered
                offset = 0 if window is None else (window.page_offset + piece.offset) % PAGE_SIZE
                offset = 0 if offset & reach.mask else offset
                bounce = self._bounce(len(piece.view), offset, idle, owner, contiguous=contiguous)
                self._pieces[number] = piece._replace(bounce=bounce)

    def _bounce(
        self,
        length: int,
        offset: int,
        idle: list[Bounce],
        owner: str,
        *,
        contiguous: bool,
    ) -> Bounce:
        key, reach = (length, offset, contiguous), self._reach
        bounce = next((one for one in idle if one.key == key), None)
        if bounce is not None:
            idle.remove(bounce)
        else:
            bounce = Bounce(
                reach.backend,
                length,
                offset,
                below=reach.limit,
                contiguous=contiguous,
                owner=owner,
            )
        self.bounces.append(bounce)
        return bounce

    def _is_one_element(self) -> bool:
        first, *more = self._pieces
        window = first.mapped.window
        return not more and window is not None and window.count(first.offset, self.length) == 1

    def _all_elements(self) -> list[Element]:
        if self._whole:
            return self.bounces[0].elements()
        elements: list[Element] = []
        for piece in self._pieces:
            if piece.bounce is not None:
                elements += piece.bounce.elements()
            else:
                elements += _window(piece).elements(piece.offset, len(piece.view))
        return elements

    def _copy(self, length: int, *, out: bool) -> None:
        """Between the memory and the bounce buffers, `out` of them or into them."""
        if self._whole:
            pairs = [([piece.view for piece in self._pieces], self.bounces[0], length)]
        else:
            pairs = [
                ([piece.view], piece.bounce, len(piece.view))
                for piece in self._pieces
                if piece.bounce is not None
            ]
        for views, bounce, count in pairs:
            if out:
                copy([bounce.view], views, count)
            else:
                copy(views, [bounce.view], count)


def _window(piece: _Piece) -> Window:
    window = piece.mapped.window
    assert window is not None, "memory without device addresses is bounced"  # noqa: S101
    return window


def _reachable(piece: _Piece, reach: Reach) -> bool:
    """Whether the device can be given the bytes where they lie."""
    window = piece.mapped.window
    if window is None or window.end > reach.limit:
        return False
    return not (window.page_offset + piece.offset) & reach.mask

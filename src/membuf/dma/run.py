"""What an initialised transaction knows: its bytes, how far it is, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from membuf.base import status as st
from membuf.base.errors import AccessViolationError, from_status
from membuf.dma import splitting
from membuf.dma.backends import Backend, CannotMapError, Element
from membuf.dma.profiles import Direction
from membuf.dma.splitting import Chain, Split
from membuf.dma.transfer import Mapped, Transfer
from membuf.mdl import PAGE_SIZE, span_pages

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler
    from membuf.dma.protocols import MdlLike

Program = Callable[..., object]


class Bytes(NamedTuple):
    """The bytes of a transaction: a run of an MDL chain, from an offset in its first MDL."""

    mdl: MdlLike
    offset: int
    length: int


class Ending(NamedTuple):
    """What a completed transfer leads to: None where another one follows."""

    status: st.Status | None
    message: str = ""


@dataclass(slots=True)
class Run:
    """One transaction from its initialisation to its release."""

    enabler: Enabler
    program: Program
    direction: Direction
    request: Any
    owner: str
    chain: Chain
    mapped: list[Mapped]
    length: int
    position: int
    remaining: int
    limit: int
    registers: int
    """Those of the adapter, or the reserved ones."""
    reserved: int
    single: bool
    context: Any = None
    transferred: int = 0
    current: int = 0
    split: Split = field(default_factory=partial(Split, 0, 0))
    held: int = 0
    """Map registers taken from the adapter."""
    needed: int = 0
    transfer: Transfer | None = None
    programmed: bool = False
    granted: Callable[[], object] | None = None
    """While it waits for map registers: what is called when its turn has come."""
    holding_request: bool = False

    def next_split(self) -> Split:
        """How many bytes the next transfer moves, and with how many map registers.

        Raises:
            MembufError: WDF_TOO_FRAGMENTED.
        """
        wanted = min(self.remaining, self.limit)
        if self.enabler.profile.packet:
            if not self.needed:
                whole = wanted == self.length
                self.needed = splitting.packet_registers(
                    self.chain, self.position, wanted, whole=whole
                )
            return splitting.packet(self.chain, self.position, wanted, self.needed, self.reserved)
        elements = splitting.UNLIMITED if self.single else self.enabler.maximum_elements
        return splitting.scatter_gather(self.chain, self.position, wanted, self.registers, elements)

    def prepare(self, split: Split) -> None:
        """Make the next transfer ready, but for its map registers."""
        former, self.transfer = self.transfer, None
        self.split = split
        self.transfer = Transfer(
            self.enabler.reach,
            self.chain,
            self.mapped,
            self.position,
            split.length,
            self.direction,
            self.owner,
            former,
        )
        self.current = split.length
        self.position += split.length
        self.remaining -= split.length

    def ending(self, *, final: bool) -> Ending:
        """Whether another transfer follows, and with which status the transaction ends if not."""
        if self.remaining and self.single:
            return Ending(
                st.STATUS_WDF_TOO_MANY_TRANSFERS,
                f"{self.remaining} bytes remain of a transaction that may have one transfer only",
            )
        return Ending(st.STATUS_SUCCESS if final or not self.remaining else None)

    def took_registers(self) -> None:
        """The map registers of the next transfer are granted."""
        self.granted = None
        self.held = self.split.registers

    def begin(self) -> tuple[Element, ...]:
        """Let the device at the next transfer; its elements."""
        transfer = self.under_way
        self.enabler.count(transfer)
        transfer.begin()
        self.programmed = True
        return transfer.elements

    def flush(self, completed: int) -> None:
        """The device is done with the transfer: flush it and count what it moved."""
        self.programmed = False
        self.under_way.finish(completed)
        self.transferred += completed
        self.remaining += self.current - completed
        self.position -= self.current - completed
        self.current = completed

    @property
    def under_way(self) -> Transfer:
        """The transfer that was prepared last."""
        assert self.transfer is not None, "asked for between preparation and end"  # noqa: S101
        return self.transfer

    def unmap(self) -> None:
        """Let go of the memory."""
        if self.transfer is not None:
            self.transfer.release()
            self.transfer = None
        mapped, self.mapped = self.mapped, []
        release(self.enabler.backend, mapped)


def make(
    enabler: Enabler,
    program: Program,
    direction: Direction,
    part: Bytes,
    request: Any,
    owner: str,
    *,
    reserved: int,
    single: bool,
) -> Run:
    """Check a transaction as its initialisation does, and map its memory.

    Raises:
        BufferTooSmallError: the chain is shorter than the transaction.
        MembufError: WDF_TOO_FRAGMENTED, WDF_TOO_MANY_TRANSFERS or WDF_NOT_ENOUGH_MAP_REGISTERS.
        AccessViolationError: the device would write into read-only memory.
    """
    mdls = list(_walk(part))
    chain = _check_chain(enabler, mdls, part, direction, single=single)
    mapped = _map(enabler, mdls, direction, owner)
    run = Run(
        enabler=enabler,
        program=program,
        direction=direction,
        request=request,
        owner=owner,
        chain=chain,
        mapped=mapped,
        length=part.length,
        position=part.offset,
        remaining=part.length,
        limit=part.length if single else enabler.fragment_length(direction),
        registers=enabler.map_registers,
        reserved=reserved,
        single=single,
    )
    if single:
        try:
            _check_single(run)
        except BaseException:
            run.unmap()
            raise
    return run


def _check_chain(
    enabler: Enabler, mdls: list[MdlLike], part: Bytes, direction: Direction, *, single: bool
) -> Chain:
    chain = Chain((mdl.address % PAGE_SIZE, mdl.byte_count) for mdl in mdls)
    if part.offset + part.length > chain.length:
        raise from_status(
            st.STATUS_BUFFER_TOO_SMALL,
            f"the transaction has {part.length} bytes from offset {part.offset}, "
            f"its MDLs describe {chain.length}",
            {"needed": part.offset + part.length, "available": chain.length},
        )
    if not single and not enabler.profile.packet:
        fragment, elements = enabler.fragment_length(direction), enabler.maximum_elements
        splitting.check_scatter_gather(
            chain, part.offset, part.length, fragment, enabler.map_registers, elements
        )
    return chain


def transfer_info(run: Run) -> tuple[int, int]:
    """The map registers and the elements of all the bytes.

    With version 2 the pages of each MDL, for both; with version 3 neighbours make one element.
    """
    pages = run.chain.pages(run.position, run.length)
    if run.enabler.dma_version < 3:
        return pages, pages
    elements = 0
    for index, offset, length in run.chain.walk(run.position, run.length):
        window = run.mapped[index].window
        page_offset = run.chain.offsets[index] + offset
        elements += (
            span_pages(page_offset, length) if window is None else window.count(offset, length)
        )
    return pages, elements


def release(backend: Backend, mapped: list[Mapped]) -> None:
    """Take the device addresses of MDLs back."""
    for one in mapped:
        if one.window is not None:
            backend.detach(one.window)
        one.view.release()


def _walk(part: Bytes) -> Iterator[MdlLike]:
    """The MDLs that the bytes lie in; the check of the length sees where they end too early."""
    mdl: MdlLike | None = part.mdl
    end = part.offset + part.length
    while mdl is not None and end > 0:
        yield mdl
        end -= mdl.byte_count
        mdl = mdl.next


def _map(enabler: Enabler, mdls: list[MdlLike], direction: Direction, owner: str) -> list[Mapped]:
    mapped: list[Mapped] = []
    try:
        for mdl in mdls:
            view = mdl.buffer[:]
            mapped.append(Mapped(view, None, (mdl.address, mdl.address + mdl.byte_count)))
            _check_writable(mdl, view, direction, owner)
            mapped[-1] = mapped[-1]._replace(window=_window(enabler.backend, mdl, view, owner))
    except BaseException:
        release(enabler.backend, mapped)
        raise
    return mapped


def _check_writable(mdl: MdlLike, view: memoryview, direction: Direction, owner: str) -> None:
    if direction == Direction.READ_FROM_DEVICE and view.readonly:
        raise AccessViolationError(
            f"{owner} writes into memory, but {mdl!r} is read-only: "
            "lock it for write, over a writable buffer"
        )


def _window(backend: Backend, mdl: MdlLike, view: memoryview, owner: str) -> Any:
    contiguous = mdl.page_count == 1 or "contiguous" in mdl.guarantees
    try:
        return backend.attach(view, mdl.address, contiguous=contiguous, owner=owner)
    except CannotMapError:
        return None


def _check_single(run: Run) -> None:
    """Whether the bytes can go in one transfer, by their real elements."""
    enabler = run.enabler
    if run.length > enabler.maximum_length:
        raise from_status(
            st.STATUS_WDF_TOO_MANY_TRANSFERS,
            f"{run.length} bytes in one transfer, the maximum is {enabler.maximum_length}",
            {"needed": run.length, "available": enabler.maximum_length},
        )
    registers, elements = transfer_info(run)
    available = run.reserved or run.registers
    if registers > available:
        raise from_status(
            st.STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS,
            f"one transfer needs {registers} map registers, there are {available}",
            {"needed": registers, "available": available},
        )
    most = 1 if enabler.profile.packet else enabler.maximum_elements
    if elements > most:
        raise splitting.too_fragmented(elements, most)

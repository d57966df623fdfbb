"""How a transaction is split into transfers: pure functions over where its bytes lie.

The rules are the framework's: see section 3.7 of the specification, whose vectors are the tests.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.mdl import PAGE_SIZE, span_pages

UNLIMITED: Final = 0xFFFF_FFFF
"""As many elements as there are."""


class Part(NamedTuple):
    """A piece of a chain inside one of its MDLs."""

    mdl: int
    offset: int
    length: int


class Chain:
    """Where the bytes of an MDL chain lie in their pages.

    Args:
        mdls: for each MDL the offset of its first byte in its page, and its bytes.

    >>> chain = Chain([(0x10, 100), (0, 50)])
    >>> chain.length, list(chain.walk(90, 30))
    (150, [Part(mdl=0, offset=90, length=10), Part(mdl=1, offset=0, length=20)])
    """

    __slots__ = ("length", "offsets", "starts")

    def __init__(self, mdls: Iterable[tuple[int, int]]) -> None:
        self.offsets: list[int] = []
        self.starts: list[int] = []
        self.length = 0
        for offset, length in mdls:
            self.offsets.append(offset)
            self.starts.append(self.length)
            self.length += length

    def walk(self, position: int, length: int) -> Iterator[Part]:
        """The parts of a run of bytes, counted from the start of the chain."""
        index = bisect_right(self.starts, position) - 1
        while length > 0:
            ends = self.starts[index + 1] if index + 1 < len(self.starts) else self.length
            offset = position - self.starts[index]
            part = min(length, ends - position)
            if part > 0:
                yield Part(index, offset, part)
            index += 1
            position += part
            length -= part

    def page_offset(self, position: int) -> int:
        """Where in its page a byte lies."""
        part = next(self.walk(position, 1))
        return (self.offsets[part.mdl] + part.offset) % PAGE_SIZE

    def pages(self, position: int, length: int) -> int:
        """The pages of a run of bytes, counted for each MDL by itself."""
        return sum(
            span_pages(self.offsets[index] + offset, part)
            for index, offset, part in self.walk(position, length)
        )


class Split(NamedTuple):
    """The next transfer: its bytes, and the map registers it takes."""

    length: int
    registers: int


def scatter_gather(
    chain: Chain, position: int, wanted: int, registers: int, elements: int = UNLIMITED
) -> Split:
    """The next transfer of a scatter/gather device.

    A transfer that needs too many map registers is shortened to the end of the last MDL that fits.
    One that has too many elements is refused, counted before it is shortened: the framework does
    not split by elements.

    Args:
        chain: where the bytes lie.
        position: of the first byte, from the start of the chain.
        wanted: the most bytes to transfer; at most (registers - 1) pages.
        registers: how many map registers there are.
        elements: how many elements the device takes.

    Raises:
        MembufError: WDF_TOO_FRAGMENTED.

    >>> ten = Chain([(0, 1000)] * 10)
    >>> scatter_gather(ten, 0, 10000, registers=4)
    Split(length=4000, registers=4)
    """
    required = used = length = 0
    for index, offset, part in chain.walk(position, wanted):
        required += span_pages(chain.offsets[index] + offset, part)
        if required <= registers:
            length += part
            used = required
        elif elements == UNLIMITED:
            break
    if required > elements:
        raise too_fragmented(required, elements)
    return Split(length, used)


def check_scatter_gather(
    chain: Chain, position: int, length: int, fragment: int, registers: int, elements: int
) -> None:
    """Split a whole transaction, as its initialisation does, to refuse it early.

    Raises:
        MembufError: WDF_TOO_FRAGMENTED.

    >>> check_scatter_gather(Chain([(0, 65536)]), 0, 65536, 65536, 64, 16)
    """
    if elements == UNLIMITED:
        return
    while length > 0:
        split = scatter_gather(chain, position, min(length, fragment), registers, elements)
        position += split.length
        length -= split.length


def packet_registers(chain: Chain, position: int, wanted: int, *, whole: bool) -> int:
    """The map registers of every transfer of a packet device, fixed once.

    Args:
        chain: where the bytes lie.
        position: of the first byte.
        wanted: the bytes of the first transfer.
        whole: whether those are the whole transaction; else the worst offset is counted on.

    >>> packet_registers(Chain([(0x123, 200000)]), 0, 65536, whole=False)
    17
    """
    offset = chain.page_offset(position) if whole else PAGE_SIZE - 1
    return span_pages(offset, wanted)


def packet(chain: Chain, position: int, wanted: int, needed: int, reserved: int) -> Split:
    """The next transfer of a packet device.

    Args:
        chain: where the bytes lie.
        position: of the first byte, from the start of the chain.
        wanted: the most bytes to transfer.
        needed: as `packet_registers` answers.
        reserved: map registers that were reserved; 0 for none.

    >>> packet(Chain([(0x123, 50000)]), 0, 50000, 13, 4).length
    16093
    """
    if 0 < reserved < needed:
        room = PAGE_SIZE * (reserved - 1) + PAGE_SIZE - chain.page_offset(position)
        return Split(min(wanted, room), reserved)
    return Split(wanted, needed)


def too_fragmented(required: int, elements: int) -> MembufError:
    """The refusal of a transfer with too many elements."""
    return from_status(
        st.STATUS_WDF_TOO_FRAGMENTED,
        f"a transfer needs {required} elements, the device takes {elements}: "
        "give the enabler a smaller maximum_length",
        operands={"needed": required, "available": elements},
    )

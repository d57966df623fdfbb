"""Device addresses of a run of memory, and what a device may do at them now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Final, Literal, NamedTuple

from membuf.mdl import PAGE_SIZE, span_pages

Access = Literal["read", "write"]

STRIDE: Final = 2 * PAGE_SIZE
"""From one page to the next where frames are scattered: never neighbours, so never one element."""


class Element(NamedTuple):
    """A run of device addresses.

    >>> Element(0x10000, 4096).length
    4096
    """

    address: int
    length: int


_NEW_ELEMENT: Final[Callable[[tuple[int, int]], Element]] = partial(
    tuple.__new__,  # pyright: ignore[reportUnknownMemberType]
    Element,
)
"""Makes an element of a pair: half the cost of a list, where there is one for every page."""


class Grant(NamedTuple):
    """What a device may do in a part of a window, and for whom."""

    start: int
    end: int
    accesses: tuple[Access, ...]
    owner: str


class Window:
    """Device addresses of a run of memory.

    Args:
        base: the device address of the first page.
        memory: the bytes.
        page_offset: where in the first page they begin.
        scattered: the pages are not neighbours, as the frames of ordinary memory are not.
        owner: what the memory belongs to, for the messages of faults.

    >>> window = Window(0x10000, memoryview(bytearray(5000)), 0x800, scattered=True, owner="x")
    >>> window.elements(0, 5000)
    [Element(address=67584, length=2048), Element(address=73728, length=2952)]
    """

    __slots__ = ("base", "grant", "memory", "owner", "page_offset", "scattered", "size")

    def __init__(
        self, base: int, memory: memoryview, page_offset: int, *, scattered: bool, owner: str
    ) -> None:
        self.base = base
        self.memory = memory
        self.page_offset = page_offset
        self.scattered = scattered
        self.owner = owner
        self.size = extent(page_offset, len(memory), scattered=scattered)
        self.grant: Grant | None = None

    @property
    def end(self) -> int:
        """One past its last device address."""
        return self.base + self.size

    def elements(self, offset: int, length: int) -> list[Element]:
        """The device addresses of a part of the memory, in its order."""
        if not self.scattered:
            return [Element(self.base + self.page_offset + offset, length)]
        page, within = divmod(self.page_offset + offset, PAGE_SIZE)
        address = self.base + page * STRIDE
        first = min(PAGE_SIZE - within, length)
        pages, last = divmod(length - first, PAGE_SIZE)
        beyond = address + STRIDE * (pages + 1)
        elements = [Element(address + within, first)]
        addresses = range(address + STRIDE, beyond, STRIDE)
        elements += map(_NEW_ELEMENT, zip(addresses, repeat(PAGE_SIZE), strict=False))
        if last:
            elements.append(Element(beyond, last))
        return elements

    def count(self, offset: int, length: int) -> int:
        """How many elements a part of the memory has."""
        return span_pages(self.page_offset + offset, length) if self.scattered else 1

    def offset_of(self, address: int) -> int | None:
        """Where in the memory a device address leads; None where it lies between pages."""
        inside = address - self.base
        if self.scattered:
            page, inside = divmod(inside, STRIDE)
            if inside >= PAGE_SIZE:
                return None
            inside += page * PAGE_SIZE
        offset = inside - self.page_offset
        return offset if 0 <= offset < len(self.memory) else None

    def reach(self, address: int) -> int:
        """How many bytes from a device address on are neighbours of it."""
        inside = address - self.base
        ends = PAGE_SIZE - inside % STRIDE if self.scattered else self.size - inside
        offset = self.offset_of(address)
        return 0 if offset is None else min(ends, len(self.memory) - offset)


def extent(page_offset: int, length: int, *, scattered: bool) -> int:
    """How many device addresses a window takes."""
    return span_pages(page_offset, length) * (STRIDE if scattered else PAGE_SIZE)

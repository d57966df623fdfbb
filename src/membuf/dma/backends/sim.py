"""Synthetic device addresses, and a table that traps what a device may not touch."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import deque
from typing import ClassVar, Final, NoReturn

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.dma.backends.backend import Backend, fault
from membuf.dma.backends.window import Access, Grant, Window, extent
from membuf.dma.errors import invalid
from membuf.mdl import PAGE_SIZE

FOUR_GIB: Final = 1 << 32
LOW: Final = 1 << 20
REMEMBERED: Final = 256


class Sim(Backend):
    """Synthetic device addresses, as an IOMMU gives them: reproducible, and good for nothing else.

    A device model reads and writes through `translate`, which refuses an address that is not mapped
    at the moment, that is mapped the other way, and a run that leaves its element.

    Addresses of ordinary memory begin at 4 GiB, as its frames do on a machine of today, so that a
    32-bit device needs bounce buffers; those and common buffers get lower ones where the device
    needs that. An address is given again only when the window has been used up.

    Args:
        window: the device addresses of ordinary memory, first and one past the last.
        scatter: the pages of ordinary memory are not neighbours, unless an MDL says they are.

    Source: section 3.15 of the specification, backend `sim`.

    >>> sim = Sim()
    >>> window = sim.attach(memoryview(b"abc"), 0x123, contiguous=False, owner="demo")
    >>> hex(window.elements(0, 3)[0].address)
    '0x100000123'
    >>> sim.allow(window, 0, 3, "read")
    >>> bytes(sim.translate(0x1_0000_0124, 2, "read"))
    b'bc'
    >>> sim.translate(0x1_0000_0124, 2, "write")
    Traceback (most recent call last):
    ...
    membuf.dma.TranslationFaultError: translation fault: write of 2 bytes at device address \
0x100000124: demo is mapped for the device to read
    """

    name: ClassVar[str] = "sim"
    guarantees: ClassVar[frozenset[str]] = frozenset({"synthetic"})

    def __init__(
        self, window: tuple[int, int] = (FOUR_GIB, 1 << 48), *, scatter: bool = True
    ) -> None:
        start, end = window
        if start % PAGE_SIZE or not LOW <= start < end <= 1 << 64:
            raise invalid(
                f"window must begin at a page boundary from {LOW:#x} on, before its end; "
                f"got {start:#x} to {end:#x}",
                start=start,
                end=end,
            )
        self._window, self._scatter = (start, end), scatter
        self._next = {start: start, LOW: LOW}
        self._lock = threading.Lock()
        self._starts: list[int] = []
        self._windows: dict[int, Window] = {}
        self._past: deque[tuple[int, int, str]] = deque(maxlen=REMEMBERED)

    def attach(
        self,
        memory: memoryview,
        address: int,
        *,
        contiguous: bool,
        owner: str,
        below: int | None = None,
    ) -> Window:
        """Give memory device addresses; see `Backend.attach`."""
        scattered = self._scatter and not contiguous
        offset = address % PAGE_SIZE
        size = extent(offset, len(memory), scattered=scattered)
        with self._lock:
            base = self._place(size, below)
            window = Window(base, memory, offset, scattered=scattered, owner=owner)
            insort(self._starts, base)
            self._windows[base] = window
        return window

    def detach(self, window: Window) -> None:
        """Take the addresses back."""
        with self._lock:
            if self._windows.pop(window.base, None) is None:
                return
            del self._starts[bisect_right(self._starts, window.base) - 1]
            self._past.append((window.base, window.end, window.owner))

    def allow(self, window: Window, start: int, end: int, access: Access | None) -> None:
        """Let the device touch a part of a window; `access` None allows both ways."""
        accesses: tuple[Access, ...] = ("read", "write") if access is None else (access,)
        window.grant = Grant(start, end, accesses, window.owner)

    def forbid(self, window: Window) -> None:
        """Let the device touch nothing of a window."""
        window.grant = None

    def translate(self, address: int, length: int, access: Access | None) -> memoryview:
        """The bytes behind a device address; see `Backend.translate`."""
        with self._lock:
            index = bisect_right(self._starts, address) - 1
            window = self._windows[self._starts[index]] if index >= 0 else None
        if window is None or address >= window.end:
            self._unmapped(address, length, access)
        return granted_bytes(window, address, length, access)

    def _unmapped(self, address: int, length: int, access: Access | None) -> NoReturn:
        for start, end, owner in reversed(self._past):
            if start <= address < end:
                fault(f"{owner} has ended", address, length, access, owner)
        fault("nothing is mapped there", address, length, access)

    def _place(self, size: int, below: int | None) -> int:
        start, end = self._window
        if below is not None and below < end:
            start, end = LOW, below
        base = self._free(self._next[start], size)
        if base + size > end:
            base = self._free(start, size)
        if base + size > end:
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES,
                f"no run of {size:#x} device addresses from {start:#x} to {end:#x}",
                {"needed": size},
            )
        self._next[start] = base + size
        return base

    def _free(self, base: int, size: int) -> int:
        """The first address from `base` on where nothing is attached for so long."""
        index = max(bisect_right(self._starts, base) - 1, 0)
        for start in self._starts[index:]:
            if start >= base + size:
                break
            base = max(base, self._windows[start].end)
        return base


def granted_bytes(window: Window, address: int, length: int, access: Access | None) -> memoryview:
    """The bytes at a device address of a window, if the device may touch them now."""
    grant, offset, owner = window.grant, window.offset_of(address), window.owner
    if offset is None:
        fault(f"no byte of {owner} lies there", address, length, access, owner)
    if grant is None:
        fault(f"{owner} has no transfer under way there", address, length, access, owner)
    if length < 1 or length > window.reach(address):
        reach = window.reach(address)
        fault(f"{owner} has {reach} bytes in a row there", address, length, access, owner)
    if not grant.start <= offset <= offset + length <= grant.end:
        reason = f"outside the transfer of {owner}, bytes {grant.start} to {grant.end} of its MDL"
        fault(reason, address, length, access, owner)
    if access is not None and access not in grant.accesses:
        reason = f"{owner} is mapped for the device to {grant.accesses[0]}"
        fault(reason, address, length, access, owner)
    view = window.memory[offset : offset + length]
    writable = access != "read" and "write" in grant.accesses
    return view if writable else view.toreadonly()

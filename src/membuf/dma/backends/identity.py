"""Device addresses that are the virtual ones."""

from __future__ import annotations

import threading
from typing import ClassVar, Final

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.dma.backends.backend import Backend, fault, map_pages
from membuf.dma.backends.sim import FOUR_GIB, granted_bytes
from membuf.dma.backends.window import Access, Grant, Window
from membuf.mdl import PAGE_SIZE

MAP_32BIT: Final = 0x40
"""Of x86: an address in the lowest 2 GiB."""


class Identity(Backend):
    """Device addresses that are the virtual ones, for device code in this process.

    Memory needs no pin, and a run of it is one element. `translate` checks as it does elsewhere,
    but a device that uses the addresses directly is not held up.

    Source: section 3.15 of the specification, backend `self`.

    >>> window = Identity().attach(memoryview(b"abc"), 0x7000_0123, contiguous=False, owner="demo")
    >>> window.elements(1, 2)
    [Element(address=1879048484, length=2)]
    """

    name: ClassVar[str] = "self"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[int, Window] = {}

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
        if below is not None and address + len(memory) > below:
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES,
                f"memory at {address:#x} is not below {below:#x}",
                {"address": address},
            )
        offset = address % PAGE_SIZE
        window = Window(address - offset, memory, offset, scattered=False, owner=owner)
        with self._lock:
            self._windows[id(window)] = window
        return window

    def detach(self, window: Window) -> None:
        """Take the addresses back."""
        with self._lock:
            self._windows.pop(id(window), None)

    def allow(self, window: Window, start: int, end: int, access: Access | None) -> None:
        """Let the device touch a part of a window; `access` None allows both ways."""
        accesses: tuple[Access, ...] = ("read", "write") if access is None else (access,)
        window.grant = Grant(start, end, accesses, window.owner)

    def forbid(self, window: Window) -> None:
        """Let the device touch nothing of a window."""
        window.grant = None

    def allocate(self, size: int, *, below: int, shared: bool) -> Memory:
        """Zeroed whole pages below an address; see `Backend.allocate`."""
        return map_pages(size, shared=shared, flags=MAP_32BIT if below <= FOUR_GIB else 0)

    def translate(self, address: int, length: int, access: Access | None) -> memoryview:
        """The bytes behind a device address; see `Backend.translate`."""
        with self._lock:
            here = [w for w in self._windows.values() if w.base <= address < w.end]
        # The same memory may be attached twice: one that grants the access comes first.
        here.sort(key=lambda window: window.grant is None)
        if not here:
            fault("nothing is mapped there", address, length, access)
        return granted_bytes(here[0], address, length, access)

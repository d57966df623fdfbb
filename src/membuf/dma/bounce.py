"""Bounce buffers: pages that a device reaches, standing in for pages that it does not."""

from __future__ import annotations

from membuf.dma.backends import Access, Backend, Element, Window
from membuf.mdl import PAGE_SIZE, span_pages


class Bounce:
    """A stand-in for a run of bytes that the device cannot reach where they lie.

    Args:
        backend: makes the device addresses.
        length: bytes.
        page_offset: where in its page the first byte lies, here as there.
        below: what all device addresses must be below.
        contiguous: whether the pages must be neighbours.
        owner: for messages.
    """

    __slots__ = ("_backend", "_memory", "key", "length", "view", "window")

    def __init__(
        self,
        backend: Backend,
        length: int,
        page_offset: int,
        *,
        below: int,
        contiguous: bool,
        owner: str,
    ) -> None:
        size = span_pages(page_offset, length) * PAGE_SIZE
        # Never deleted but dropped: the collector may have ended it before its holder.
        self._memory = backend.allocate(size, below=below, shared=False)
        self.view = self._memory.buffer[page_offset : page_offset + length]
        address = self._memory.address + page_offset
        self.window: Window = backend.attach(
            self.view, address, contiguous=contiguous, owner=owner, below=below
        )
        self._backend = backend
        self.length = length
        self.key = (length, page_offset, contiguous)

    def elements(self) -> list[Element]:
        """Its device addresses."""
        return self.window.elements(0, self.length)

    def allow(self, access: Access) -> None:
        """Let the device touch it."""
        self._backend.allow(self.window, 0, self.length, access)

    def forbid(self) -> None:
        """Let the device touch it no longer."""
        self._backend.forbid(self.window)

    def release(self) -> None:
        """Give it back."""
        self._backend.detach(self.window)
        self.view.release()
        del self._memory


def copy(sources: list[memoryview], destinations: list[memoryview], length: int) -> None:
    """Copy the first bytes of one list of buffers into another."""
    source, destination = _Cursor(sources), _Cursor(destinations)
    while length > 0:
        part = min(source.left(), destination.left(), length)
        destination.take(part)[:] = source.take(part)
        length -= part


class _Cursor:
    """A position in a list of buffers."""

    def __init__(self, buffers: list[memoryview]) -> None:
        self._buffers = iter(buffers)
        self._here = memoryview(b"")

    def left(self) -> int:
        while not self._here:
            self._here = next(self._buffers)
        return len(self._here)

    def take(self, count: int) -> memoryview:
        part, self._here = self._here[:count], self._here[count:]
        return part

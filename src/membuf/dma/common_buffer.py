"""Common buffers: memory that device and driver share for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf._native import Memory, Object
from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.integers import exact_index
from membuf.dma.errors import invalid
from membuf.mdl import PAGE_SIZE

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler

MAXIMUM_LENGTH = 0xFFFF_FFFF - PAGE_SIZE


def raw_length(length: int, mask: int) -> int:
    """The bytes to allocate: whole pages are aligned to a page, for more there must be room.

    >>> raw_length(100000, 0xFFFF), raw_length(100000, 15)
    (165535, 100000)
    """
    return length + mask if mask > PAGE_SIZE - 1 else length


def distance(logical_address: int, mask: int) -> int:
    """From the start of the raw memory to the first aligned device address.

    >>> hex(distance(0x13000, 0xFFFF)), distance(0x13000, 15)
    ('0xd000', 0)
    """
    return -logical_address & mask if mask > PAGE_SIZE - 1 else 0


class CommonBuffer(Object):
    """Memory that device and driver share; zeroed, and mapped until it is deleted.

    Made by `Enabler.common_buffer`. Only the device address has an alignment above a page.

    Source: WdfCommonBufferCreate, and section 3.12 of the specification.

    >>> import membuf, membuf.dma
    >>> enabler = membuf.dma.Enabler(membuf.Object(name="nic"))
    >>> common = enabler.common_buffer(100000, alignment=65536)
    >>> common.length, common.logical_address % 65536
    (100000, 0)
    >>> common.buffer[:3] = b"abc"
    >>> bytes(enabler.translate(common.logical_address, 3))
    b'abc'
    """

    def __init__(
        self,
        enabler: Enabler,
        length: SupportsIndex,
        mask: SupportsIndex | None = None,
        *,
        name: str | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        self._enabler = enabler
        self._length = exact_index(length, "length")
        low_bits = enabler.alignment_mask if mask is None else exact_index(mask, "mask")
        _check(self._length, low_bits)
        backend, size = enabler.backend, raw_length(self._length, low_bits)
        limit = enabler.reach.limit
        self._raw = backend.allocate(-(-size // PAGE_SIZE) * PAGE_SIZE, below=limit, shared=True)
        label = f"common buffer {name or hex(id(self))}"
        self._window = backend.attach(
            self._raw.buffer, self._raw.address, contiguous=True, owner=label, below=limit
        )
        self._distance = distance(self._window.base, low_bits)
        backend.allow(self._window, self._distance, self._distance + self._length, None)
        self._on_destroy = on_destroy
        try:
            destroyed = CommonBuffer._destroyed
            super().__init__(name, parent=enabler, on_cleanup=on_cleanup, on_destroy=destroyed)
        except BaseException:
            self._free()
            raise

    @property
    def enabler(self) -> Enabler:
        """The enabler that made it."""
        return self._enabler

    @property
    def length(self) -> int:
        """The bytes asked for (WdfCommonBufferGetLength)."""
        return self._length

    @property
    def address(self) -> int:
        """The virtual address (WdfCommonBufferGetAlignedVirtualAddress)."""
        return self._alive().address + self._distance

    @property
    def logical_address(self) -> int:
        """The device address (WdfCommonBufferGetAlignedLogicalAddress)."""
        self._alive()
        return self._window.base + self._distance

    @property
    def guarantees(self) -> frozenset[str]:
        """What may be claimed of its pages and its device address."""
        return self._enabler.guarantees

    @property
    def buffer(self) -> memoryview:
        """The bytes, as the driver sees them."""
        return self._alive().buffer[self._distance : self._distance + self._length]

    def _alive(self) -> Memory:
        self.reference_count  # noqa: B018 - raises where it is gone
        return self._raw

    def _destroyed(self) -> None:
        try:
            if self._on_destroy is not None:
                self._on_destroy(self)
        finally:
            self._free()

    def _free(self) -> None:
        # Its memory is not deleted but dropped: the collector may have ended it already.
        self._enabler.backend.detach(self._window)
        del self._raw


def _check(length: int, mask: int) -> None:
    if length <= 0:
        raise invalid(f"length must be above 0; got {length}", length=length)
    if mask < 0:
        raise invalid(f"an alignment mask is not negative; got {mask}", mask=mask)
    if raw_length(length, mask) > MAXIMUM_LENGTH:
        raise from_status(
            st.STATUS_INSUFFICIENT_RESOURCES,
            f"{raw_length(length, mask)} bytes for a common buffer, the most is {MAXIMUM_LENGTH}",
            {"needed": raw_length(length, mask), "available": MAXIMUM_LENGTH},
        )

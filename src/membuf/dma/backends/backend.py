"""Where device addresses come from: the seam between DMA and what makes addresses."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from typing import ClassVar, NoReturn

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.dma.backends.window import Access, Window
from membuf.dma.errors import TranslationFaultError


class CannotMapError(MembufError):
    """The device cannot be given this memory: a bounce buffer takes its place."""


class Backend(ABC):
    """Makes device addresses for memory, for one enabler or more.

    A backend of one's own derives from this class and is given to the enabler:
    `Enabler(device, backend=MyBackend())`. An enabler calls, from any thread,

    * `attach` when a transaction is initialised, `detach` when it ends: pin and map there, unmap
      and unpin here;
    * `allow` before each transfer and `forbid` after it, for a backend that can narrow what the
      device may touch at the moment;
    * `allocate` for common buffers and bounce buffers.

    Attributes:
        name: as in `Enabler(backend=name)`.
        guarantees: what may be claimed of memory while it is attached.

    >>> class Shifted(Backend):
    ...     name = "shifted"
    ...     def attach(self, memory, address, *, contiguous, owner, below=None):
    ...         base = (1 << 40) + address // 4096 * 4096
    ...         return Window(base, memory, address % 4096, scattered=False, owner=owner)
    ...     def detach(self, window):
    ...         pass
    >>> Shifted().attach(b"abc", 0x5123, contiguous=False, owner="x").elements(0, 3)
    [Element(address=1099511648547, length=3)]
    """

    name: ClassVar[str]
    guarantees: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def attach(
        self,
        memory: memoryview,
        address: int,
        *,
        contiguous: bool,
        owner: str,
        below: int | None = None,
    ) -> Window:
        """Give memory device addresses.

        Args:
            memory: the bytes, which stay where they are until `detach`.
            address: the virtual address of the first.
            contiguous: whether the frames are known to be neighbours.
            owner: what the memory belongs to, for messages.
            below: all device addresses must be below this one; None for ordinary memory, which
                lies where it lies: the enabler bounces what its device does not reach.

        Raises:
            CannotMapError: memory of a kind that the device cannot be given.
            InsufficientResourcesError: no addresses left.
        """

    @abstractmethod
    def detach(self, window: Window) -> None:
        """Take the addresses back."""

    def allow(self, window: Window, start: int, end: int, access: Access | None) -> None:  # noqa: B027
        """Let the device touch a part of a window; `access` None allows both ways."""

    def forbid(self, window: Window) -> None:  # noqa: B027 - not every backend can
        """Let the device touch nothing of a window."""

    def allocate(self, size: int, *, below: int, shared: bool) -> Memory:
        """Zeroed whole pages that `attach(..., below=below)` takes.

        Args:
            size: bytes.
            below: as for `attach`.
            shared: from a memfd, which can be mapped a second time.

        Raises:
            InsufficientResourcesError: there is no memory.
        """
        return map_pages(size, shared=shared)

    def translate(self, address: int, length: int, access: Access | None) -> memoryview:
        """The bytes behind a device address, for a device modelled in Python.

        Raises:
            TranslationFaultError: not mapped now, the wrong way, or too long.
        """
        fault(
            f"the {self.name} backend does not translate: its device uses the addresses itself",
            address,
            length,
            access,
        )


def fault(
    reason: str, address: int, length: int, access: Access | None, owner: str | None = None
) -> NoReturn:
    """Raise what a device's wrong access comes to."""
    verb = "access" if access is None else access
    raise TranslationFaultError(
        f"translation fault: {verb} of {length} bytes at device address {address:#x}: {reason}",
        operands={"address": address, "length": length, "access": access, "owner": owner},
    )


def map_pages(size: int, *, shared: bool, flags: int = 0) -> Memory:
    """Zeroed whole pages as a memory object: of a memfd, or anonymous ones that survive a fork."""
    try:
        if not shared:
            return Memory.preallocated(mmap.mmap(-1, size, flags=mmap.MAP_SHARED | flags))
        descriptor = os.memfd_create("membuf-dma", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            pages = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | flags)
        finally:
            os.close(descriptor)
    except (OSError, OverflowError) as error:
        raise from_status(
            st.STATUS_INSUFFICIENT_RESOURCES, f"no {size} bytes for the device: {error}"
        ) from None
    return Memory.preallocated(pages)

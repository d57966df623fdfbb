"""What DMA needs of an MDL, a device and a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class MdlLike(Protocol):
    """An MDL."""

    @property
    def address(self) -> int:
        """The virtual address of the first byte."""
        ...

    @property
    def byte_count(self) -> int:
        """How many bytes it describes."""
        ...

    @property
    def page_count(self) -> int:
        """The pages they span."""
        ...

    @property
    def next(self) -> MdlLike | None:
        """The next of its chain."""
        ...

    @property
    def buffer(self) -> memoryview:
        """The bytes."""
        ...

    @property
    def kind(self) -> str:
        """How it was made: "raw" where its pages are not locked."""
        ...

    @property
    def guarantees(self) -> Collection[str]:
        """What may be claimed of its pages."""
        ...

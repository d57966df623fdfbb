"""What tests of DMA share: MDLs at chosen page offsets, and a driver that notes its transfers."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import Any

import membuf
import membuf.dma as dma

PAGE = 4096


def mdl_of(*parts: tuple[int, int], fill: int | None = None) -> membuf.Mdl:
    """A chain of MDLs, each given by its offset in its page and its bytes."""
    chain: membuf.Mdl | None = None
    for offset, count in parts:
        pages = mmap.mmap(-1, -(-(offset + count) // PAGE) * PAGE)
        if fill is not None:
            pages[:] = bytes((fill,)) * len(pages)
        mdl = membuf.Mdl(pages, offset, count)
        chain = mdl if chain is None else chain.chain(mdl)
    assert chain is not None
    return chain


@dataclass
class Driver:
    """An enabler, a transaction, and what its program callback was given."""

    options: dict[str, Any] = field(default_factory=dict)
    device: membuf.Object = field(default_factory=lambda: membuf.Object(name="device"))
    transfers: list[tuple[dma.Element, ...]] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.enabler = dma.Enabler(self.device, **self.options)
        self.t = self.enabler.transaction()

    def program(
        self,
        transaction: dma.Transaction,
        device: membuf.Object,
        context: Any,
        direction: dma.Direction,
        elements: tuple[dma.Element, ...],
    ) -> None:
        """EvtProgramDma."""
        self.transfers.append(elements)

    @property
    def lengths(self) -> list[int]:
        """The bytes of each transfer until now."""
        return [sum(element.length for element in elements) for elements in self.transfers]

    @property
    def counts(self) -> list[int]:
        """The elements of each transfer until now."""
        return [len(elements) for elements in self.transfers]

    def start(
        self, mdl: membuf.Mdl, direction: int = dma.WRITE_TO_DEVICE, context: Any = None
    ) -> dma.Transaction:
        """Initialise and execute."""
        self.t.initialize(self.program, direction, mdl)
        self.t.execute(context)
        return self.t

    def finish(self) -> None:
        """Complete until it ends."""
        while not self.t.completed():
            pass


def driver(**options: Any) -> Driver:
    """A driver with an enabler of these options."""
    return Driver(options)

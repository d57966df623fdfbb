"""A driver that uses DMA by the framework's names, for the cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from membuf import wdf
from membuf.request.device import Device
from tests.dma import mdl_of

READ, WRITE = wdf.WdfDmaDirectionReadFromDevice, wdf.WdfDmaDirectionWriteToDevice
SG, PACKET = wdf.WdfDmaProfileScatterGather64, wdf.WdfDmaProfilePacket64
OK, INVALID = wdf.STATUS_SUCCESS, wdf.STATUS_INVALID_PARAMETER


class World:
    """A driver's enabler and transaction, made by the framework's names."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.device = Device("device", parent=driver)
        self.transfers: list[list[tuple[int, int]]] = []
        self.enabler: Any = None
        self.t: Any = None

    def config(self, profile: int = SG, maximum: int = 65536, **fields: Any) -> Any:
        """A configuration."""
        config = wdf.WDF_DMA_ENABLER_CONFIG()
        wdf.WDF_DMA_ENABLER_CONFIG_INIT(config, profile, maximum)
        for name, value in fields.items():
            setattr(config, name, value)
        return config

    def create(self, *arguments: Any, attributes: Any = None, **fields: Any) -> Any:
        """Create the enabler and a transaction; the enabler's status."""
        config = self.config(*arguments, **fields)
        status, self.enabler = wdf.WdfDmaEnablerCreate(self.device, config, attributes)
        if status == OK:
            created, self.t = wdf.WdfDmaTransactionCreate(self.enabler, None)
            assert created == OK
        return status

    def equip(self, **options: Any) -> None:
        """The same with options that no configuration has: map registers, a backend."""
        verifier = {"verifier": self.driver.verifier, "strict": self.driver.strict}
        self.enabler = dma.Enabler(self.device, **{**verifier, **options})
        self.t = wdf.WdfDmaTransactionCreate(self.enabler, None)[1]

    def program(self, t: Any, device: Any, context: Any, direction: Any, sg_list: Any) -> bool:
        """EvtProgramDma: note the list."""
        elements = [(element.Address, element.Length) for element in sg_list.Elements]
        assert sg_list.NumberOfElements == len(elements)
        self.transfers.append(elements)
        return True

    def initialize(self, mdl: Any, length: int | None = None, direction: int = WRITE) -> Any:
        """Initialise over a chain."""
        total = sum(link.byte_count for link in mdl.walk())
        size = total if length is None else length
        return wdf.WdfDmaTransactionInitialize(
            self.t, self.program, direction, mdl, mdl.address, size
        )

    def start(self, mdl: Any, direction: int = WRITE) -> Any:
        """Initialise and execute."""
        assert self.initialize(mdl, direction=direction) == OK
        return wdf.WdfDmaTransactionExecute(self.t, None)

    @property
    def lengths(self) -> list[int]:
        """The bytes of each transfer."""
        return [sum(length for _, length in elements) for elements in self.transfers]


@contextmanager
def world(**options: Any) -> Iterator[World]:
    """A driver with a device."""
    with wdf.driver("Dma", **options) as driver:
        yield World(driver)


@contextmanager
def stopped(*figures: int) -> Iterator[None]:
    """A bug check of these figures."""
    with pytest.raises(membuf.BugCheck) as raised:
        yield
    error = raised.value
    assert (error.code, error.p1, error.p2, error.p3)[: len(figures)] == figures


def locked(*parts: tuple[int, int]) -> Any:
    """An MDL whose pages are locked, as the verifier wants it."""
    mdl = mdl_of(*parts)
    for link in mdl.walk():
        link.lock()
    return mdl

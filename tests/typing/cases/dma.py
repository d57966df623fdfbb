"""DMA, and hardware in Python."""

from __future__ import annotations

from typing import Any, reveal_type

import membuf
import membuf.dma as dma
from membuf.testing.device_model import DeviceModel, Register


class Hardware(DeviceModel):
    """A register and a doorbell."""

    status = Register(0x00, width=8)
    bell = Register(0x08)

    @bell.on_write
    def rung(self, value: int) -> None:
        reveal_type(self.status)  # int
        self.later(print, "rung", value)


def program(
    transaction: dma.Transaction,
    device: membuf.Object,
    context: Any,
    direction: dma.Direction,
    elements: tuple[dma.Element, ...],
) -> None:
    for address, length in elements:
        reveal_type(address)  # int
        reveal_type(enabler.translate(address, length, "read"))  # memoryview[int]


reveal_type(Hardware.status)  # Register
hardware = Hardware()
reveal_type(hardware.read(0x00))  # int

device = membuf.Object(name="device")
enabler = dma.Enabler(device, profile=dma.SCATTER_GATHER_64, maximum_length=65536)
reveal_type(enabler.statistics().bounced_bytes)  # int
common = enabler.common_buffer(4096, alignment=4096)
reveal_type(common)  # CommonBuffer
reveal_type(common.logical_address)  # int
reveal_type(common.guarantees)  # frozenset[str]

transaction = enabler.transaction()
transaction.initialize(program, dma.WRITE_TO_DEVICE, membuf.Mdl(bytearray(100)))
reveal_type(transaction.transfer_info())  # tuple[int, int]
transaction.execute()
reveal_type(transaction.completed())  # bool
reveal_type(transaction.state)  # TransactionState

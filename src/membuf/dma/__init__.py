"""DMA: enablers, transactions, common buffers, and where device addresses come from.

>>> import membuf.dma
>>> def program(transaction, device, context, direction, elements):
...     for address, length in elements:
...         sent.extend(enabler.translate(address, length, "read"))
>>> sent = bytearray()
>>> device = membuf.Object(name="nic")
>>> enabler = membuf.dma.Enabler(device, profile=membuf.dma.SCATTER_GATHER_64)
>>> t = enabler.transaction()
>>> t.initialize(program, membuf.dma.WRITE_TO_DEVICE, membuf.Mdl(b"a packet"))
>>> t.execute(); t.completed(); t.release()
True
>>> bytes(sent)
b'a packet'
"""

from membuf.dma.backends import Backend, CannotMapError, Element, Identity, Sim, Window
from membuf.dma.common_buffer import CommonBuffer
from membuf.dma.enabler import DmaStatistics, Enabler
from membuf.dma.errors import BackendNotAvailableError, TranslationFaultError
from membuf.dma.power import PowerCallbacks
from membuf.dma.profiles import (
    PACKET,
    PACKET_64,
    READ_FROM_DEVICE,
    SCATTER_GATHER,
    SCATTER_GATHER_64,
    SCATTER_GATHER_64_DUPLEX,
    SCATTER_GATHER_DUPLEX,
    WRITE_TO_DEVICE,
    Direction,
    Profile,
)
from membuf.dma.splitting import UNLIMITED
from membuf.dma.states import TransactionState
from membuf.dma.transaction import Transaction, TransferContext

__all__ = [
    "PACKET",
    "PACKET_64",
    "READ_FROM_DEVICE",
    "SCATTER_GATHER",
    "SCATTER_GATHER_64",
    "SCATTER_GATHER_64_DUPLEX",
    "SCATTER_GATHER_DUPLEX",
    "UNLIMITED",
    "WRITE_TO_DEVICE",
    "Backend",
    "BackendNotAvailableError",
    "CannotMapError",
    "CommonBuffer",
    "Direction",
    "DmaStatistics",
    "Element",
    "Enabler",
    "Identity",
    "PowerCallbacks",
    "Profile",
    "Sim",
    "Transaction",
    "TransactionState",
    "TransferContext",
    "TranslationFaultError",
    "Window",
]

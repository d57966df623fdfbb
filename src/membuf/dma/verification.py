"""DMA verification: mistakes that Windows finds only with its verifier, as bug check 0xE6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from membuf.dma.common_buffer import CommonBuffer
from membuf.dma.engine import TransactionEngine
from membuf.dma.errors import violation

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler
    from membuf.dma.protocols import MdlLike
    from membuf.dma.run import Bytes

BUFFERS_OUTSTANDING: Final = 0x07
REGISTERS_OUTSTANDING: Final = 0x09
LISTS_OUTSTANDING: Final = 0x0A
NOT_LOCKED: Final = 0x0E
MAPPED_TWICE: Final = 0x1D


def check_idle(enabler: Enabler) -> None:
    """An enabler that is deleted has nothing outstanding."""
    children = enabler.children
    for child in children:
        if isinstance(child, CommonBuffer):
            raise violation(BUFFERS_OUTSTANDING, f"{enabler!r} is deleted before {child!r}", child)
    for child in children:
        if not isinstance(child, TransactionEngine):
            continue
        if child.under_way and not enabler.profile.packet:
            raise violation(LISTS_OUTSTANDING, f"the list of {child!r} is outstanding", child)
        if child.under_way or child.holds_registers:
            raise violation(
                REGISTERS_OUTSTANDING, f"map registers of {child!r} are outstanding", child
            )


def check_mdls(enabler: Enabler, part: Bytes) -> None:
    """The pages of a transaction are locked, and no other transaction has them mapped."""
    taken = [
        (child, first, last)
        for child in enabler.children
        if isinstance(child, TransactionEngine)
        for first, last in child.ranges
    ]
    mdl: MdlLike | None = part.mdl
    end = part.offset + part.length
    while mdl is not None and end > 0:
        if mdl.kind == "raw":
            raise violation(NOT_LOCKED, f"the pages of {mdl!r} are not locked", mdl)
        for child, first, last in taken:
            if mdl.address < last and first < mdl.address + mdl.byte_count:
                raise violation(MAPPED_TWICE, f"{child!r} has {mdl!r} mapped already", mdl)
        end -= mdl.byte_count
        mdl = mdl.next

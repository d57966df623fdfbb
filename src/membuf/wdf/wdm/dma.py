"""wdm.h: what DMA hands to drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

__all__ = [
    "FILE_32_BYTE_ALIGNMENT",
    "FILE_64_BYTE_ALIGNMENT",
    "FILE_128_BYTE_ALIGNMENT",
    "FILE_256_BYTE_ALIGNMENT",
    "FILE_512_BYTE_ALIGNMENT",
    "FILE_BYTE_ALIGNMENT",
    "FILE_LONG_ALIGNMENT",
    "FILE_OCTA_ALIGNMENT",
    "FILE_QUAD_ALIGNMENT",
    "FILE_WORD_ALIGNMENT",
    "PHYSICAL_ADDRESS",
    "SCATTER_GATHER_ELEMENT",
    "SCATTER_GATHER_LIST",
]

FILE_BYTE_ALIGNMENT: Final = 0x0
FILE_WORD_ALIGNMENT: Final = 0x1
FILE_LONG_ALIGNMENT: Final = 0x3
FILE_QUAD_ALIGNMENT: Final = 0x7
FILE_OCTA_ALIGNMENT: Final = 0xF
FILE_32_BYTE_ALIGNMENT: Final = 0x1F
FILE_64_BYTE_ALIGNMENT: Final = 0x3F
FILE_128_BYTE_ALIGNMENT: Final = 0x7F
FILE_256_BYTE_ALIGNMENT: Final = 0xFF
FILE_512_BYTE_ALIGNMENT: Final = 0x1FF


class PHYSICAL_ADDRESS(int):
    """A device address: a number, with the parts of the union that it is in C.

    >>> address = PHYSICAL_ADDRESS(0x1_0000_2000)
    >>> address.QuadPart == address, address.HighPart, hex(address.LowPart)
    (True, 1, '0x2000')
    """

    __slots__ = ()

    @property
    def QuadPart(self) -> int:
        """All 64 bits."""
        return int(self)

    @property
    def LowPart(self) -> int:
        """The lower 32 bits."""
        return self & 0xFFFF_FFFF

    @property
    def HighPart(self) -> int:
        """The upper 32 bits."""
        return self >> 32


@dataclass(eq=False, slots=True)
class SCATTER_GATHER_ELEMENT:
    """A run of device addresses.

    Attributes:
        Address: of the first byte.
        Length: bytes.
        Reserved: 0.

    >>> SCATTER_GATHER_ELEMENT().Length
    0
    """

    SIZEOF: ClassVar[int] = 24

    Address: PHYSICAL_ADDRESS = PHYSICAL_ADDRESS(0)  # noqa: RUF009 - it cannot be changed
    Length: int = 0
    Reserved: int = 0


@dataclass(eq=False, slots=True)
class SCATTER_GATHER_LIST:
    """What a program callback gives the device.

    Attributes:
        NumberOfElements: how many there are.
        Reserved: 0.
        Elements: in the order of the bytes.

    >>> SCATTER_GATHER_LIST().NumberOfElements
    0
    """

    SIZEOF: ClassVar[int] = 16

    NumberOfElements: int = 0
    Reserved: int = 0
    Elements: list[SCATTER_GATHER_ELEMENT] = field(default_factory=list["SCATTER_GATHER_ELEMENT"])

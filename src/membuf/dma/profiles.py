"""What a DMA device can do, and which way its data goes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Direction(IntEnum):
    """Which way the data goes.

    >>> Direction.WRITE_TO_DEVICE.value
    1
    """

    READ_FROM_DEVICE = 0
    WRITE_TO_DEVICE = 1


class Profile(IntEnum):
    """What a DMA device can do: the address bits it drives, and the elements it takes at a time.

    Packet devices take one run of addresses a transfer, scatter/gather devices a list of them, and
    duplex devices read and write at the same time, each with map registers of its own.

    >>> Profile.SCATTER_GATHER.address_bits, Profile.PACKET_64.packet
    (32, True)
    """

    PACKET = 1
    SCATTER_GATHER = 2
    PACKET_64 = 3
    SCATTER_GATHER_64 = 4
    SCATTER_GATHER_DUPLEX = 5
    SCATTER_GATHER_64_DUPLEX = 6
    SYSTEM = 7
    SYSTEM_DUPLEX = 8

    @property
    def address_bits(self) -> int:
        """The width of the addresses it drives."""
        return 64 if self in _WIDE else 32

    @property
    def packet(self) -> bool:
        """Whether a transfer must be one run of addresses."""
        return self in (Profile.PACKET, Profile.PACKET_64)

    @property
    def duplex(self) -> bool:
        """Whether the two directions have map registers of their own."""
        return self in (Profile.SCATTER_GATHER_DUPLEX, Profile.SCATTER_GATHER_64_DUPLEX)

    @property
    def system(self) -> bool:
        """Whether it needs the system's DMA controller, which there is none of here."""
        return self in (Profile.SYSTEM, Profile.SYSTEM_DUPLEX)


_WIDE: Final = (Profile.PACKET_64, Profile.SCATTER_GATHER_64, Profile.SCATTER_GATHER_64_DUPLEX)

READ_FROM_DEVICE: Final = Direction.READ_FROM_DEVICE
WRITE_TO_DEVICE: Final = Direction.WRITE_TO_DEVICE

PACKET: Final = Profile.PACKET
PACKET_64: Final = Profile.PACKET_64
SCATTER_GATHER: Final = Profile.SCATTER_GATHER
SCATTER_GATHER_64: Final = Profile.SCATTER_GATHER_64
SCATTER_GATHER_DUPLEX: Final = Profile.SCATTER_GATHER_DUPLEX
SCATTER_GATHER_64_DUPLEX: Final = Profile.SCATTER_GATHER_64_DUPLEX

"""What a device can do by DMA, checked in the framework's order, and the numbers that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import SupportsIndex

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.integers import exact_index
from membuf.dma.errors import invalid
from membuf.dma.profiles import Profile
from membuf.mdl import PAGE_SIZE

ULONG_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device can do by DMA.

    Attributes:
        profile: of the device.
        maximum_length: the most bytes of a transfer, as configured.
        address_bits: the width of the addresses it drives.
        dma_version: 3 or 2.
        map_registers: the pages that an adapter may have under way.
        alignment_mask: the low bits of an address that must be zero.
        single_transfer: whether transactions must go in one transfer.
    """

    profile: Profile
    maximum_length: int
    address_bits: int
    dma_version: int
    map_registers: int
    alignment_mask: int
    single_transfer: bool

    @property
    def fragment_length(self) -> int:
        """The most bytes of a transfer, as the map registers allow."""
        return min(self.maximum_length, (self.map_registers - 1) * PAGE_SIZE)


def capabilities(
    profile: int,
    maximum_length: SupportsIndex,
    address_width: int,
    dma_version: int,
    single_transfer: bool,
    map_registers: int | None,
    alignment_mask: int,
) -> Capabilities:
    """Check what an enabler is made with; section 3.2 of the specification has the order.

    >>> able = capabilities(4, 65536, 0, 3, False, None, 0)
    >>> able.map_registers, able.fragment_length
    (17, 65536)
    """
    kind = _check_profile(profile)
    length = _check_length(maximum_length)
    bits = _check_width(kind, address_width)
    version = _check_version(dma_version, needs_3=address_width != 0)
    if single_transfer and version < 3:
        raise invalid("single transfers need DMA version 3", dma_version=version)
    pages = -(-length // PAGE_SIZE) + 1
    registers = _check_registers(pages if map_registers is None else map_registers)
    mask = 0 if kind.packet else alignment_mask
    return Capabilities(kind, length, bits, version, registers, mask, bool(single_transfer))


def _check_profile(profile: int) -> Profile:
    number = exact_index(profile, "profile")
    if number not in Profile.__members__.values() or Profile(number).system:
        raise invalid(f"profile must be 1 to 6 (no system DMA here); got {number}", profile=number)
    return Profile(number)


def _check_length(maximum_length: SupportsIndex) -> int:
    length = exact_index(maximum_length, "maximum_length")
    if not 0 < length <= ULONG_MAX:
        raise invalid(
            f"maximum_length must be 1 to {ULONG_MAX:#x}; got {length}", maximum_length=length
        )
    return length


def _check_width(profile: Profile, width: int) -> int:
    if width == 0:
        return profile.address_bits
    if width > 63 or (profile.address_bits == 32 and width > 32):
        raise invalid(
            f"address_width must be 24 to {min(63, profile.address_bits)} for {profile.name}; "
            f"got {width}",
            address_width=width,
        )
    if width < 24:
        raise from_status(
            st.STATUS_UNSUCCESSFUL,
            f"there is no adapter of {width} address bits: the least is 24",
            {"address_width": width},
        )
    return width


def _check_version(version: int, *, needs_3: bool) -> int:
    least = 3 if needs_3 else 2
    if not least <= version <= 3:
        raise invalid(f"dma_version must be {least} to 3; got {version}", dma_version=version)
    return version


def _check_registers(count: int) -> int:
    if count < 2:
        raise invalid(f"a device has 2 map registers at least; got {count}", map_registers=count)
    return count

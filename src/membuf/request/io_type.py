"""How reads and writes reach a device's driver."""

from __future__ import annotations

from enum import IntEnum


class IoType(IntEnum):
    """How reads and writes reach a device's driver, with the framework's numbers.

    >>> IoType(2)
    <IoType.BUFFERED: 2>
    """

    NEITHER = 1
    BUFFERED = 2
    DIRECT = 3


NEITHER, BUFFERED, DIRECT = IoType

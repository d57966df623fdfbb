"""The kinds of pool."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class PoolType(IntEnum):
    """Where a block's bytes live, with the framework's numbers.

    NONPAGED is locked into memory as far as the system allows (never executable: NonPagedPoolNx);
    PAGED is ordinary memory.

    >>> int(PoolType.NONPAGED), int(PoolType.PAGED)
    (512, 1)
    """

    NONPAGED = 512
    PAGED = 1


NONPAGED: Final = PoolType.NONPAGED
PAGED: Final = PoolType.PAGED

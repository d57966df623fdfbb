"""Tagged pool: local buffers, lookaside lists, domains and their statistics.

>>> import membuf
>>> block = membuf.pool.allocate(1024, tag="Locl", pool=membuf.PAGED, zero=True)
>>> membuf.pool.free(block, tag="Locl")
"""

from __future__ import annotations

from enum import IntEnum
from typing import SupportsIndex

from membuf._native import Block, LookasideList, allocate, free
from membuf.pool.domain import Domain, LeakError, LiveBlock, current_domain, default_domain
from membuf.pool.statistics import LookasideStatistics, PoolStatistics, TagStatistics

__all__ = [
    "NONPAGED",
    "PAGED",
    "Block",
    "Domain",
    "LeakError",
    "LiveBlock",
    "LookasideList",
    "LookasideStatistics",
    "PoolStatistics",
    "PoolType",
    "TagStatistics",
    "allocate",
    "current_domain",
    "default_domain",
    "free",
    "set_limit",
    "statistics",
    "trim",
]


class PoolType(IntEnum):
    """Where a block's bytes live, with the framework's numbers.

    NONPAGED is locked into memory as far as the system allows (never executable: NonPagedPoolNx);
    PAGED is ordinary memory.

    >>> int(PoolType.NONPAGED), int(PoolType.PAGED)
    (512, 1)
    """

    NONPAGED = 512
    PAGED = 1


NONPAGED = PoolType.NONPAGED
PAGED = PoolType.PAGED


def statistics() -> PoolStatistics:
    """What the current domain counted.

    >>> statistics().limit is None
    True
    """
    return current_domain().statistics()


def set_limit(limit: SupportsIndex | None) -> None:
    """Limit the current domain to so many bytes, idle blocks included; None: no limit.

    Raises:
        InvalidParameterError: a limit of 0 or below.

    >>> set_limit(1 << 30); statistics().limit; set_limit(None)
    1073741824
    """
    current_domain().set_limit(limit)


def trim() -> int:
    """Give idle memory of the current domain back to the system; the bytes given back.

    >>> trim() >= 0
    True
    """
    return current_domain().trim()

"""Tagged pool: local buffers, lookaside lists, domains and their statistics.

>>> import membuf
>>> block = membuf.pool.allocate(1024, tag="Locl", pool=membuf.PAGED, zero=True)
>>> membuf.pool.free(block, tag="Locl")
"""

from membuf._native import Block, LookasideList, allocate, free
from membuf.pool.current import set_limit, statistics, trim
from membuf.pool.domain import Domain, LeakError, LiveBlock, current_domain, default_domain
from membuf.pool.kind import NONPAGED, PAGED, PoolType
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

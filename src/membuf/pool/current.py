"""Calls on the current domain."""

from __future__ import annotations

from typing import SupportsIndex

from membuf.pool.domain import current_domain
from membuf.pool.statistics import PoolStatistics


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

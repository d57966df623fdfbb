"""Times as the framework counts them: in units of 100 ns."""

from __future__ import annotations

import time
from typing import Final

from membuf.base.integers import exact_index

_UNITS_PER_SECOND: Final = 10_000_000
_1601_TO_1970: Final = 11_644_473_600
_LONGLONG: Final = 2**63


def seconds_until(moment: int) -> float:
    """How long it is until a time: below 0 relative to now, above 0 absolute since 1601 (UTC).

    Raises:
        OverflowError: outside a signed 64-bit integer.

    >>> seconds_until(-5_000_000), seconds_until(0)
    (0.5, 0.0)
    """
    units = exact_index(moment, "Timeout")
    if not -_LONGLONG <= units < _LONGLONG:
        raise OverflowError(f"Timeout must fit a signed 64-bit integer; got {units:#x}")
    if units <= 0:
        return -units / _UNITS_PER_SECOND
    return max(0.0, units / _UNITS_PER_SECOND - _1601_TO_1970 - time.time())

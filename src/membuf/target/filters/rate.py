"""A filter that keeps to a rate."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar

from membuf.base.errors import InvalidParameterError
from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Pause, Steps
from membuf.target.filters.options import rate

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target


class Rate(Filter):
    """Lets no more bytes pass in a second than it may.

    What comes too early waits its turn; a pause is not saved up for later.

    Args:
        lower: the target below.
        limit: bytes a second; None for any number.
        parent: the object whose deletion closes both.

    >>> import membuf
    >>> with membuf.open_target("rate(limit=1GiB/s)+file:/dev/null", access="write") as target:
    ...     target.write(bytes(4096))
    4096
    """

    filter_name: ClassVar[str] = "rate"
    options: ClassVar[Options] = {"limit": rate}

    def __init__(
        self, lower: Target, *, limit: float | None = None, parent: Object | None = None
    ) -> None:
        if limit is not None and limit <= 0:
            raise InvalidParameterError(f"a rate must be above 0 bytes a second; got {limit!r}")
        super().__init__(lower, parent=parent)
        self._limit = limit
        self._lock = threading.Lock()
        self._free_at = 0.0

    def steps(self, transfer: Transfer) -> Steps:
        """Wait for its turn, then send it on."""
        wait = self._reserve(transfer.length)
        if wait > 0:
            yield Pause(wait)
        return (yield transfer.down())

    def _reserve(self, length: int) -> float:
        if self._limit is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + length / self._limit
            return begin - now

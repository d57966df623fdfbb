"""A filter that logs what passes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, ClassVar

from membuf.base.errors import MembufError
from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Steps
from membuf.target.filters.options import level, text

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target


class Log(Filter):
    """Writes a record to a logger for every transfer that has ended.

    Args:
        lower: the target below.
        logger: the name of the logger.
        level: the level of the records.
        parent: the object whose deletion closes both.

    >>> import membuf
    >>> with membuf.open_target("log(level=debug)+file:/dev/null", access="write") as target:
    ...     target.write(b"hello")
    5
    """

    filter_name: ClassVar[str] = "log"
    options: ClassVar[Options] = {"logger": text, "level": level}

    def __init__(
        self,
        lower: Target,
        *,
        logger: str = "membuf.target",
        level: int = logging.INFO,
        parent: Object | None = None,
    ) -> None:
        super().__init__(lower, parent=parent)
        self._logger, self._level = logging.getLogger(logger), level

    def steps(self, transfer: Transfer) -> Steps:
        """Send it on, and log how it ended."""
        begin = time.perf_counter()
        try:
            count = yield transfer.down()
        except MembufError as error:
            self._record(transfer, begin, f"failed: {error}")
            raise
        self._record(transfer, begin, f"{count} bytes")
        return count

    def _record(self, transfer: Transfer, begin: float, end: str) -> None:
        took = 1e3 * (time.perf_counter() - begin)
        self._logger.log(
            self._level,
            "%s: %s of %d bytes at %d: %s, %.3f ms",
            self.name,
            transfer.verb,
            transfer.length,
            transfer.offset,
            end,
            took,
        )

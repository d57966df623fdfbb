"""A filter that lets nothing be written."""

from __future__ import annotations

import errno
from typing import ClassVar

from membuf.base.errors import from_errno
from membuf.target.filters.base import Filter, Transfer
from membuf.target.filters.course import Steps
from membuf.target.target import WRITE


class ReadOnly(Filter):
    """Refuses writes with STATUS_MEDIA_WRITE_PROTECTED.

    >>> import membuf
    >>> with membuf.open_target("readonly+file:/dev/null") as target:
    ...     target.write(b"hello")
    Traceback (most recent call last):
    ...
    membuf.TargetError: [Errno 30] readonly+/dev/null takes no writes: Read-only file system
    """

    filter_name: ClassVar[str] = "readonly"

    def steps(self, transfer: Transfer) -> Steps:
        """Refuse a write, send on what else there is."""
        if transfer.kind == WRITE:
            raise from_errno(errno.EROFS, f"{self.name} takes no writes")
        return (yield transfer.down())

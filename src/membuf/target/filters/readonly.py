"""A filter that lets nothing be written."""

from __future__ import annotations

import errno
from typing import ClassVar

from membuf.base.errors import from_errno
from membuf.request import storage
from membuf.target.filters.base import Filter, Transfer
from membuf.target.filters.course import Steps
from membuf.target.target import WRITE


class ReadOnly(Filter):
    """Refuses writes, and what else would change it, with STATUS_MEDIA_WRITE_PROTECTED.

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
        control = transfer.control
        if transfer.kind == WRITE or (control is not None and _changes(control.code)):
            raise from_errno(errno.EROFS, f"{self.name} takes no writes")
        return (yield transfer.down())


def _changes(code: int) -> bool:
    """Whether a control code asks for the right to write, or whether there is one."""
    return storage.changes(code) or code == storage.IS_WRITABLE

"""Where a copy comes from: a file, a block device, or a stream."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from membuf.base.errors import MembufError
from membuf.bus.file import Extent, FileTarget, open_fd, open_file
from membuf.cli.copying.job import STANDARD_STREAM, Job
from membuf.cli.failure import CommandError, ExitCode, unusable

STANDARD_INPUT: Final = "standard input"


class Source:
    """What is read.

    Attributes:
        name: what messages call it.
        target: the I/O target.
        start: the offset of its first byte that is copied.
        size: the bytes to copy, from `start` on; 0: it ends where reading ends.
        mode: its permission bits, or None where they say nothing about a copy.
    """

    def __init__(self, name: str, target: FileTarget) -> None:
        self.name = name
        self.target = target
        self.status = os.fstat(target.fileno())
        regular = stat.S_ISREG(self.status.st_mode)
        self.mode = self.status.st_mode & 0o777 if regular else None
        self.start = 0
        self.size = 0
        if not target.stream:
            self.start = os.lseek(target.fileno(), 0, os.SEEK_CUR)
            # A file of the kernel (/proc) says 0 and still has bytes.
            self.size = max(0, self._length() - self.start)

    @property
    def end(self) -> int:
        """The offset behind the last byte that is copied; known sizes only."""
        return self.start + self.size

    def extents(self) -> list[Extent]:
        """The data and the holes that are copied; known sizes only."""
        return list(self.target.extents(self.start, self.size))

    def check_unchanged(self) -> None:
        """Make sure that the source is as long as it was.

        Raises:
            CommandError: it is not.
        """
        if not self.size or not stat.S_ISREG(self.status.st_mode):
            return
        size = self._length()
        if size < self.end:
            raise self.ended_early(size)
        if size > self.end:
            raise CommandError(
                f"{self.name} grew from {self.end} to {size} bytes while it was copied: "
                f"the copy would end at offset {self.end}",
                ExitCode.CHANGED,
                offset=self.end,
                hint="copy it when nobody writes to it",
            )

    def ended_early(self, offset: int) -> CommandError:
        """The failure for a source that ends before its end."""
        shorter = self._length() < self.end
        return CommandError(
            f"{self.name} ends at offset {offset}, not at {self.end}"
            + (": it became shorter while it was copied" if shorter else ""),
            ExitCode.CHANGED,
            offset=offset,
            hint="copy it when nobody writes to it" if shorter else "",
        )

    def _length(self) -> int:
        status = os.fstat(self.target.fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else self.target.size

    def leave_at(self, offset: int) -> None:
        """Set the position of a standard stream behind what was read, as reading would have."""
        if self.name == STANDARD_INPUT and not self.target.stream:
            os.lseek(self.target.fileno(), offset, os.SEEK_SET)


@contextlib.contextmanager
def open_source(job: Job) -> Iterator[Source]:
    """Open what a job reads.

    Raises:
        CommandError: it is missing, a directory, not permitted, or has no direct I/O.
    """
    standard = job.source == STANDARD_STREAM
    name = STANDARD_INPUT if standard else job.source
    try:
        if standard:
            target = open_fd("0", engine=job.engine)
        else:
            direct = job.direct and has_page_cache(Path(job.source).stat().st_mode)
            target = open_file(job.source, access="read", direct=direct, engine=job.engine)
    except (OSError, MembufError) as error:
        raise unusable(f"cannot open {name}", error) from error
    with target:
        yield Source(name, target)


def has_page_cache(mode: int) -> bool:
    """Whether files of a mode can bypass the page cache: regular files and block devices."""
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)

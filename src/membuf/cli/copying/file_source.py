"""A file, block device or stream as a source."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from membuf.base.errors import MembufError
from membuf.bus import FileTarget, open_target
from membuf.cli.copying.job import Job
from membuf.cli.copying.naming import Place, hint_of
from membuf.cli.copying.source import Source, lowest
from membuf.cli.failure import CommandError, ExitCode, unusable
from membuf.target.target import Target


class FileSource(Source):
    """A file, block device or stream that is read, from where it stands.

    Args:
        place: what names it.
        target: the I/O target: the file's, or a filter over it.
    """

    def __init__(self, place: Place, target: Target) -> None:
        super().__init__(place.name, target)
        self._file = file_under(target)
        self._borrowed = place.scheme == "fd"
        self.status = os.fstat(self._file.fileno())
        self._regular = stat.S_ISREG(self.status.st_mode)
        self.mode = self.status.st_mode & 0o777 if self._regular else None
        self.stream = self._file.stream
        self.engine = self._file.engine
        if not self.stream:
            self.start = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
            # A file of the kernel (/proc) says 0 and still has bytes.
            self.size = max(0, self._length() - self.start)

    def check_unchanged(self) -> None:
        """Make sure that the source is as long as it was.

        Raises:
            CommandError: it is not.
        """
        if not self.size or not self._regular:
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

    def leave_at(self, offset: int) -> None:
        """Set the position of an open file behind what was read, as reading would have."""
        if self._borrowed and not self.stream:
            os.lseek(self._file.fileno(), offset, os.SEEK_SET)

    def _length(self) -> int:
        status = os.fstat(self._file.fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else self._file.size


@contextlib.contextmanager
def open_file_source(job: Job, place: Place) -> Iterator[FileSource]:
    """Open the file, block device or stream that a job reads.

    Raises:
        CommandError: it is missing, a directory, not permitted, or has no direct I/O.
    """
    try:
        if place.scheme == "fd":
            target = open_target(place.uri(), engine=job.engine)
        else:
            direct = job.direct and has_page_cache(Path(place.rest).stat().st_mode)
            target = open_target(place.uri(), access="read", direct=direct, engine=job.engine)
    except (OSError, MembufError) as error:
        failure = unusable(f"cannot open {place.name}", error)
        failure.hint = hint_of(place) if failure.errno == errno.ENOENT else ""
        raise failure from error
    with target:
        yield FileSource(place, target)


def file_under(target: Target) -> FileTarget:
    """The file under all filters of a target."""
    file = lowest(target)
    if not isinstance(file, FileTarget):
        raise TypeError(f"{target!r} is over no file")
    return file


def has_page_cache(mode: int) -> bool:
    """Whether files of a mode can bypass the page cache: regular files and block devices."""
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)

"""A file that appears when it is complete, or a file, device or stream that is written in place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from membuf.base.errors import MembufError
from membuf.bus import open_target
from membuf.bus.file import Access
from membuf.cli.copying.destination import Destination, refuse_protected, refuse_too_small
from membuf.cli.copying.file_source import file_under, has_page_cache
from membuf.cli.copying.job import Job
from membuf.cli.copying.naming import Place, hint_of
from membuf.cli.copying.source import Source
from membuf.cli.copying.staging import StagedFile
from membuf.cli.copying.writeback import WriteBehind
from membuf.cli.failure import CommandError, ExitCode, unusable
from membuf.target.target import Target


class FileDestination(Destination):
    """What is written in place: a block device, a pipe, an open file.

    Args:
        name: what messages call it.
        target: the I/O target: the file's, or a filter over it.
        path: under which it can be opened again.
        direct: whether it is to be, past the page cache.
    """

    def __init__(self, name: str, target: Target, path: str, *, direct: bool = False) -> None:
        super().__init__(name, target)
        self._file = file_under(target)
        self._path = path
        self._direct = direct
        self.stream = self._file.stream
        self.engine = self._file.engine
        self.in_place = not self.stream
        self.durable = has_page_cache(os.fstat(self._file.fileno()).st_mode)
        self.caveat = "" if self.durable else "a stream has no durability"
        self._size = 0 if self.stream else self._file.size
        if not self.stream:
            self.start = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        self._behind = WriteBehind(self._file, self.start)

    def make_hole(self, offset: int, length: int) -> bool:
        """Make bytes read as zeros without writing them; False where that cannot be done.

        `offset` and `length` count bytes from the start of the copy.
        """
        if self.stream:
            return False
        if self.start + offset >= self._size:
            return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        try:
            self._file.punch(self.start + offset, length)
        except MembufError:
            return False
        return True

    def write_rest(self, offset: int, data: bytes) -> None:
        """Write what direct I/O cannot: the last bytes, less than a block of the device."""
        with self._reopen("write") as target:
            target.write(data, self.start + offset)

    def wrote(self, offset: int, length: int) -> None:
        """Have the system begin to write its cache to the device."""
        self._behind.note(offset, length)

    def reopen_for_reading(self) -> contextlib.AbstractContextManager[Target]:
        """A target that reads back what was written, from the device and not from memory."""
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return self._reopen("read", direct=self._direct)

    def end_at(self, total: int) -> None:
        """Let the copy be `total` bytes long, holes at its end included."""
        if self.stream:
            return
        end = self.start + total
        if self._file.size < end:
            self._file.truncate(end)
        os.lseek(self._file.fileno(), end, os.SEEK_SET)

    def _reopen(self, access: Access, *, direct: bool = False) -> Target:
        return open_target(f"file:{self._path}", access=access, direct=direct, engine=self.engine)


class NewFile(FileDestination):
    """A regular file: written without a name, or a hidden one, and named when it is complete.

    A file of that name is replaced then, and keeps its permissions and, where we may, its owner.
    """

    def __init__(self, name: str, staged: StagedFile, target: Target, *, direct: bool) -> None:
        super().__init__(name, target, staged.path, direct=direct)
        self._staged = staged
        self.in_place = False

    def make_hole(self, offset: int, length: int) -> bool:
        """A new file is one hole until it is written."""
        return True

    def end_at(self, total: int) -> None:
        """Let the copy be `total` bytes long, holes at its end included."""
        self._file.truncate(total)

    def commit(self) -> None:
        """Give the file its name; when this returns, name and bytes survive a crash."""
        self._staged.publish()


@contextlib.contextmanager
def open_file_destination(job: Job, place: Place, source: Source) -> Iterator[FileDestination]:
    """Open the file, block device or stream that a job writes.

    Raises:
        CommandError: it is a directory, the source itself, not permitted, or too small.
    """
    if place.scheme == "fd":
        opened = _descriptor(job, place, source)
    else:
        try:
            existing = Path(place.rest).stat()
        except FileNotFoundError:
            existing = None
        except OSError as error:
            raise unusable(f"cannot open {place.name}", error) from error
        if existing is not None:
            _refuse_same(source, existing, place.name)
        if existing is None or stat.S_ISREG(existing.st_mode):
            opened = _new_file(job, place, source, existing)
        else:
            opened = _in_place(job, place, source, existing)
    with opened as destination:
        if place.filters:
            refuse_protected(place.name, destination.target)
        yield destination


@contextlib.contextmanager
def _descriptor(job: Job, place: Place, source: Source) -> Iterator[FileDestination]:
    try:
        target = open_target(place.uri(), engine=job.engine)
    except (OSError, MembufError) as error:
        raise unusable(f"cannot open {place.name}", error) from error
    with target:
        fd = file_under(target).fileno()
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise CommandError(f"{place.name} is not open for writing", ExitCode.UNUSABLE)
        destination = FileDestination(place.name, target, f"/proc/self/fd/{place.rest}")
        _refuse_same(source, os.fstat(fd), place.name)
        yield destination


@contextlib.contextmanager
def _in_place(
    job: Job, place: Place, source: Source, existing: os.stat_result
) -> Iterator[FileDestination]:
    path = place.rest
    if stat.S_ISDIR(existing.st_mode):
        raise CommandError(
            f"{place.name} is a directory",
            ExitCode.UNUSABLE,
            hint=f"name the file: {Path(path, Path(source.name).name)}",
        )
    direct = job.direct and has_page_cache(existing.st_mode)
    with contextlib.ExitStack() as stack:
        try:
            if stat.S_ISBLK(existing.st_mode):
                # Held to the end: the kernel then refuses to mount it meanwhile, and refuses us
                # one that is mounted.
                fd = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
                stack.callback(os.close, fd)
            target = open_target(place.uri(), access="write", direct=direct, engine=job.engine)
        except (OSError, MembufError) as error:
            failure = unusable(f"cannot open {place.name}", error)
            if failure.errno == errno.EBUSY:
                failure.hint = "it is mounted, or a program has it to itself"
            raise failure from error
        stack.enter_context(target)
        destination = FileDestination(place.name, target, path, direct=direct)
        if not destination.stream:
            refuse_too_small(source, place.name, target.size)
        yield destination


@contextlib.contextmanager
def _new_file(
    job: Job, place: Place, source: Source, existing: os.stat_result | None
) -> Iterator[FileDestination]:
    path = place.rest
    try:
        if path.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if existing is not None and not os.access(path, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        permissions = _permissions(source) if existing is None else existing.st_mode & 0o777
        staged = StagedFile(path, existing, permissions)
    except OSError as error:
        failure = unusable(f"cannot create {place.name}", error)
        failure.hint = hint_of(place) if failure.errno == errno.ENOENT else ""
        raise failure from error
    with contextlib.closing(staged):
        uri = place.uri(staged.path)
        try:
            target = open_target(uri, access="write", direct=job.direct, engine=job.engine)
        except (OSError, MembufError) as error:
            raise unusable(f"cannot create {place.name}", error) from error
        with target:
            yield NewFile(place.name, staged, target, direct=job.direct)


def _permissions(source: Source) -> int:
    mask = os.umask(0o777)
    os.umask(mask)
    return (0o666 if source.mode is None else source.mode) & ~mask


def _refuse_same(source: Source, existing: os.stat_result, name: str) -> None:
    if source.status is None:
        return
    kept = has_page_cache(existing.st_mode) or stat.S_ISFIFO(existing.st_mode)
    if kept and os.path.samestat(source.status, existing):
        raise CommandError(f"{source.name} and {name} are the same file", ExitCode.UNUSABLE)

"""Where a copy goes: a file that appears when it is complete, or something written in place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from membuf.base.errors import MembufError
from membuf.bus.file import Access, FileTarget, open_fd, open_file
from membuf.cli.copying.job import STANDARD_STREAM, Job
from membuf.cli.copying.source import Source, has_page_cache
from membuf.cli.copying.staging import StagedFile
from membuf.cli.failure import CommandError, ExitCode, unusable

STANDARD_OUTPUT: Final = "standard output"


class Destination:
    """What is written, in place: a block device, a pipe, standard output.

    Attributes:
        name: what messages call it.
        target: the I/O target.
        start: the offset of the first byte that is written.
        durable: whether the system can promise that what was written survives a crash.
    """

    def __init__(self, name: str, target: FileTarget, path: str, *, direct: bool = False) -> None:
        self.name = name
        self.target = target
        self.start = 0
        self._path = path
        self._direct = direct
        status = os.fstat(target.fileno())
        self.durable = has_page_cache(status.st_mode)
        self._size = 0 if target.stream else target.size
        if not target.stream:
            self.start = os.lseek(target.fileno(), 0, os.SEEK_CUR)

    def make_hole(self, offset: int, length: int) -> bool:
        """Make bytes read as zeros without writing them; False where that cannot be done.

        `offset` and `length` count bytes from the start of the copy.
        """
        if self.target.stream:
            return False
        if self.start + offset >= self._size:
            return stat.S_ISREG(os.fstat(self.target.fileno()).st_mode)
        try:
            self.target.punch(self.start + offset, length)
        except MembufError:
            return False
        return True

    def write_rest(self, offset: int, data: bytes) -> None:
        """Write what direct I/O cannot: the last bytes, less than a block of the device."""
        with self._reopen("write") as target:
            target.write(data, self.start + offset)

    def reopen_for_reading(self) -> FileTarget:
        """A target that reads back what was written, from the device and not from memory."""
        os.posix_fadvise(self.target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return self._reopen("read", direct=self._direct)

    def end_at(self, total: int) -> None:
        """Let the copy be `total` bytes long, holes at its end included."""
        if self.target.stream:
            return
        end = self.start + total
        if self.target.size < end:
            self.target.truncate(end)
        os.lseek(self.target.fileno(), end, os.SEEK_SET)

    def flush(self) -> None:
        """Have the system make the bytes durable."""
        if self.durable:
            self.target.flush()

    def commit(self) -> None:
        """Make the copy what its name stands for."""

    def _reopen(self, access: Access, *, direct: bool = False) -> FileTarget:
        return open_file(self._path, access=access, direct=direct, engine=self.target.engine)


class NewFile(Destination):
    """A regular file: written without a name, or a hidden one, and named when it is complete.

    A file of that name is replaced then, and keeps its permissions and, where we may, its owner.
    """

    def __init__(self, staged: StagedFile, target: FileTarget, *, direct: bool) -> None:
        super().__init__(staged.name, target, staged.path, direct=direct)
        self._staged = staged

    def make_hole(self, offset: int, length: int) -> bool:
        """A new file is one hole until it is written."""
        return True

    def end_at(self, total: int) -> None:
        """Let the copy be `total` bytes long, holes at its end included."""
        self.target.truncate(total)

    def commit(self) -> None:
        """Give the file its name; when this returns, name and bytes survive a crash."""
        self._staged.publish()


@contextlib.contextmanager
def open_destination(job: Job, source: Source) -> Iterator[Destination]:
    """Open what a job writes.

    Raises:
        CommandError: it is a directory, the source itself, not permitted, or too small.
    """
    if job.destination == STANDARD_STREAM:
        with _standard_output(job) as destination:
            _refuse_same(source, os.fstat(destination.target.fileno()), STANDARD_OUTPUT)
            yield destination
        return
    try:
        existing = Path(job.destination).stat()
    except FileNotFoundError:
        existing = None
    except OSError as error:
        raise unusable(f"cannot open {job.destination}", error) from error
    if existing is not None:
        _refuse_same(source, existing, job.destination)
    if existing is None or stat.S_ISREG(existing.st_mode):
        opened = _new_file(job, source, existing)
    else:
        opened = _in_place(job, source, existing)
    with opened as destination:
        yield destination


@contextlib.contextmanager
def _standard_output(job: Job) -> Iterator[Destination]:
    try:
        target = open_fd("1", engine=job.engine)
    except (OSError, MembufError) as error:
        raise unusable(f"cannot open {STANDARD_OUTPUT}", error) from error
    with target:
        flags = fcntl.fcntl(target.fileno(), fcntl.F_GETFL)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise CommandError(f"{STANDARD_OUTPUT} is not open for writing", ExitCode.UNUSABLE)
        yield Destination(STANDARD_OUTPUT, target, "/proc/self/fd/1")


@contextlib.contextmanager
def _in_place(job: Job, source: Source, existing: os.stat_result) -> Iterator[Destination]:
    name = job.destination
    if stat.S_ISDIR(existing.st_mode):
        raise CommandError(
            f"{name} is a directory",
            ExitCode.UNUSABLE,
            hint=f"name the file: {Path(name, Path(source.name).name)}",
        )
    direct = job.direct and has_page_cache(existing.st_mode)
    with contextlib.ExitStack() as stack:
        try:
            if stat.S_ISBLK(existing.st_mode):
                # Held to the end: the kernel then refuses to mount it meanwhile, and refuses us
                # one that is mounted.
                fd = os.open(name, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
                stack.callback(os.close, fd)
            target = open_file(
                name,
                access="write",
                direct=direct,
                engine=job.engine,
            )
        except (OSError, MembufError) as error:
            failure = unusable(f"cannot open {name}", error)
            if failure.errno == errno.EBUSY:
                failure.hint = "it is mounted, or a program has it to itself"
            raise failure from error
        destination = Destination(name, stack.enter_context(target), name, direct=direct)
        _refuse_too_small(source, destination)
        yield destination


@contextlib.contextmanager
def _new_file(job: Job, source: Source, existing: os.stat_result | None) -> Iterator[Destination]:
    name = job.destination
    try:
        if name.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if existing is not None and not os.access(name, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        permissions = _permissions(source) if existing is None else existing.st_mode & 0o777
        staged = StagedFile(name, existing, permissions)
    except OSError as error:
        raise unusable(f"cannot create {name}", error) from error
    with contextlib.closing(staged):
        try:
            target = open_file(
                staged.path,
                access="write",
                direct=job.direct,
                engine=job.engine,
            )
        except (OSError, MembufError) as error:
            raise unusable(f"cannot create {name}", error) from error
        with target:
            yield NewFile(staged, target, direct=job.direct)


def _permissions(source: Source) -> int:
    mask = os.umask(0o777)
    os.umask(mask)
    return (0o666 if source.mode is None else source.mode) & ~mask


def _refuse_same(source: Source, existing: os.stat_result, name: str) -> None:
    kept = has_page_cache(existing.st_mode) or stat.S_ISFIFO(existing.st_mode)
    if kept and os.path.samestat(source.status, existing):
        raise CommandError(f"{source.name} and {name} are the same file", ExitCode.UNUSABLE)


def _refuse_too_small(source: Source, destination: Destination) -> None:
    if destination.target.stream:
        return
    room = destination.target.size
    if room < source.size:
        raise CommandError(
            f"{destination.name} holds {room} bytes, and {source.name} has {source.size}",
            ExitCode.FULL,
            offset=room,
        )

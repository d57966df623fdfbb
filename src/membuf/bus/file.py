"""Files, block devices, pipes and open descriptors as targets."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, SupportsIndex

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_errno, from_status
from membuf.base.integers import exact_index
from membuf.bus._file import punch, start_writeback, zero
from membuf.bus.limits import Limits, limits_of
from membuf.bus.registry import register_scheme
from membuf.request.storage import Extent, Range
from membuf.target._port import Packet, Port
from membuf.target.choice import make_engine
from membuf.target.engine import Engine
from membuf.target.storage import WorkPacket
from membuf.target.target import Target
from membuf.target.threads import ThreadEngine

if TYPE_CHECKING:
    import asyncio

    from membuf.request.protocol import Control

Access = Literal["read", "write", "read-write"]

_WORKERS: Final = 4
"""Threads at most that carry out control requests."""

_ACCESS: Final[dict[str, int]] = {
    "read": os.O_RDONLY,
    "write": os.O_WRONLY,
    "read-write": os.O_RDWR,
}


class FileTarget(Target):
    """A file, block device, pipe or other descriptor; `membuf.bus.open_target` makes them.

    Attributes:
        limits: what direct I/O on it asks for.

    >>> import os, membuf.bus
    >>> reading, writing = os.pipe()
    >>> with membuf.bus.open_target(f"fd:{writing}") as sink:
    ...     sink.stream, sink.write(b"hello")
    (True, 5)
    """

    def __init__(
        self, fd: int, limits: Limits, name: str, engine: Engine, parent: Object | None = None
    ) -> None:
        port = Port(
            fd,
            name=name,
            stream=_is_stream(fd),
            memory_alignment=limits.memory,
            offset_alignment=limits.offset,
        )
        super().__init__(port, engine, name=name, parent=parent)
        self.limits = limits
        self._workers: ThreadEngine | None = None
        self._opened()

    @property
    def stream(self) -> bool:
        """Whether it has no offsets: a pipe, socket or terminal, or a file opened to append."""
        return self._port.stream

    @property
    def size(self) -> int:
        """Its bytes now; of a block device, the device's.

        Raises:
            MembufError: STATUS_INVALID_DEVICE_REQUEST: a stream has no size.
        """
        if self.stream:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, f"{self._port.name} is a stream: it has no size"
            )
        fd = self.fileno()
        here = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            return os.lseek(fd, 0, os.SEEK_END)
        finally:
            os.lseek(fd, here, os.SEEK_SET)

    def fileno(self) -> int:
        """The descriptor, for calls that this class does not have; it stays the target's.

        Raises:
            InvalidDeviceStateError: the target is closed.
        """
        if self._freed:
            raise self._wrong_state("has no descriptor")
        return self._port.fd

    def truncate(self, size: SupportsIndex) -> None:
        """Make the file that long: what is beyond is lost, what is missing becomes a hole."""
        length = exact_index(size, "size")
        try:
            os.ftruncate(self.fileno(), length)
        except OSError as error:
            raise self._system_error(error, f"cannot be made {length} bytes long") from error

    def extents(
        self, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> Iterator[Extent]:
        """The data and the holes of the file, in order, as the file system knows them.

        A file system without holes, or a block device, reports one extent of data.

        Args:
            offset: where to begin to look, in bytes.
            length: how many bytes to look at; None reaches to the end.
        """
        start = exact_index(offset, "offset")
        end = self.size
        if length is not None:
            end = min(end, start + exact_index(length, "length"))
        while start < end:
            data = self._seek(start, os.SEEK_DATA, end)
            if data > start:
                yield Extent(start, data - start, data=False)
            start = data
            if start < end:
                hole = self._seek(start, os.SEEK_HOLE, end)
                yield Extent(start, hole - start, data=True)
                start = hole

    def punch(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        """Make a hole of the file's bytes: they read as zeros and occupy nothing.

        Raises:
            MembufError: the system's error; STATUS_NOT_SUPPORTED where there are no holes.
        """
        punch(self.fileno(), exact_index(offset, "offset"), exact_index(length, "length"))

    @property
    def writable(self) -> bool:
        """Whether it was opened so that it can be written."""
        return _status_flags(self.fileno()) & os.O_ACCMODE != os.O_RDONLY

    def discard(self, range: Range) -> None:
        """Give back what the bytes occupy; what `trim` asks for."""
        if range.length:
            self.punch(*range)

    def clear(self, range: Range) -> None:
        """Have the bytes read as zeros: as a hole where there are such; what `zero` asks for."""
        if not range.length:
            return
        try:
            self.punch(*range)
        except MembufError as error:
            if error.status != st.STATUS_NOT_SUPPORTED:
                raise
            zero(self.fileno(), *range)

    def make_control_packet(self, control: Control) -> Packet:
        """Take the memories of a control request of disks; see `membuf.request.storage`.

        Raises:
            InvalidDeviceStateError: the target is closed, or has no offsets and so is no disk.
        """
        self.check_open()
        if self.stream:
            return super().make_control_packet(control)
        return WorkPacket(self._port, self, control)

    def start_writeback(self, offset: SupportsIndex, length: SupportsIndex) -> None:
        """Have the system begin to write what its cache holds of a part, and return at once.

        A long copy that asks for this behind its writes finds little left to do in `flush`. It is
        a hint and never fails; the bytes are durable when `flush` says so.
        """
        start_writeback(self.fileno(), exact_index(offset, "offset"), exact_index(length, "length"))

    def _seek(self, start: int, whence: int, end: int) -> int:
        try:
            return min(os.lseek(self.fileno(), start, whence), end)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return end
            if error.errno == errno.EINVAL:  # it knows nothing of holes
                return start if whence == os.SEEK_DATA else end
            raise self._system_error(error, f"cannot be searched from {start}") from error

    def _system_error(self, error: OSError, what: str) -> Exception:
        number = error.errno or errno.EIO
        return from_errno(number, f"{self._port.name} {what}")

    def _launch(self, packet: Packet, loop: asyncio.AbstractEventLoop | None) -> None:
        if not isinstance(packet, WorkPacket):
            super()._launch(packet, loop)
            return
        # The system has no other way to do it than to have a thread wait for it.
        if loop is not None and packet.callback is not None:
            told = packet.callback
            packet.callback = lambda packet: loop.call_soon_threadsafe(told, packet)
        with self._changed:
            if self._workers is None:
                self._workers = ThreadEngine(maximum=_WORKERS)
        self._launch_by(self._workers, packet, None)

    def after_fork(self) -> None:
        """In a forked child: its threads are the parent's."""
        super().after_fork()
        self._workers = None

    def _give_back(self) -> None:
        if self._workers is not None:
            self._workers.close()
        try:
            os.close(self._port.fd)
        except OSError as error:
            # Some file systems say only now that what was written did not arrive.
            raise self._system_error(error, "was closed with an error") from error


def open_file(
    path: str,
    *,
    access: Access = "read-write",
    create: bool = False,
    exclusive: bool = False,
    truncate: bool = False,
    direct: bool = False,
    engine: str = "auto",
    permissions: int = 0o666,
    parent: Object | None = None,
) -> FileTarget:
    """Open a path as a target; `open_target("file:PATH", ...)` calls this.

    Args:
        path: a file, block device, pipe or other special file.
        access: "read", "write" or "read-write".
        create: make the file where there is none.
        exclusive: make the file, and fail where there is one.
        truncate: drop what is in the file.
        direct: bypass the page cache; `limits` then says what transfers must keep to.
        engine: "auto", "io_uring" or "threads".
        permissions: of a new file, before the umask.
        parent: the object whose deletion closes the target.

    Raises:
        InvalidParameterError: an option that is none, or that the file's kind does not take.
        TargetError: the system does not let it be opened.
    """
    if access not in _ACCESS:
        raise InvalidParameterError(
            f'access must be "read", "write" or "read-write"; got {access!r}'
        )
    flags = _ACCESS[access] | os.O_CLOEXEC | os.O_NOCTTY
    flags |= os.O_CREAT if create or exclusive else 0
    flags |= os.O_EXCL if exclusive else 0
    flags |= os.O_TRUNC if truncate else 0
    flags |= os.O_DIRECT if direct else 0
    with contextlib.ExitStack() as undo:
        moves = _engine(engine, undo)
        fd = _open(path, flags, permissions)
        undo.callback(os.close, fd)
        target = FileTarget(fd, _limits(fd, path, direct=direct), path, moves, parent)
        undo.pop_all()
    return target


def open_fd(number: str, *, engine: str = "auto", parent: Object | None = None) -> FileTarget:
    """Take an open descriptor as a target; `open_target("fd:0")` calls this.

    The target works on a duplicate: closing it leaves the descriptor open. Where the descriptor
    was opened for direct I/O, `limits` says what transfers must keep to.

    Args:
        number: the descriptor.
        engine: "auto", "io_uring" or "threads".
        parent: the object whose deletion closes the target.

    Raises:
        InvalidParameterError: not a number.
        TargetError: it is not open.
    """
    if not number.isdecimal():
        raise InvalidParameterError(f"fd: takes the number of an open descriptor; got {number!r}")
    name = f"fd:{number}"
    with contextlib.ExitStack() as undo:
        moves = _engine(engine, undo)
        fd = _duplicate(int(number), name)
        undo.callback(os.close, fd)
        target = FileTarget(fd, _limits(fd, name, direct=_is_direct(fd)), name, moves, parent)
        undo.pop_all()
    return target


def _engine(name: str, undo: contextlib.ExitStack) -> Engine:
    engine = make_engine(name)
    undo.callback(engine.close)
    return engine


def _duplicate(fd: int, name: str) -> int:
    try:
        return os.dup(fd)
    except (OSError, OverflowError) as error:
        raise from_errno(errno.EBADF, f"cannot open {name}") from error


def _open(path: str, flags: int, permissions: int) -> int:
    try:
        return os.open(path, flags, permissions)
    except OSError as error:
        number = error.errno or errno.EIO
        if number == errno.EINVAL and flags & os.O_DIRECT:
            raise from_status(
                st.STATUS_NOT_SUPPORTED,
                f"{path}, or its file system, has no direct I/O: open it without direct=True",
            ) from error
        raise from_errno(number, "cannot open the target", path) from error


def _limits(fd: int, name: str, *, direct: bool) -> Limits:
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        raise from_errno(errno.EISDIR, "a target is a file, a device or a stream", name)
    return limits_of(fd, name, direct=direct)


def _is_stream(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    seekable = stat.S_ISREG(mode) or stat.S_ISBLK(mode)
    return not seekable or bool(_status_flags(fd) & os.O_APPEND)


def _is_direct(fd: int) -> bool:
    """Whether a descriptor bypasses the page cache (of a pipe, the flag says something else)."""
    return not _is_stream(fd) and bool(_status_flags(fd) & os.O_DIRECT)


def _status_flags(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_GETFL)


register_scheme("file", open_file)
register_scheme("fd", open_fd)

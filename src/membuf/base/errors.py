"""The exceptions of membuf, and the converters that make them.

    MembufError                       a status that is not success; also, by kind:
     +-- InvalidParameterError         ValueError       INVALID_PARAMETER and kin
     +-- InvalidBufferSizeError        ValueError       INVALID_BUFFER_SIZE
     +-- BufferTooSmallError           ValueError       BUFFER_TOO_SMALL
     +-- IntegerOverflowError          ValueError       INTEGER_OVERFLOW
     +-- InsufficientResourcesError    MemoryError      INSUFFICIENT_RESOURCES, WORKING_SET_QUOTA
     +-- AccessViolationError          TypeError        ACCESS_VIOLATION
     +-- DeletePendingError            RuntimeError     DELETE_PENDING
     +-- ObjectDeletedError            RuntimeError     INVALID_HANDLE: the object is gone
     +-- InvalidDeviceStateError       RuntimeError     INVALID_DEVICE_STATE and kin
     +-- FrameUnknownError                              NOT_SUPPORTED: no frame number is true
     +-- AccessDeniedError             PermissionError  ACCESS_DENIED, EACCES, EPERM
     +-- IoTimeoutError                TimeoutError     IO_TIMEOUT, ETIMEDOUT
     +-- RequestCancelledError         OSError          CANCELLED, ECANCELED
     +-- TargetError                   OSError          whatever else the system answers
          +-- TargetNotFoundError      FileNotFoundError
          +-- TargetExistsError        FileExistsError
          +-- TargetIsDirectoryError   IsADirectoryError
          +-- TargetNotDirectoryError  NotADirectoryError
          +-- TargetBrokenPipeError    BrokenPipeError
    BugCheck                          BaseException: what stops Windows, in `membuf.wdf` only

`from_status` is the converter for statuses, `from_errno` the one for the system's errors.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from membuf.base import status as st
from membuf.base.status import Status, nt_success

if TYPE_CHECKING:
    from collections.abc import Mapping


class MembufError(Exception):
    """A membuf call that did not succeed.

    Attributes:
        status: the NTSTATUS behind it, an int that prints its name.
        operands: the figures of the failed check by name, e.g. offset, needed, available; each is
            an attribute of the exception too.
        bugcheck: (code, p1, ...) where Windows would stop instead of answering, else None.

    >>> error = InvalidParameterError("size must not be 0", operands={"size": 0})
    >>> error.status, error.size, error.bugcheck
    (STATUS_INVALID_PARAMETER (0xC000000D), 0, None)
    """

    status: Status = st.STATUS_UNSUCCESSFUL
    bugcheck: tuple[int, ...] | None = None
    operands: Mapping[str, Any]
    errno_of_status: ClassVar[int | None] = None

    def __init__(
        self,
        *args: object,
        status: int | None = None,
        operands: Mapping[str, Any] | None = None,
        bugcheck: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(*args)
        self.operands = dict(operands or {})
        if status is not None:
            self.status = Status(status)
        if bugcheck is not None:
            self.bugcheck = tuple(bugcheck)

    def __getattr__(self, name: str) -> Any:
        # Through __dict__: while an exception is being unpickled it has no operands yet.
        operands = self.__dict__.get("operands", {})
        if name in operands:
            return operands[name]
        raise AttributeError(
            f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self
        )


class InvalidParameterError(MembufError, ValueError):
    """An argument that no call of this kind accepts."""

    status = st.STATUS_INVALID_PARAMETER


class InvalidBufferSizeError(MembufError, ValueError):
    """A copy into a memory object that does not fit it."""

    status = st.STATUS_INVALID_BUFFER_SIZE


class BufferTooSmallError(MembufError, ValueError):
    """A copy out of a memory object, or a retrieval, that asks for more than there is."""

    status = st.STATUS_BUFFER_TOO_SMALL


class IntegerOverflowError(MembufError, ValueError):
    """An offset, a length or their sum outside the buffer or outside 64 bits."""

    status = st.STATUS_INTEGER_OVERFLOW


class InsufficientResourcesError(MembufError, MemoryError):
    """No memory: the system's, the domain's limit, or the right to lock it."""

    status = st.STATUS_INSUFFICIENT_RESOURCES


class AccessViolationError(MembufError, TypeError):
    """A write into read-only memory (a TypeError, as for `memoryview`)."""

    status = st.STATUS_ACCESS_VIOLATION


class DeletePendingError(MembufError, RuntimeError):
    """A new child or context for an object whose deletion has begun."""

    status = st.STATUS_DELETE_PENDING


class ObjectDeletedError(MembufError, RuntimeError):
    """A call on an object that is gone."""

    status = st.STATUS_INVALID_HANDLE


class InvalidDeviceStateError(MembufError, RuntimeError):
    """A call that the target, queue or request does not take in its present state."""

    status = st.STATUS_INVALID_DEVICE_STATE


class AccessDeniedError(MembufError, PermissionError):
    """The right to do it is missing."""

    status = st.STATUS_ACCESS_DENIED
    errno_of_status = errno.EACCES


class IoTimeoutError(MembufError, TimeoutError):
    """An operation that was cancelled because its time was up."""

    status = st.STATUS_IO_TIMEOUT
    errno_of_status = errno.ETIMEDOUT


class FrameUnknownError(MembufError):
    """Frame numbers that nobody can vouch for: the pages may move, or the system hides them."""

    status = st.STATUS_NOT_SUPPORTED


class RequestCancelledError(MembufError, OSError):
    """A request that ended because it was cancelled (not asyncio's CancelledError)."""

    status = st.STATUS_CANCELLED
    errno_of_status = errno.ECANCELED


class TargetError(MembufError, OSError):
    """An error of the system behind a target, with its `errno` and `filename`."""

    status = st.STATUS_UNSUCCESSFUL
    errno_of_status = errno.EIO


class TargetNotFoundError(TargetError, FileNotFoundError):
    """What the target names does not exist."""

    status = st.STATUS_OBJECT_NAME_NOT_FOUND


class TargetExistsError(TargetError, FileExistsError):
    """What the target would create exists."""

    status = st.STATUS_OBJECT_NAME_COLLISION


class TargetIsDirectoryError(TargetError, IsADirectoryError):
    """A directory where a file or device is wanted."""

    status = st.STATUS_FILE_IS_A_DIRECTORY


class TargetNotDirectoryError(TargetError, NotADirectoryError):
    """A file where a directory is wanted."""

    status = st.STATUS_NOT_A_DIRECTORY


class TargetBrokenPipeError(TargetError, BrokenPipeError):
    """Nobody reads the other end any more."""

    status = st.STATUS_PIPE_BROKEN


class BugCheck(BaseException):
    """What Windows answers by stopping the machine; raised in `membuf.wdf` alone.

    Nothing has changed when it is raised, and the driver stays usable. It is a `BaseException`, so
    that a bare `except Exception` cannot swallow it.

    Attributes:
        code: the bug check code, e.g. 0x10D.
        p1, p2, p3, p4: its parameters.
        reason: the mistake in words.

    >>> BugCheck(0x10D, 5, reason="the handle is NULL")
    BugCheck(0x10D, 0x5, 0x0, 0x0, 0x0)
    >>> print(BugCheck(0x10D, 5, reason="the handle is NULL"))
    WDF_VIOLATION (0x10D, 0x5, 0x0, 0x0, 0x0): the handle is NULL
    """

    def __init__(
        self, code: int, p1: int = 0, p2: int = 0, p3: int = 0, p4: int = 0, reason: str = ""
    ) -> None:
        super().__init__(code, p1, p2, p3, p4, reason)
        self.code, self.p1, self.p2, self.p3, self.p4 = code, p1, p2, p3, p4
        self.reason = reason

    def _figures(self) -> str:
        return ", ".join(hex_(n) for n in (self.code, self.p1, self.p2, self.p3, self.p4))

    def __repr__(self) -> str:
        return f"BugCheck({self._figures()})"

    def __str__(self) -> str:
        name = BUG_CHECK_NAMES.get(self.code, "bug check")
        return f"{name} ({self._figures()})" + (f": {self.reason}" if self.reason else "")


def hex_(number: int) -> str:
    """A number the way bug check screens write it.

    >>> hex_(0x10d)
    '0x10D'
    """
    return f"{'-' if number < 0 else ''}0x{abs(number):X}"


BUG_CHECK_NAMES: Final[Mapping[int, str]] = {
    0x19: "BAD_POOL_HEADER",
    0xC1: "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
    0xC2: "BAD_POOL_CALLER",
    0xC4: "DRIVER_VERIFIER_DETECTED_VIOLATION",
    0xE6: "DRIVER_VERIFIER_DMA_VIOLATION",
    0x10D: "WDF_VIOLATION",
    0x12E: "INVALID_MDL_RANGE",
}

_CLASS_OF_STATUS: Final[Mapping[int, type[MembufError]]] = {
    st.STATUS_INVALID_PARAMETER: InvalidParameterError,
    st.STATUS_INVALID_PARAMETER_1: InvalidParameterError,
    st.STATUS_INVALID_PARAMETER_2: InvalidParameterError,
    st.STATUS_INVALID_PARAMETER_3: InvalidParameterError,
    st.STATUS_INVALID_PARAMETER_4: InvalidParameterError,
    st.STATUS_INVALID_PARAMETER_5: InvalidParameterError,
    st.STATUS_INFO_LENGTH_MISMATCH: InvalidParameterError,
    st.STATUS_INVALID_BUFFER_SIZE: InvalidBufferSizeError,
    st.STATUS_BUFFER_TOO_SMALL: BufferTooSmallError,
    st.STATUS_INTEGER_OVERFLOW: IntegerOverflowError,
    st.STATUS_INSUFFICIENT_RESOURCES: InsufficientResourcesError,
    st.STATUS_WORKING_SET_QUOTA: InsufficientResourcesError,
    st.STATUS_ACCESS_VIOLATION: AccessViolationError,
    st.STATUS_DELETE_PENDING: DeletePendingError,
    st.STATUS_INVALID_HANDLE: ObjectDeletedError,
    st.STATUS_INVALID_DEVICE_STATE: InvalidDeviceStateError,
    st.STATUS_INVALID_DEVICE_REQUEST: InvalidDeviceStateError,
    st.STATUS_REQUEST_NOT_ACCEPTED: InvalidDeviceStateError,
    st.STATUS_CANNOT_DELETE: InvalidDeviceStateError,
    st.STATUS_WDF_REQUEST_ALREADY_PENDING: InvalidDeviceStateError,
    st.STATUS_WDF_REQUEST_INVALID_STATE: InvalidDeviceStateError,
    st.STATUS_ACCESS_DENIED: AccessDeniedError,
    st.STATUS_IO_TIMEOUT: IoTimeoutError,
    st.STATUS_CANCELLED: RequestCancelledError,
}

_STATUS_OF_ERRNO: Final[Mapping[int, Status]] = {
    errno.EACCES: st.STATUS_ACCESS_DENIED,
    errno.EPERM: st.STATUS_ACCESS_DENIED,
    errno.ETIMEDOUT: st.STATUS_IO_TIMEOUT,
    errno.ECANCELED: st.STATUS_CANCELLED,
    errno.EINVAL: st.STATUS_INVALID_PARAMETER,
    errno.ENOMEM: st.STATUS_INSUFFICIENT_RESOURCES,
    errno.EFAULT: st.STATUS_ACCESS_VIOLATION,
    errno.ENODEV: st.STATUS_NO_SUCH_DEVICE,
    errno.ENXIO: st.STATUS_NO_SUCH_DEVICE,
    errno.EBUSY: st.STATUS_DEVICE_BUSY,
    errno.EIO: st.STATUS_IO_DEVICE_ERROR,
    errno.ENOSPC: st.STATUS_DISK_FULL,
    errno.EDQUOT: st.STATUS_DISK_FULL,
    errno.EFBIG: st.STATUS_DISK_FULL,
    errno.EROFS: st.STATUS_MEDIA_WRITE_PROTECTED,
    errno.ENOSYS: st.STATUS_NOT_SUPPORTED,
    errno.EOPNOTSUPP: st.STATUS_NOT_SUPPORTED,
}

_CLASS_OF_BUILTIN: Final[Mapping[type[OSError], type[MembufError]]] = {
    PermissionError: AccessDeniedError,
    TimeoutError: IoTimeoutError,
    FileNotFoundError: TargetNotFoundError,
    FileExistsError: TargetExistsError,
    IsADirectoryError: TargetIsDirectoryError,
    NotADirectoryError: TargetNotDirectoryError,
    BrokenPipeError: TargetBrokenPipeError,
}


def from_status(
    status: int,
    message: str,
    operands: Mapping[str, Any] | None = None,
    bugcheck: tuple[int, ...] | None = None,
) -> MembufError:
    """The exception for a status; the caller raises it.

    Args:
        status: an NTSTATUS that is not success.
        message: what was expected, what came, where, what to do.
        operands: the figures of the failed check, by name.
        bugcheck: (code, p1, ...) where Windows answers with a bug check.

    Returns:
        An instance of the class that the tree above names for the status, `MembufError` itself
        where it names none. It can be pickled.

    >>> error = from_status(0xC0000206, "needs 101 bytes, has 100", {"needed": 101})
    >>> type(error).__name__, isinstance(error, ValueError), error.needed
    ('InvalidBufferSizeError', True, 101)
    """
    kind = _CLASS_OF_STATUS.get(status, MembufError)
    number = kind.errno_of_status
    args: tuple[object, ...] = (message,) if number is None else (number, message)
    return kind(*args, status=status, operands=operands, bugcheck=bugcheck)


def from_errno(
    number: int,
    message: str = "",
    filename: str | bytes | os.PathLike[str] | None = None,
    operands: Mapping[str, Any] | None = None,
) -> MembufError:
    """The exception for an error number of the system; the caller raises it.

    Args:
        number: the positive errno.
        message: what was being done; the system's own words are added to it.
        filename: what it was done to.
        operands: the figures of the failed call, by name.

    Returns:
        A `MembufError` that is an `OSError` too, of the builtin kind that Python itself would
        raise for the number. It can be pickled.

    >>> error = from_errno(2, "cannot open the target", "disk.img")
    >>> isinstance(error, FileNotFoundError), error.errno, error.filename
    (True, 2, 'disk.img')
    >>> print(error)
    [Errno 2] cannot open the target: No such file or directory: 'disk.img'
    """
    words = os.strerror(number)
    text = f"{message}: {words}" if message else words
    args = (number, text) if filename is None else (number, text, os.fspath(filename))
    kind = _CLASS_OF_BUILTIN.get(type(OSError(number, text)), TargetError)
    if number == errno.ECANCELED:
        kind = RequestCancelledError
    return kind(*args, status=_STATUS_OF_ERRNO.get(number), operands=operands)


def status_of(error: BaseException) -> Status:
    """The status for what a driver raised: of a system's error the one that its errno stands for.

    >>> status_of(OSError(errno.ENOSPC, "full")), status_of(KeyError("block"))
    (STATUS_DISK_FULL (0xC000007F), STATUS_UNSUCCESSFUL (0xC0000001))
    """
    status = st.STATUS_UNSUCCESSFUL
    if isinstance(error, MembufError):
        status = error.status
    elif isinstance(error, OSError) and error.errno:
        status = _STATUS_OF_ERRNO.get(error.errno, status)
    elif isinstance(error, MemoryError):
        status = st.STATUS_INSUFFICIENT_RESOURCES
    return st.STATUS_UNSUCCESSFUL if nt_success(status) else status


def _show_as_public() -> None:
    """People see `membuf.InvalidParameterError`, where they import it from."""
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, (MembufError, BugCheck)):
            value.__module__ = "membuf"


_show_as_public()

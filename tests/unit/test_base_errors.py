"""Exceptions: the kind for each status and errno, what they carry, and that they travel."""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle

import pytest

import membuf
from membuf.base import errors
from membuf.base import status as st
from membuf.base.errors import BugCheck, MembufError, from_errno, from_status

KINDS = [
    (st.STATUS_INVALID_PARAMETER, errors.InvalidParameterError, ValueError),
    (st.STATUS_INVALID_PARAMETER_4, errors.InvalidParameterError, ValueError),
    (st.STATUS_INVALID_BUFFER_SIZE, errors.InvalidBufferSizeError, ValueError),
    (st.STATUS_BUFFER_TOO_SMALL, errors.BufferTooSmallError, ValueError),
    (st.STATUS_INTEGER_OVERFLOW, errors.IntegerOverflowError, ValueError),
    (st.STATUS_INSUFFICIENT_RESOURCES, errors.InsufficientResourcesError, MemoryError),
    (st.STATUS_WORKING_SET_QUOTA, errors.InsufficientResourcesError, MemoryError),
    (st.STATUS_ACCESS_VIOLATION, errors.AccessViolationError, TypeError),
    (st.STATUS_DELETE_PENDING, errors.DeletePendingError, RuntimeError),
    (st.STATUS_INVALID_HANDLE, errors.ObjectDeletedError, RuntimeError),
    (st.STATUS_INVALID_DEVICE_STATE, errors.InvalidDeviceStateError, RuntimeError),
    (st.STATUS_CANNOT_DELETE, errors.InvalidDeviceStateError, RuntimeError),
    (st.STATUS_ACCESS_DENIED, errors.AccessDeniedError, PermissionError),
    (st.STATUS_IO_TIMEOUT, errors.IoTimeoutError, TimeoutError),
    (st.STATUS_CANCELLED, errors.RequestCancelledError, OSError),
    (st.STATUS_WDF_TOO_FRAGMENTED, MembufError, Exception),
]


@pytest.mark.parametrize(("status", "kind", "builtin"), KINDS)
def test_each_status_has_its_kind(
    status: st.Status, kind: type[MembufError], builtin: type[Exception]
) -> None:
    error = from_status(status, "needs 5, has 4", {"needed": 5})
    assert type(error) is kind
    assert isinstance(error, builtin)
    assert isinstance(error, MembufError)
    assert error.status == status
    assert type(error.status) is st.Status
    assert "needs 5, has 4" in str(error)


def test_operands_are_attributes_and_a_dict() -> None:
    error = from_status(st.STATUS_BUFFER_TOO_SMALL, "m", {"offset": 99, "needed": 2})
    assert (error.offset, error.needed) == (99, 2)
    assert error.operands == {"offset": 99, "needed": 2}
    with pytest.raises(AttributeError, match="available"):
        error.available  # noqa: B018


def test_the_bug_check_travels_with_the_error() -> None:
    error = from_status(st.STATUS_INVALID_HANDLE, "gone", bugcheck=(0x10D, 5))
    assert error.bugcheck == (0x10D, 5)
    assert from_status(st.STATUS_INVALID_HANDLE, "gone").bugcheck is None


def test_a_class_raised_by_hand_has_its_status() -> None:
    assert errors.IntegerOverflowError("x").status == st.STATUS_INTEGER_OVERFLOW
    assert errors.IoTimeoutError("x").status == st.STATUS_IO_TIMEOUT


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (st.STATUS_CANCELLED, errno.ECANCELED),
        (st.STATUS_IO_TIMEOUT, errno.ETIMEDOUT),
        (st.STATUS_ACCESS_DENIED, errno.EACCES),
    ],
)
def test_a_status_that_is_an_oserror_has_an_errno(status: st.Status, number: int) -> None:
    error = from_status(status, "stopped")
    assert isinstance(error, OSError)
    assert error.errno == number
    assert error.strerror == "stopped"


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [
        (errno.ENOENT, errors.TargetNotFoundError, st.STATUS_OBJECT_NAME_NOT_FOUND),
        (errno.EEXIST, errors.TargetExistsError, st.STATUS_OBJECT_NAME_COLLISION),
        (errno.EISDIR, errors.TargetIsDirectoryError, st.STATUS_FILE_IS_A_DIRECTORY),
        (errno.ENOTDIR, errors.TargetNotDirectoryError, st.STATUS_NOT_A_DIRECTORY),
        (errno.EPIPE, errors.TargetBrokenPipeError, st.STATUS_PIPE_BROKEN),
        (errno.EACCES, errors.AccessDeniedError, st.STATUS_ACCESS_DENIED),
        (errno.EPERM, errors.AccessDeniedError, st.STATUS_ACCESS_DENIED),
        (errno.ETIMEDOUT, errors.IoTimeoutError, st.STATUS_IO_TIMEOUT),
        (errno.ECANCELED, errors.RequestCancelledError, st.STATUS_CANCELLED),
        (errno.ENOSPC, errors.TargetError, st.STATUS_DISK_FULL),
        (errno.EINVAL, errors.TargetError, st.STATUS_INVALID_PARAMETER),
        (errno.ENOMEM, errors.TargetError, st.STATUS_INSUFFICIENT_RESOURCES),
        (errno.EXDEV, errors.TargetError, st.STATUS_UNSUCCESSFUL),
    ],
)
def test_each_errno_has_its_kind(number: int, kind: type[MembufError], status: st.Status) -> None:
    error = from_errno(number, "write at 4096", "disk.img", {"offset": 4096})
    assert type(error) is kind
    assert isinstance(error, type(OSError(number, "")))
    assert isinstance(error, OSError)
    assert (error.errno, error.filename, error.status) == (number, "disk.img", status)
    assert error.offset == 4096
    assert "write at 4096" in str(error)
    assert os.strerror(number) in str(error)


def test_an_errno_without_words_or_name_says_the_systems_words() -> None:
    error = from_errno(errno.EIO)
    assert str(error) == f"[Errno {errno.EIO}] {os.strerror(errno.EIO)}"


@pytest.mark.parametrize(
    "error",
    [
        from_status(st.STATUS_BUFFER_TOO_SMALL, "small", {"offset": 9}, (0x10D, 3)),
        from_status(st.STATUS_CANCELLED, "stopped", {"offset": 9}, (0x10D, 3)),
        from_status(st.STATUS_WDF_BUSY, "busy", {"offset": 9}, (0x10D, 3)),
    ],
)
@pytest.mark.parametrize("how", ["pickle", "copy"])
def test_errors_travel_whole(error: MembufError, how: str) -> None:
    twin = pickle.loads(pickle.dumps(error)) if how == "pickle" else copy.copy(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert (twin.status, twin.operands, twin.bugcheck) == (error.status, {"offset": 9}, (0x10D, 3))
    assert type(twin.status) is st.Status


def test_system_errors_travel_with_their_file_name() -> None:
    twin = pickle.loads(pickle.dumps(from_errno(errno.ENOENT, "open", "disk.img")))
    assert (twin.errno, twin.filename) == (errno.ENOENT, "disk.img")
    assert twin.status == st.STATUS_OBJECT_NAME_NOT_FOUND


def test_a_bug_check_is_not_an_exception_that_a_bare_handler_takes() -> None:
    assert not issubclass(BugCheck, Exception)
    with pytest.raises(BugCheck), contextlib.suppress(Exception):
        raise BugCheck(0xC2, 0x9B)


def test_a_bug_check_keeps_code_and_parameters_through_pickle() -> None:
    twin = pickle.loads(pickle.dumps(BugCheck(0xC2, 0xA, 0x1000, 0x41, 0x42, "wrong tag")))
    figures = (twin.code, twin.p1, twin.p2, twin.p3, twin.p4, twin.reason)
    assert figures == (0xC2, 0xA, 0x1000, 0x41, 0x42, "wrong tag")
    assert str(twin) == "BAD_POOL_CALLER (0xC2, 0xA, 0x1000, 0x41, 0x42): wrong tag"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    drawn = {word for word in (errors.__doc__ or "").split() if word in classes}
    assert drawn == set(classes)


def test_every_exception_is_found_where_it_says_it_lives() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, (MembufError, BugCheck)):
            assert getattr(membuf, name) is kind
            assert kind.__module__ == "membuf"

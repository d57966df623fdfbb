"""Statuses: numbers, names, severities."""

from __future__ import annotations

import copy
import pickle

import pytest

from membuf.base import status as st
from membuf.base.status import Status


def test_a_status_prints_name_and_number() -> None:
    assert str(st.STATUS_INVALID_PARAMETER) == "STATUS_INVALID_PARAMETER (0xC000000D)"
    assert f"{st.STATUS_SUCCESS!r}" == "STATUS_SUCCESS (0x00000000)"
    assert st.STATUS_WDF_BUSY.name == "STATUS_WDF_BUSY"


def test_an_unknown_status_prints_its_number() -> None:
    assert str(Status(0xC0FFEE)) == "0x00C0FFEE"


def test_a_status_is_its_number() -> None:
    assert st.STATUS_DELETE_PENDING == 0xC0000056
    assert {0xC0000056: "found"}[st.STATUS_DELETE_PENDING] == "found"


def test_the_signed_form_is_the_same_status() -> None:
    assert Status(0xC000000D - 2**32) == st.STATUS_INVALID_PARAMETER


@pytest.mark.parametrize("value", [2**32, -(2**31) - 1])
def test_more_than_32_bits_is_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        Status(value)


@pytest.mark.parametrize(
    "copier", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_stay_statuses(copier: object) -> None:
    assert callable(copier)
    twin = copier(st.STATUS_CANCELLED)
    assert twin == st.STATUS_CANCELLED
    assert type(twin) is Status


def test_no_number_has_two_names() -> None:
    constants = {name: value for name, value in vars(st).items() if name.startswith("STATUS_")}
    assert len(constants) == len(set(constants.values()))
    assert all(value.name == name for name, value in constants.items())


@pytest.mark.parametrize(
    ("status", "success", "information", "warning", "error"),
    [
        (0x00000000, True, False, False, False),
        (0x3FFFFFFF, True, False, False, False),
        (0x40000000, True, True, False, False),
        (0x7FFFFFFF, True, True, False, False),
        (0x80000000, False, False, True, False),
        (0xBFFFFFFF, False, False, True, False),
        (0xC0000000, False, False, False, True),
        (0xFFFFFFFF, False, False, False, True),
        (-1, False, False, False, True),
    ],
)
def test_severities(
    status: int, success: bool, information: bool, warning: bool, error: bool
) -> None:
    assert st.nt_success(status) is success
    assert st.nt_information(status) is information
    assert st.nt_warning(status) is warning
    assert st.nt_error(status) is error

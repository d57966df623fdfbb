"""Alignment: exact results, and every silent mistake of the C macros refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from membuf.base.alignment import align_down, align_up
from membuf.base.errors import IntegerOverflowError, InvalidParameterError


@pytest.mark.parametrize(
    ("length", "alignment", "up", "down"),
    [
        (0, 8, 0, 0),
        (1, 8, 8, 0),
        (8, 8, 8, 8),
        (9, 8, 16, 8),
        (4097, 4096, 8192, 4096),
        (5, 1, 5, 5),
        (2**64 - 8, 8, 2**64 - 8, 2**64 - 8),
        (2**63, 2**63, 2**63, 2**63),
    ],
)
def test_results(length: int, alignment: int, up: int, down: int) -> None:
    assert align_up(length, alignment) == up
    assert align_down(length, alignment) == down


@given(some.integers(0, 2**64 - 1), some.integers(0, 63))
def test_the_rules(length: int, power: int) -> None:
    unit = 2**power
    down = align_down(length, unit)
    assert down % unit == 0
    assert down <= length < down + unit
    assert align_down(down, unit) == down
    if length > 2**64 - unit:
        with pytest.raises(IntegerOverflowError):
            align_up(length, unit)
        return
    up = align_up(length, unit)
    assert up % unit == 0
    assert length <= up < length + unit
    assert align_up(up, unit) == up


@pytest.mark.parametrize("alignment", [0, 3, 6, -8, 2**65 - 1])
@pytest.mark.parametrize("call", [align_up, align_down])
def test_what_is_no_power_of_two_is_refused(call: object, alignment: int) -> None:
    assert callable(call)
    with pytest.raises(InvalidParameterError, match=str(alignment)) as caught:
        call(10, alignment)
    assert caught.value.alignment == alignment


@pytest.mark.parametrize("length", [2**64 - 1, 2**64 - 7])
def test_rounding_up_past_64_bits_is_refused(length: int) -> None:
    with pytest.raises(IntegerOverflowError) as caught:
        align_up(length, 8)
    assert caught.value.operands == {"length": length, "alignment": 8}
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("call", [align_up, align_down])
@pytest.mark.parametrize(("length", "alignment"), [(2**64, 8), (8, 2**64)])
def test_what_does_not_fit_64_bits_is_refused(call: object, length: int, alignment: int) -> None:
    assert callable(call)
    with pytest.raises(IntegerOverflowError):
        call(length, alignment)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="-1"):
        align_up(-1, 8)


@pytest.mark.parametrize("value", [True, False, 2.7, "8", None])
def test_only_integers(value: object) -> None:
    for arguments in ((value, 8), (8, value)):
        for call in (align_up, align_down):
            with pytest.raises(TypeError, match="must be an integer"):
                call(*arguments)


def test_numpy_integers_are_integers() -> None:
    assert align_up(np.uint64(4097), np.int32(4096)) == 8192

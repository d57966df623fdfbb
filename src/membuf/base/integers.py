"""Integers from callers: anything with `__index__`, but never a bool and never a float."""

from __future__ import annotations

import operator
from typing import SupportsIndex


def exact_index(value: SupportsIndex, name: str) -> int:
    """The integer behind `value`, refusing what only looks like one.

    Args:
        value: an int, a numpy integer, or anything else with `__index__`.
        name: what the value is, for the message.

    Raises:
        TypeError: a bool, a float, or anything without `__index__`.

    >>> exact_index(4096, "size")
    4096
    >>> exact_index(2.7, "size")
    Traceback (most recent call last):
    ...
    TypeError: size must be an integer; got float 2.7
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got bool {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        what = f"{type(value).__name__} {value!r}"
        raise TypeError(f"{name} must be an integer; got {what}") from None

"""The options of filters, as a target's name spells them."""

from __future__ import annotations

import errno
import logging
import re
from typing import Final

KINDS: Final = ("read", "write", "flush", "control")

_TIME: Final = re.compile(r"(\d+(?:\.\d*)?)(us|ms|s|min)?", re.ASCII)
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, None: 1.0}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:([KMGT])(iB)?)?", re.ASCII)


def text(value: str) -> str:
    """Any text."""
    return value


def whole(value: str) -> int:
    """A count: digits.

    >>> whole("12")
    12
    """
    if not value.isdecimal():
        raise ValueError("a count is written in digits")
    return int(value)


def seconds(value: str) -> float:
    """A time: "250us", "10ms", "1.5s", "2min"; without a unit, seconds.

    >>> seconds("10ms"), seconds("2")
    (0.01, 2.0)
    """
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError("a time is written like 250us, 10ms, 1.5s or 2min")
    return float(match[1]) * _SECONDS[match[2]]


def size(value: str) -> int:
    """A size in bytes: "4096", "64KiB", "1M"; the units count in 1024.

    >>> size("64KiB"), size("1M")
    (65536, 1048576)
    """
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError("a size is written like 4096, 64KiB or 1M")
    power = "KMGT".index(match[2]) + 1 if match[2] else 0
    return round(float(match[1]) * (1 << 10 * power))


def rate(value: str) -> float:
    """Bytes a second: "10MiB/s"; the "/s" may be left out.

    >>> rate("1KiB/s")
    1024.0
    """
    return float(size(value.removesuffix("/s")))


def share(value: str) -> float:
    """A share of one: "0.25" or "25%".

    >>> share("0.25"), share("25%")
    (0.25, 0.25)
    """
    number = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError("a share lies between 0 and 1")
    return number


def kinds(value: str) -> frozenset[str]:
    """Kinds of transfers, joined by "|": "read|write".

    >>> sorted(kinds("read|flush"))
    ['flush', 'read']
    """
    names = value.split("|")
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no kind of transfer: there are {', '.join(KINDS)}")
    return frozenset(names)


def error_number(value: str) -> int:
    """An error of the system by its name: "eio", "ENOSPC".

    >>> error_number("eio")
    5
    """
    numbers = {name: number for number, name in errno.errorcode.items()}
    if value.upper() not in numbers:
        raise ValueError("an error is named like eio, enospc or etimedout (see errno.h)")
    return numbers[value.upper()]


def level(value: str) -> int:
    """A level of logging by its name.

    >>> level("debug")
    10
    """
    levels = logging.getLevelNamesMapping()
    if value.upper() not in levels:
        raise ValueError("a level is one of debug, info, warning, error")
    return levels[value.upper()]

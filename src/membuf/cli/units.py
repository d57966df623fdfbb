"""Sizes, rates and times as people write and read them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtpe])(i?b)?|b)?", re.IGNORECASE | re.ASCII)
_PREFIXES: Final = "KMGTPE"


def parse_size(text: str) -> int:
    """The bytes that a size means: "65536", "64K", "64KiB", "1.5M", "64kB".

    K, M, G, T, P and E count in 1024, alone or as KiB and so on; kB, MB and so on count in 1000,
    as `dd` has it.

    Raises:
        ValueError: no size, or not a whole number of bytes.

    >>> parse_size("64KiB"), parse_size("1M"), parse_size("4kB")
    (65536, 1048576, 4000)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write it like 65536, 64KiB, 1M or 4kB")
    number, prefix, suffix = match.groups()
    base = 1000 if (suffix or "").lower() == "b" else 1024
    scale = base ** (_PREFIXES.index(prefix.upper()) + 1) if prefix else 1
    size = Fraction(number) * scale
    if size.denominator != 1:
        raise ValueError(f"{text!r} is {float(size):g} bytes: a size is a whole number of bytes")
    return int(size)


def format_size(count: float) -> str:
    """A count of bytes in the largest unit that keeps it at 1 or above.

    >>> format_size(512), format_size(65536), format_size(1.5 * 2**30)
    ('512 B', '64.0 KiB', '1.5 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    prefixes = iter(_PREFIXES)
    prefix = next(prefixes)
    count /= 1024
    # What would be rounded to 1024 belongs to the next unit.
    while count >= 1023.95 and prefix != _PREFIXES[-1]:
        count /= 1024
        prefix = next(prefixes)
    return f"{count:.1f} {prefix}iB"


def format_rate(count: float, seconds: float) -> str:
    """Bytes by seconds.

    >>> format_rate(2**30, 2)
    '512.0 MiB/s'
    """
    return f"{format_size(count / max(seconds, 1e-9))}/s"


def format_seconds(seconds: float) -> str:
    """A span of time, with the digits that matter.

    >>> format_seconds(0.0123), format_seconds(7.5), format_seconds(3725)
    ('0.012 s', '7.50 s', '1:02:05')
    """
    if seconds < 1:
        return f"{seconds:.3f} s"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return format_clock(seconds)


def format_clock(seconds: float) -> str:
    """A span of time as a clock shows it.

    >>> format_clock(9), format_clock(3725)
    ('0:09', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

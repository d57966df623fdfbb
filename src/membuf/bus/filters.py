"""The filters that a target's name can have."""

from __future__ import annotations

import os
from typing import Any

from membuf.bus.registry import open_target, register_filter
from membuf.target.filters import Checksum, Cow, Delay, Error, Log, Rate, ReadOnly, Stats
from membuf.target.target import Target


def copy_on_write(lower: Target, **options: Any) -> Cow:
    """Put a copy-on-write filter over a target, with an overlay in memory.

    >>> import tempfile, membuf
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with copy_on_write(membuf.open_target(f"file:{file.name}", access="read")) as target:
    ...         target.write(b"one"), target.size, target.blocks
    (3, 3, 1)
    """
    fd = os.memfd_create("membuf-overlay", os.MFD_CLOEXEC)
    try:
        overlay = open_target(f"fd:{fd}")
    finally:
        os.close(fd)
    try:
        return Cow(lower, overlay=overlay, **options)
    except BaseException:
        overlay.close()
        raise


for _kind in (Checksum, Delay, Error, Log, Rate, ReadOnly, Stats):
    register_filter(_kind)
register_filter(Cow, copy_on_write)

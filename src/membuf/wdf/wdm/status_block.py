"""How a request ended, as wdm.h has it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IO_STATUS_BLOCK"]


@dataclass(slots=True)
class IO_STATUS_BLOCK:
    """How a request ended.

    Attributes:
        Status: the status.
        Information: mostly the count of bytes.

    >>> IO_STATUS_BLOCK().Information
    0
    """

    Status: int = 0
    Information: int = 0

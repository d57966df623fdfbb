"""What DMA calls raise."""

from __future__ import annotations

from typing import Any

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status

WDF_VIOLATION = 0x10D
DMA_FATAL_ERROR = 8
NULL_PARAMETER = 4
DMA_VIOLATION = 0xE6


class TranslationFaultError(MembufError):
    """A device touched an address that is not its to touch.

    Attributes (among `operands`):
        address: the first byte it asked for.
        length: how many.
        access: "read" or "write", or None.
        owner: what the address belongs or belonged to, e.g. a transaction; None where nothing did.
    """

    status = st.STATUS_ACCESS_VIOLATION


class BackendNotAvailableError(MembufError):
    """The wanted way to make device addresses does not exist on this machine."""


def invalid(message: str, **operands: Any) -> MembufError:
    """INVALID_PARAMETER."""
    return from_status(st.STATUS_INVALID_PARAMETER, message, operands)


def null(what: str) -> MembufError:
    """A pointer that must not be NULL: Windows stops."""
    return from_status(
        st.STATUS_INVALID_PARAMETER,
        f"{what} must not be None",
        bugcheck=(WDF_VIOLATION, NULL_PARAMETER, 0, 0, 0),
    )


def violation(kind: int, message: str, subject: object) -> MembufError:
    """What DMA verification stops for, by the first parameter of bug check 0xE6."""
    return from_status(
        st.STATUS_INVALID_DEVICE_STATE,
        f"DMA verification: {message}",
        bugcheck=(DMA_VIOLATION, kind, id(subject), 0, 0),
    )


TranslationFaultError.__module__ = BackendNotAvailableError.__module__ = "membuf.dma"

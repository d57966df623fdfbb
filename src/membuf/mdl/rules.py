"""Which calls are legal on an MDL, by how it was made; what Windows stops with where one is not.

Source: the table "legal calls by how the MDL was made"; the codes are those of bug check 0xC4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.mdl.flags import MdlFlags

if TYPE_CHECKING:
    from membuf.mdl.described import Described

Kind = Literal["raw", "locked", "nonpaged", "partial", "pages"]

_VERIFIER: Final = 0xC4
_INVALID_MDL_RANGE: Final = 0x12E
_WDF_VIOLATION: Final = 0x10D
_REQUEST_FATAL_ERROR: Final = 6

_LOCK: Final = 0xB0
_NEVER_LOCKED: Final = 0x7C
_UNLOCK_NONPAGED: Final = 0x7D
_UNLOCK_PARTIAL: Final = 0xB4
_BUILD_PAGED: Final = 0x7F
_MAPPED_BEFORE: Final = 0xB2
_NOT_LOCKED: Final = 0xB3
_UNMAP_PARTIAL: Final = 0xB5
_NOT_MAPPED: Final = 0xB6
_FREED_IN_USE: Final = 0xB8


class Rule(NamedTuple):
    """Why a call is illegal: the bug check's sub-code (0: Windows has no such call), and words."""

    code: int
    reason: str


_PAGES_ARE_FIXED = "its pages stay as they are for as long as it describes them"

ILLEGAL: Final[dict[str, dict[str, Rule]]] = {
    "lock": {
        "locked": Rule(_LOCK, "it is locked already: unlock it first"),
        "nonpaged": Rule(_LOCK, _PAGES_ARE_FIXED),
        "partial": Rule(_LOCK, "its pages are its source's, which is locked"),
        "pages": Rule(_LOCK, _PAGES_ARE_FIXED),
    },
    "unlock": {
        "raw": Rule(_NEVER_LOCKED, "it was never locked"),
        "nonpaged": Rule(_UNLOCK_NONPAGED, _PAGES_ARE_FIXED),
        "partial": Rule(_UNLOCK_PARTIAL, "unlock its source instead"),
        "pages": Rule(_NEVER_LOCKED, "free its pages instead"),
    },
    "build_nonpaged": {
        "locked": Rule(_LOCK, "it is locked: unlock it first"),
        "nonpaged": Rule(_LOCK, "it is built already"),
        "partial": Rule(_LOCK, "it describes the pages of its source"),
        "pages": Rule(_LOCK, _PAGES_ARE_FIXED),
    },
    "map": {
        "raw": Rule(_NOT_LOCKED, "lock it first"),
    },
    "map again": {
        "raw": Rule(_NOT_LOCKED, "lock it first"),
        "nonpaged": Rule(_MAPPED_BEFORE, "non-paged memory has its address already"),
    },
    "unmap": {
        "raw": Rule(_NOT_MAPPED, "it is not mapped"),
        "nonpaged": Rule(_NOT_MAPPED, "non-paged memory keeps its address"),
        "partial": Rule(_UNMAP_PARTIAL, "prepare it for reuse, or free it, instead"),
    },
    "describe a part of": {
        "raw": Rule(_NOT_LOCKED, "lock it first"),
    },
    "read the frames of": {
        "raw": Rule(_NOT_LOCKED, "lock it first"),
    },
    "pin": {
        "partial": Rule(0, "pin its source instead"),
    },
    "free the pages of": {
        kind: Rule(_FREED_IN_USE, "its pages were not allocated for it")
        for kind in ("raw", "locked", "nonpaged", "partial")
    },
    "free": {
        "locked": Rule(_FREED_IN_USE, "unlock it first"),
        "pages": Rule(_FREED_IN_USE, "free its pages first"),
    },
    "initialize": {
        "locked": Rule(_FREED_IN_USE, "unlock it first"),
        "pages": Rule(_FREED_IN_USE, "free its pages first"),
    },
}


def check(mdl: Described, call: str) -> None:
    """Check that a call is legal on an MDL of its kind.

    Raises:
        MembufError: it is not; `.bugcheck` says what Windows stops with.
    """
    rule = ILLEGAL[call].get(mdl.kind)
    if rule is not None:
        raise refusal(mdl, call, rule)


def refusal(mdl: Described, call: str, rule: Rule) -> MembufError:
    """The error for an illegal call."""
    flags = int(mdl.flags)
    bad = flags & int(MdlFlags.PAGES_LOCKED | MdlFlags.SOURCE_IS_NONPAGED_POOL | MdlFlags.PARTIAL)
    return from_status(
        st.STATUS_INVALID_DEVICE_REQUEST,
        f"cannot {call} {mdl!r} of {mdl.owner}: {rule.reason}",
        bugcheck=(_VERIFIER, rule.code, id(mdl), flags, bad) if rule.code else None,
    )


def mapped_before(mdl: Described) -> MembufError:
    """The error for a second system mapping."""
    return refusal(mdl, "map again", Rule(_MAPPED_BEFORE, "it has a system address already"))


def not_mapped(mdl: Described) -> MembufError:
    """The error for an unmap of what is not mapped."""
    return refusal(mdl, "unmap", Rule(_NOT_MAPPED, "it is not mapped"))


def stale(mdl: Described, call: str) -> MembufError:
    """The error for a partial MDL whose source was unlocked or freed."""
    return refusal(mdl, call, Rule(_NOT_LOCKED, "its source was unlocked or freed since"))


def paged(mdl: Described) -> MembufError:
    """The error for building over memory that may be paged out."""
    return refusal(mdl, "build", Rule(_BUILD_PAGED, "its pages may be paged out"))


def bad_range(source: Described, part: Described, address: int, length: int) -> MembufError:
    """The error for a part that does not lie inside its source, or does not fit its MDL."""
    return from_status(
        st.STATUS_INVALID_PARAMETER,
        f"{length} bytes at {address:#x} are not a part of {source!r} that {part!r} can describe",
        operands={
            "offset": address - source.address,
            "needed": length,
            "available": source.byte_count,
        },
        bugcheck=(_INVALID_MDL_RANGE, id(source), id(part), address, length),
    )


def framework_owned(mdl: Described, call: str, owner: object) -> MembufError:
    """The error for a driver that does what is the framework's to do."""
    return from_status(
        st.STATUS_INVALID_DEVICE_REQUEST,
        f"cannot {call} {mdl!r}: it belongs to {owner!r}, which does that when it is over",
        bugcheck=(_WDF_VIOLATION, _REQUEST_FATAL_ERROR, 0, id(mdl), 0),
    )

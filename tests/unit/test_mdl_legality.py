"""Every call on every kind of MDL: legal, without effect, or refused with its code and no effect.

The table is the specification's "legal calls by how the MDL was made".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import membuf
from membuf.mdl import allocate_pages

KINDS = ("raw", "locked", "nonpaged", "partial", "pages")
OK = None
# For each call what is illegal: the sub-code of bug check 0xC4 by kind, in the order of KINDS.
TABLE: dict[str, tuple[int | None, ...]] = {
    "lock": (OK, 0xB0, 0xB0, 0xB0, 0xB0),
    "unlock": (0x7C, OK, 0x7D, 0xB4, 0x7C),
    "map": (0xB3, OK, OK, OK, OK),
    "map again": (0xB3, 0xB2, 0xB2, 0xB2, 0xB2),
    "unmap": (0xB6, 0xB6, 0xB6, 0xB5, 0xB6),
    "partial": (0xB3, OK, OK, OK, OK),
    "frames": (0xB3, OK, OK, OK, OK),
    "prepare": (OK, OK, OK, OK, OK),
    "free": (OK, 0xB8, OK, OK, 0xB8),
    "free pages": (0xB8, 0xB8, 0xB8, 0xB8, OK),
    "initialize": (OK, 0xB8, OK, OK, 0xB8),
}


def map_again(mdl: membuf.Mdl) -> None:
    """A second system mapping, where a first can be."""
    if mdl.kind != "raw":
        mdl.map()
    mdl.map(first=True)


def frames(mdl: membuf.Mdl) -> None:
    """Legal, and yet not to be known."""
    with pytest.raises(membuf.FrameUnknownError):
        mdl.frames  # noqa: B018


CALLS: dict[str, Callable[[Any], object]] = {
    "lock": lambda mdl: mdl.lock(),
    "unlock": lambda mdl: mdl.unlock(),
    "map": lambda mdl: mdl.map(),
    "map again": map_again,
    "unmap": lambda mdl: mdl.unmap(),
    "partial": lambda mdl: mdl.partial(10, 20),
    "prepare": lambda mdl: mdl.prepare_for_reuse(),
    "free": lambda mdl: mdl.free(),
    "free pages": lambda mdl: mdl.free_pages(),
    "initialize": lambda mdl: mdl.initialize(bytearray(10)),
}


def made(kind: str) -> tuple[membuf.Mdl, list[membuf.Mdl]]:
    """An MDL of a kind, and what is to be closed after it."""
    if kind == "pages":
        mdl = allocate_pages(8192)
        return mdl, [mdl]
    mdl = membuf.Mdl(membuf.Memory(5000))
    if kind == "nonpaged":
        mdl.build_nonpaged()
    if kind in {"locked", "partial"}:
        mdl.lock()
    if kind == "partial":
        return mdl.partial(100), [mdl]
    return mdl, [mdl]


CELLS = [
    pytest.param(call, kind, code, id=f"{call} {kind}")
    for call, codes in TABLE.items()
    for kind, code in zip(KINDS, codes, strict=True)
]


@pytest.mark.parametrize(("call", "kind", "code"), CELLS)
def test_a_call_is_legal_or_refused_without_effect(call: str, kind: str, code: int | None) -> None:
    mdl, owners = made(kind)
    before = (mdl.kind, mdl.locked, mdl.guarantees)
    function = frames if call == "frames" and code is None else CALLS.get(call, lambda m: m.frames)
    if code is None:
        function(mdl)
    else:
        with pytest.raises(membuf.InvalidDeviceStateError) as refused:
            function(mdl)
        assert refused.value.bugcheck[:3] == (0xC4, code, id(mdl))
        assert (mdl.kind, mdl.locked, mdl.guarantees) == before
    for owner in (mdl, *owners):
        owner.close()
    assert all(owner.freed for owner in owners)


@pytest.mark.parametrize("call", [*TABLE])
def test_nothing_is_legal_on_what_was_freed(call: str) -> None:
    mdl = membuf.Mdl(bytearray(100))
    mdl.free()
    with pytest.raises(membuf.ObjectDeletedError):
        CALLS.get(call, lambda m: m.frames)(mdl)
    assert repr(mdl).startswith("<Mdl, freed")

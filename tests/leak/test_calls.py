"""No public call leaks, whether it succeeds or is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

import membuf
import membuf.verifier
from tests.leak.calls import CALLS
from tests.leak.meters import leak_of

TYPES = {
    "Object": membuf.Object,
    "Collection": membuf.Collection,
    "SpinLock": membuf.SpinLock,
    "WaitLock": membuf.WaitLock,
    "Memory": membuf.Memory,
    "LookasideList": membuf.LookasideList,
    "Block": membuf.pool.Block,
    "Pointer": membuf._native.Pointer,
    "Domain": membuf.Domain,
    "MemoryDescriptor": membuf.MemoryDescriptor,
}
MODULES = {"pool": membuf.pool, "verifier": membuf.verifier}
# The MDL form comes with MDLs.
LATER = {"MemoryDescriptor.mdl"}


@pytest.mark.parametrize("call", [pytest.param(CALLS[name], id=name) for name in CALLS])
def test_nothing_leaks(call: Callable[[], None]) -> None:
    found = leak_of(call)
    assert found is None, found


def test_the_table_covers_the_public_face() -> None:
    missing = public_names() - set(CALLS) - LATER
    assert not missing, f"no leak test for {sorted(missing)}"


def test_the_table_names_nothing_that_does_not_exist() -> None:
    for name in CALLS:
        holder, _, attribute = name.partition(".")
        where = TYPES.get(holder) or MODULES.get(holder) or membuf
        # Types of C show a __buffer__ only from Python 3.12 on.
        known = {*dir(where), "__buffer__"} if attribute else {*TYPES, *dir(membuf)}
        assert (attribute or holder) in known, name


def public_names() -> set[str]:
    """Every public attribute that the memory types define, and the functions beside them."""
    names = {"align_up", "align_down"}
    for title, module in MODULES.items():
        names |= {f"{title}.{name}" for name in module.__all__ if is_function(module, name)}
    for title, kind in TYPES.items():
        classes = [base for base in kind.__mro__ if base.__module__.startswith("membuf")]
        own = classes if title == "Domain" else [kind]
        found = {name for each in own for name in vars(each) if not name.startswith("_")}
        inherited = set(vars(membuf.Object)) if kind is not membuf.Object else set()
        names |= {title} | {f"{title}.{name}" for name in found - inherited}
    return names


def is_function(module: ModuleType, name: str) -> bool:
    """Whether a public name of a module is something to call that is no type."""
    value = getattr(module, name)
    return callable(value) and not isinstance(value, type)

"""Every public name is offered, explained and shown at work; the checks see where one is not."""

from __future__ import annotations

import types

import pytest

import membuf
from tests.meta.checks.namespace import all_differs, public_modules, unexplained

MODULES = public_modules(membuf)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_is_the_namespace(module: types.ModuleType) -> None:
    assert all_differs(module) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_explained(module: types.ModuleType) -> None:
    assert unexplained(module) == []


def planted(code: str) -> types.ModuleType:
    """A module with the code in it."""
    module = types.ModuleType("planted")
    exec(code, vars(module))
    return module


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("def f(): ...", "holds f but no __all__"),
        ("__all__ = []\ndef f(): ...", "f is public but not in __all__"),
        ("__all__ = []\nfrom textwrap import dedent", "dedent is public but not in __all__"),
        ("__all__ = ['g']", "g is in __all__ but does not exist"),
        ("__all__ = ['f', 'f']\ndef f(): ...", "f is in __all__ twice"),
    ],
)
def test_a_wrong_all_is_reported(code: str, finding: str) -> None:
    (found,) = all_differs(planted(code))
    assert finding in found


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("__all__ = ['f']\ndef f(): ...", "planted.f: no docstring"),
        ("__all__ = ['f']\ndef f(): 'Says little.'", "planted.f: its docstring has no example"),
        (
            "__all__ = ['C']\nclass C:\n  'Shows. >>> C()'\n  @property\n  def p(self): ...",
            "planted.C.p: no docstring",
        ),
        (
            "__all__ = ['C']\nclass C:\n  'Shows. >>> C()'\n  @classmethod\n  def m(cls): ...",
            "planted.C.m: no docstring",
        ),
    ],
)
def test_an_unexplained_name_is_reported(code: str, finding: str) -> None:
    assert unexplained(planted(code)) == [finding]

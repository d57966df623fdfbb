"""The examples of all docstrings run, those of native types included.

pytest's own collection of docstrings finds none in an extension module, so the objects are
looked up here.
"""

from __future__ import annotations

import doctest
import inspect
import io
import sys

import pytest

import membuf
from tests.meta.checks.namespace import docstring, documented, public_modules

EXAMPLES = {
    name: value
    for module in public_modules(membuf)
    for name, value in documented(module)
    if ">>>" in docstring(value)
}


def failures(name: str, text: str, names: dict[str, object]) -> str:
    """What goes wrong when the examples of a docstring are run; empty if nothing does."""
    test = doctest.DocTestParser().get_doctest(text, {"membuf": membuf} | names, name, None, 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.write)
    return report.getvalue()


def names_around(value: object) -> dict[str, object]:
    """The names of the module a class, function, method or property was written in."""
    made_of = getattr(value, "fget", None) or getattr(value, "__objclass__", None) or value
    return vars(sys.modules[getattr(inspect.unwrap(made_of), "__module__", None) or "membuf"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_docstring_run(name: str) -> None:
    value = EXAMPLES[name]
    assert not failures(name, docstring(value), names_around(value))


@pytest.mark.parametrize("text", [">>> 1 + 1\n3", ">>> undefined", ">>> membuf.no_such_name"])
def test_a_wrong_example_is_reported(text: str) -> None:
    assert failures("planted", text, {})


def test_native_types_have_examples_that_are_run() -> None:
    native = {
        name
        for name in EXAMPLES
        if name in {"membuf.Object", "membuf.Memory", "membuf.LookasideList"}
    }
    assert len(native) == 3

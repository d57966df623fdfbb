"""The two sides of the porting guide make the same calls of the framework, in the same order."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = sorted(path.parent for path in ROOT.glob("docs/snippets/porting/*/kmdf.c"))
NAMES = ROOT / "tests" / "conformance" / "wdf_names.toml"
CALLS = {call["name"] for call in tomllib.loads(NAMES.read_text())["call"]}

# What a C file could call: a name in the framework's spelling before a parenthesis.
FRAMEWORK = re.compile(r"\b((?:Wdf|WDF_|NT_|Ex|Io|Mm)\w+|ADDRESS_AND\w+)\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|'[^']*'", re.DOTALL)


def calls_of_c(text: str) -> list[str]:
    """The framework's calls of a C file, as they stand in it."""
    return FRAMEWORK.findall(COMMENT.sub("", text))


def calls_of_python(text: str) -> list[str]:
    """The framework's calls of the functions a Python file defines, as they stand in it."""
    functions = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
    found = [
        (node.lineno, node.col_offset, node.func.id)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    return [name for _, _, name in sorted(found) if name in CALLS]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_both_sides_make_the_same_calls(task: Path) -> None:
    in_c = calls_of_c((task / "kmdf.c").read_text())
    assert set(in_c) <= CALLS
    assert calls_of_python((task / "wdf.py").read_text()) == in_c


def test_a_side_that_lags_behind_is_seen() -> None:
    c = "void F(WDFMEMORY m) { /* WdfObjectReference(m) */ WdfObjectDelete(m); }"
    assert calls_of_c(c) == ["WdfObjectDelete"]
    assert calls_of_python("def f(m):\n    WdfObjectReference(m)") == ["WdfObjectReference"]

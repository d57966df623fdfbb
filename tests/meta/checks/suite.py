"""What a test suite must not contain: skips, expected failures, tests that check nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

SKIPPING = {
    "skip", "skipif", "xfail", "importorskip", "SkipTest", "skipIf", "skipUnless",
    "skipTest", "expectedFailure", "collect_ignore", "collect_ignore_glob",
}  # fmt: skip
EXPECTING = {
    "raises", "warns", "deprecated_call", "fail", "run_state_machine_as_test", "check_call",
}  # fmt: skip
Test = ast.FunctionDef | ast.AsyncFunctionDef


def skips(files: Iterable[Path]) -> list[str]:
    """Where a test file could leave out a test or excuse its failure."""
    found: list[str] = []
    for path in files:
        found += [
            f"{path}:{node.lineno}: {_name(node)}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute | ast.Name | ast.alias) and _name(node) in SKIPPING
        ]
    return found


def idle_tests(files: Iterable[Path]) -> list[str]:
    """Tests that cannot fail: they check nothing, or only what is always so.

    A test checks something if it has an assert, expects an exception, or calls a function of
    the suite that does.
    """
    trees = {path: ast.parse(path.read_text()) for path in files}
    functions = [
        node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, Test)
    ]
    checking = _checking_names(functions)
    found: list[str] = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Test) and node.name.startswith("test"):
                if not _checks(node, checking):
                    found.append(f"{path}:{node.lineno}: {node.name} checks nothing")
            elif isinstance(node, ast.Assert) and (reason := always_true(node.test)):
                found.append(f"{path}:{node.lineno}: assert {ast.unparse(node.test)}: {reason}")
    return found


def always_true(test: ast.expr) -> str | None:
    """Why an asserted expression can never be false, or None."""
    match test:
        case ast.Constant():
            return "a constant"
        case ast.Tuple(elts=[_, *_]):
            return "a tuple is always true"
        case ast.Compare(
            left=left, ops=[ast.Eq() | ast.Is() | ast.GtE() | ast.LtE()], comparators=[right]
        ):
            if ast.dump(left) == ast.dump(right) and not _calls(left):
                return "compares a thing with itself"
        case ast.BoolOp(op=ast.Or(), values=values):
            return next((reason for value in values if (reason := always_true(value))), None)
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="object")]):
            return "everything is an object"
    return None


def _calls(node: ast.expr) -> bool:
    return any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _checking_names(functions: list[Test]) -> set[str]:
    """The names of functions that check something, themselves or through one another."""
    checking = set(EXPECTING)
    while True:
        more = {node.name for node in functions if _checks(node, checking)} - checking
        if not more:
            return checking
        checking |= more


def _checks(function: Test, checking: set[str]) -> bool:
    return any(
        isinstance(node, ast.Assert | ast.Raise)
        or (isinstance(node, ast.Call) and _name(node.func) in checking)
        for node in ast.walk(function)
    )


def _name(node: ast.AST) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
            return name
    return ""

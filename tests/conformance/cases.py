"""Which test holds which case: the mark that procedures carry, and the ids of all there are."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).parent
Test = TypeVar("Test", bound=Callable[..., Any])


def case(*names: str) -> Callable[[Test], Test]:
    """Enter a test under the numbers of its cases: `@case("C29")`.

    For cases that no list of steps can tell. Rows of tables need no mark: a test that gets a row
    with an `id` as a parameter holds the case of that id.
    """

    def enter(test: Test) -> Test:
        test.cases = names  # type: ignore[attr-defined]
        return test

    return enter


def ids() -> list[str]:
    """The id of every row of every table, and of every procedure in this folder."""
    return [*row_ids(), *procedure_ids()]


def row_ids() -> list[str]:
    """The ids of the rows of the tables, of whatever kind."""
    tables = [tomllib.loads(path.read_text()) for path in sorted(FOLDER.glob("tables/*.toml"))]
    return [
        row["id"]
        for table in tables
        for rows in table.values()
        if isinstance(rows, list)
        for row in rows
    ]


def procedure_ids() -> list[str]:
    """What the marks of the tests say, read from their text."""
    trees = [ast.parse(path.read_text()) for path in sorted(FOLDER.glob("test_*.py"))]
    marks = [
        mark
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "case"
    ]
    return [ast.literal_eval(name) for mark in marks for name in mark.args]

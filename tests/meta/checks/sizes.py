"""Files and functions stay small enough to be read at one sitting.

A function's lines are counted from its first line to its last, docstring left out: a longer
explanation must never be a reason to split a function.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE_LIMIT = 600
FUNCTION_LIMIT = 40

CYTHON_FUNCTION = re.compile(
    r"^(\s*)(?:async\s+)?(?:def|cdef|cpdef)\s(?!.*\bclass\s)[^=]*?(\w+)\s*\("
)
C_COMMENT_OR_TEXT = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
C_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
C_NAME = re.compile(r"(\w+)\s*\(")


class Function(NamedTuple):
    """A function, where it starts and how many lines it has."""

    name: str
    line: int
    lines: int


def oversized(root: Path, files: list[str], tables: dict[str, str]) -> list[str]:
    """What is too long among the files, and which exception is no longer needed.

    Args:
        root: The folder the names are relative to.
        files: Names of source files; those of other kinds are passed over.
        tables: Files that may be longer since they are tables, with the reason.
    """
    found: list[str] = []
    for name in files:
        path = root / name
        if path.suffix not in READERS:
            continue
        text = path.read_text()
        lines = text.count("\n")
        if lines > FILE_LIMIT and name not in tables:
            found.append(f"{name}: {lines} lines, the limit is {FILE_LIMIT}")
        if lines <= FILE_LIMIT and name in tables:
            found.append(f"{name}: listed as a long table, but has only {lines} lines")
        found += [
            f"{name}:{function.line}: {function.name} has {function.lines} lines, "
            f"the limit is {FUNCTION_LIMIT}"
            for function in READERS[path.suffix](text)
            if function.lines > FUNCTION_LIMIT
        ]
    found += [
        f"{name}: listed as a long table, but is no source file"
        for name in set(tables) - set(files)
    ]
    return found


def python_functions(text: str) -> Iterator[Function]:
    """The functions of a Python file, nested ones and methods included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield Function(node.name, node.lineno, end - node.lineno + 1 - _docstring_lines(node))


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    docstring = node.body[0]
    return (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1


def cython_functions(text: str) -> Iterator[Function]:
    """The functions of a Cython file, by indentation."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        match = CYTHON_FUNCTION.match(line)
        if not match or not _signature(lines, start).endswith(":"):
            continue
        end = start
        for number in range(start + 1, len(lines)):
            here = lines[number]
            if here.strip() and not _continues(here, len(match[1])):
                break
            end = number if here.strip() else end
        body = "\n".join(lines[start : end + 1])
        docstring = re.search(r':\n\s*(?:r|u)?"""(?:.*?)"""', body, re.DOTALL)
        spared = docstring[0].count("\n") if docstring else 0
        yield Function(match[2], start + 1, end - start + 1 - spared)


def _signature(lines: list[str], start: int) -> str:
    """The text of a signature that may go over several lines, without comments."""
    text = ""
    for line in lines[start:]:
        text += line.split("#")[0].rstrip()
        if text.count("(") <= text.count(")"):
            break
    return text


def _continues(line: str, indent: int) -> bool:
    """Whether a line still belongs to a block that was opened at the indent."""
    own = len(line) - len(line.lstrip())
    return own > indent or (own == indent and line.lstrip().startswith(")"))


def c_functions(text: str) -> Iterator[Function]:
    """The functions of a C file: what stands in braces after a parenthesis at the outer level."""
    code = C_COMMENT_OR_TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    code = C_DIRECTIVE.sub(lambda match: "\n" * match[0].count("\n"), code)
    head = depth = 0  # head: where the text before the outermost brace begins
    for mark in re.finditer(r"[{};]", code):
        if mark[0] == "{":
            depth += 1
            if depth == 1:
                signature = code[head : mark.start()]
        elif mark[0] == "}":
            depth -= 1
        if depth:
            continue
        if mark[0] == "}" and signature.rstrip().endswith(")"):
            yield _c_function(code, head, signature, mark.end())
        head = mark.end()


def _c_function(code: str, head: int, signature: str, end: int) -> Function:
    start = head + len(signature) - len(signature.lstrip())
    name = C_NAME.search(signature)
    first, last = code.count("\n", 0, start) + 1, code.count("\n", 0, end) + 1
    return Function(name[1] if name else "?", first, last - first + 1)


READERS = {
    ".py": python_functions,
    ".pyi": python_functions,
    ".pyx": cython_functions,
    ".pxd": cython_functions,
    ".c": c_functions,
    ".h": c_functions,
}

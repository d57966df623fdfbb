"""Who may import whom: data flows one way, and so do imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

FOUNDATION = ("base", "_native")
STAGES = ("pool", "memory", "mdl", "request", "target", "bus")
BESIDE = ("dma", "wdf", "verifier", "testing", "cli")
ORDER = FOUNDATION + STAGES
# The core is the native half of the first two stages, and makes their records by name.
REACH = {"_native": "memory"}

CYTHON_FROM = re.compile(r"^\s*from\s+([\w.]+)\s+c?import\s+(.+)")
CYTHON_IMPORT = re.compile(r"^\s*c?import\s+([\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+)*)")
C_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
C_IMPORT = re.compile(r'PyImport_Import\w*\s*\(\s*"([\w.]+)"')


class Import(NamedTuple):
    """One import: where it stands and the absolute name it asks for."""

    line: int
    name: str


def violations(package: Path) -> list[str]:
    """The imports of a package that point the wrong way, one sentence each."""
    found: list[str] = []
    for path in sorted(package.rglob("*")):
        if path.suffix not in READERS:
            continue
        inside = path.relative_to(package)
        for imported in READERS[path.suffix](path, package):
            reason = _objection(inside, imported.name, package)
            if reason:
                found.append(f"{inside}:{imported.line}: imports {imported.name}: {reason}")
    return found


def interpreter_uses(store: Path) -> list[str]:
    """Where the block store knows of an interpreter, or of anything outside its folder."""
    return [
        f"{path.name}:{number}: includes {match[1]}"
        for path in sorted(store.glob("*.[ch]"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (match := C_INCLUDE.match(line)) and ("Python.h" in match[1] or "/" in match[1])
        if not match[1].startswith(("sys/", "linux/"))
    ]


def _objection(inside: Path, name: str, package: Path) -> str | None:
    """Why the file must not import the name, or None."""
    own = _unit_of_file(inside)
    parts = name.split(".")
    if own is None or parts[0] != package.name or own in BESIDE:
        return None
    other = parts[1] if len(parts) > 1 else None
    if other is None or other not in ORDER + BESIDE:
        return "a stage names the module it needs, not the package's face"
    if other in BESIDE:
        return f"{other} stands beside the line, no stage imports it"
    if own not in ORDER:
        return f"{own} is no stage; add it to tests/meta/checks/layering.py"
    if ORDER.index(other) > ORDER.index(REACH.get(own, own)):
        return f"{own} stands left of {other}: {' -> '.join(ORDER)}"
    return None


def _unit_of_file(inside: Path) -> str | None:
    """The stage a file belongs to; None for the package's own face."""
    if len(inside.parts) > 1:
        return inside.parts[0]
    return None if inside.stem == "__init__" else inside.stem


def _python_imports(path: Path, package: Path) -> list[Import]:
    found: list[Import] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute("." * node.level + (node.module or ""), path, package)
            names = [alias.name for alias in node.names]
            found += [Import(node.lineno, name) for name in _targets(base, names, package)]
        elif isinstance(node, ast.Call) and _is_dynamic_import(node.func):
            found += [
                Import(node.lineno, argument.value)
                for argument in node.args[:1]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
    return found


def _is_dynamic_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}


def _cython_imports(path: Path, package: Path) -> list[Import]:
    found: list[Import] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if match := CYTHON_FROM.match(line):
            base = _absolute(match[1], path, package)
            names = [part.split()[0] for part in match[2].strip("() \\").split(",") if part.split()]
            found += [Import(number, name) for name in _targets(base, names, package)]
        elif match := CYTHON_IMPORT.match(line):
            found += [Import(number, part.split()[0]) for part in match[1].split(",")]
    return found


def _c_imports(path: Path, package: Path) -> list[Import]:
    return [
        Import(number, match[1])
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for match in C_IMPORT.finditer(line)
    ]


def _absolute(module: str, path: Path, package: Path) -> str:
    """The absolute name of a module that may be written relative to the file."""
    level = len(module) - len(module.lstrip("."))
    if level == 0:
        return module
    folder = path.relative_to(package.parent).parent.parts
    parents = folder[: len(folder) - level + 1]
    return ".".join(parents + tuple(filter(None, [module.lstrip(".")])))


def _targets(base: str, names: list[str], package: Path) -> list[str]:
    """`from membuf import pool` asks for membuf.pool; from any other module, for that module."""
    return [f"{base}.{name}" for name in names] if base == package.name else [base]


READERS = {
    ".py": _python_imports,
    ".pyi": _python_imports,
    ".pyx": _cython_imports,
    ".pxd": _cython_imports,
    ".c": _c_imports,
    ".h": _c_imports,
}

"""Signatures and types of native objects, taken from the stubs.

An extension module knows the names of its parameters, not their types; those stand in the
`.pyi` beside it. This extension reads the stubs and gives autodoc both. It is a gate as well:
a native object that is documented but has no entry in a stub is a warning, and so an error
under `-W`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)
PACKAGE = "membuf"
# Fields that share a description: Sphinx takes all but the last of `:ivar a, b: ...` for a type.
SHARED_FIELD = re.compile(r"^:ivar \w+(?:, \w+)+:")


class Entry(NamedTuple):
    """What a stub says of one function, method or property."""

    arguments: str
    returns: str


class Stubs:
    """The stubs of a package's extension modules, and which objects they describe.

    Args:
        entries: What the stubs say, by qualified name (`Memory.copy_from`).
        natives: The classes and functions of the extension modules, by identity.
    """

    def __init__(self, entries: dict[str, Entry], natives: dict[int, object]) -> None:
        self.entries = entries
        self.natives = natives

    @classmethod
    def of_package(cls, name: str) -> Stubs:
        """Read every stub that lies beside an extension module of an installed package."""
        entries: dict[str, Entry] = {}
        natives: dict[int, object] = {}
        root = Path(importlib.import_module(name).__path__[0])
        for path in sorted(root.rglob("*.pyi")):
            if not _is_extension(path):
                continue
            entries |= read_stub(path.read_text())
            inside = path.relative_to(root).with_suffix("").parts
            module = importlib.import_module(".".join((name, *inside)))
            mine = [value for value in vars(module).values() if _is_code_of(value, module.__name__)]
            natives |= {id(value): value for value in mine}
        return cls(entries, natives)

    def describes(self, value: Any) -> bool:
        """Whether an object comes from an extension module, so that a stub must know it."""
        owner = getattr(value, "__objclass__", None) or getattr(value, "__self__", value)
        return id(value) in self.natives or id(owner) in self.natives

    def signature(self, kind: str, name: str, value: Any) -> tuple[str, str] | None:
        """The signature autodoc shall print for a native object; None leaves it its own."""
        entry = self._entry(name, value)
        if entry is None or kind in {"property", "attribute"} or not _has_signature(value):
            return None
        return entry.arguments, "" if kind == "class" else entry.returns

    def property_type(self, name: str, value: Any) -> str | None:
        """The type of a native property."""
        entry = self._entry(name, value)
        return entry.returns if entry and inspect.isdatadescriptor(value) else None

    def _entry(self, name: str, value: Any) -> Entry | None:
        if not self.describes(value):
            return None
        names = _stub_names(value, name.removeprefix(f"{PACKAGE}."))
        found = next((entry for one in names if (entry := self.entries.get(one))), None)
        if found is None:
            logger.warning("no stub entry for the native object %s", name, type="membuf")
        return found


def _stub_names(value: Any, name: str) -> list[str]:
    """The names a stub may know an object by: its own, then that of what it overrides."""
    qualified = getattr(value, "__qualname__", name)
    owner = getattr(value, "__objclass__", object)
    method = qualified.rpartition(".")[2]
    return [qualified, *(f"{base.__name__}.{method}" for base in owner.__mro__[1:])]


def read_stub(text: str) -> dict[str, Entry]:
    """The entries of a stub, by qualified name; a constructor stands under its class's name."""
    entries: dict[str, Entry] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            entries[node.name] = _entry(node, bound=False)
        elif isinstance(node, ast.ClassDef):
            entries.setdefault(node.name, Entry("()", ""))
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign):
                    entries[f"{node.name}.{ast.unparse(inner.target)}"] = Entry(
                        "", ast.unparse(inner.annotation)
                    )
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    entry = _entry(inner, bound=not _has_decorator(inner, "staticmethod"))
                    entries[f"{node.name}.{inner.name}"] = entry
                    if inner.name in {"__init__", "__new__"}:
                        entries[node.name] = entry
    return entries


def _entry(function: ast.FunctionDef | ast.AsyncFunctionDef, *, bound: bool) -> Entry:
    arguments = function.args
    if bound:
        (arguments.posonlyargs or arguments.args).pop(0)
    returns = ast.unparse(function.returns) if function.returns else ""
    return Entry(f"({ast.unparse(arguments)})", returns)


def _has_decorator(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return any(
        isinstance(found, ast.Name) and found.id == name for found in function.decorator_list
    )


def _has_signature(value: Any) -> bool:
    """Whether Python finds one: Sphinx fails when it is told one for an object without."""
    try:
        inspect.signature(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_extension(stub: Path) -> bool:
    return any(stub.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES)


def _is_code_of(value: object, module: str) -> bool:
    """Whether a module's stub must know it: exceptions are written in Python, only used in C."""
    if getattr(value, "__module__", None) != module:
        return False
    if inspect.isclass(value):
        return not issubclass(value, BaseException)
    return inspect.isroutine(value)


def property_lines(app: Sphinx, name: str, value: Any) -> list[str]:
    """The docstring of a property, its sections read like those of a method.

    Napoleon takes the words before a colon in a property's first line for its type, and reads no
    sections below; both are wrong here.
    """
    text = inspect.cleandoc(value.__doc__ or "")
    return GoogleDocstring(text, app.config, app, "method", name, value).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the stubs to autodoc."""
    stubs = Stubs.of_package(PACKAGE)

    def on_signature(
        app: Sphinx, kind: str, name: str, value: Any, options: Any, own: str, returns: str
    ) -> tuple[str, str] | None:
        return stubs.signature(kind, name, value)

    def on_docstring(
        app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]
    ) -> None:
        if inspect.isdatadescriptor(value):
            lines[:] = property_lines(app, name, value)
        if "--" in lines and kind == "class":  # Cython indents the line: Python did not cut there
            del lines[: lines.index("--") + 2]
        if (found := stubs.property_type(name, value)) is not None:
            lines[:1] = [f"``{found}``: {lines[0]}"]
        lines[:] = [
            SHARED_FIELD.sub(lambda match: match[0].replace(", ", ","), one) for one in lines
        ]

    app.connect("autodoc-process-signature", on_signature)
    app.connect("autodoc-process-docstring", on_docstring, priority=600)  # after napoleon
    return {"version": "1", "parallel_read_safe": True}

"""The public names: what a module offers is what its `__all__` says, and all of it is explained."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator

# Descriptors and functions of Python and of extension modules alike.
MEMBERS = (
    types.FunctionType,
    types.MethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
    classmethod,
    staticmethod,
    property,
)


def public_modules(package: types.ModuleType) -> list[types.ModuleType]:
    """The package and those below it: the faces a user imports from.

    Modules inside a package are where things are made; what they offer, a face offers again.
    """
    names = [
        found.name
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if found.ispkg and not any(part.startswith("_") for part in found.name.split("."))
    ]
    return [package, *map(importlib.import_module, names)]


def all_differs(face: types.ModuleType) -> list[str]:
    """Where `__all__` and the namespace of a package's face do not say the same."""
    offered = getattr(face, "__all__", None)
    held = {name for name, value in vars(face).items() if _is_public(name, value)}
    if offered is None:
        return [f"{face.__name__}: holds {', '.join(sorted(held))} but no __all__"] if held else []
    missing = [name for name in offered if not hasattr(face, name)]
    hidden = sorted(held - set(offered))
    return [
        *(f"{face.__name__}: {name} is in __all__ but does not exist" for name in missing),
        *(f"{face.__name__}: {name} is public but not in __all__" for name in hidden),
        *(f"{face.__name__}: {name} is in __all__ twice" for name in _twice(offered)),
    ]


def _is_public(name: str, value: object) -> bool:
    """Whether a name counts: modules do not, and `from __future__ import` leaves one behind."""
    return not (name.startswith("_") or name == "annotations" or inspect.ismodule(value))


def _twice(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


def documented(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """Each public class, function, method and property of a face, under its full name."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value):
            yield f"{module.__name__}.{name}", value
            fields = vars(value).get("__slots__", ())  # a record explains them in its own docstring
            for member, inner in vars(value).items():
                is_member = isinstance(inner, MEMBERS) and member not in fields
                if is_member and not member.startswith("_"):
                    yield f"{module.__name__}.{name}.{member}", inner
        elif inspect.isroutine(value):
            yield f"{module.__name__}.{name}", value


def unexplained(module: types.ModuleType) -> list[str]:
    """Public names without a docstring, and classes and functions without an example."""
    found: list[str] = []
    for name, value in documented(module):
        text = docstring(value)
        depth = name.removeprefix(module.__name__).count(".")
        if not text.strip():
            found.append(f"{name}: no docstring")
        elif depth == 1 and ">>>" not in text and not _is_exception(value):
            found.append(f"{name}: its docstring has no example")
    return found


def _is_exception(value: object) -> bool:
    """Exceptions are met, not called: the calls that raise them have the examples."""
    return inspect.isclass(value) and issubclass(value, BaseException)


def docstring(value: object) -> str:
    """The object's own docstring, none that it inherits."""
    return getattr(value, "__doc__", None) or ""

"""Which functions of membuf a test calls, watched while it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import pkgutil
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import membuf
from membuf import wdf
from membuf.dma import Enabler
from membuf.wdf._driver import Driver

STRICTABLE = {Driver.__init__.__code__, Enabler.__init__.__code__}
TESTS = str(Path(__file__).parents[1])
NATIVE = (types.MethodDescriptorType, types.ClassMethodDescriptorType)


@dataclasses.dataclass
class Seen:
    """What one test did.

    A function counts when code of the tests calls it, not when membuf does so itself. A class
    counts when code of the tests that ran names it: the interpreter reports no call of a native
    class.
    """

    calls: set[str] = dataclasses.field(default_factory=set)
    modes: set[str] = dataclasses.field(default_factory=set)

    def profile(self, frame: types.FrameType, event: str, argument: Any) -> None:
        """Take an event of the interpreter."""
        if event == "c_call":
            if argument.__name__ in natives() and of_tests(frame):
                self.calls.update(native_name(argument))
        elif event == "call":
            self.enter(frame)

    def enter(self, frame: types.FrameType) -> None:
        """Take the start of a Python function."""
        code = frame.f_code
        if code in STRICTABLE:
            self.modes.add("strict" if frame.f_locals["strict"] else "default")
        if of_tests(frame):
            self.calls.update(classes().keys() & set(code.co_names))
        elif code in functions() and (is_coroutine(code) or of_tests(frame.f_back)):
            self.calls.add(name_of(frame))


@contextmanager
def watching() -> Iterator[Seen]:
    """Watch this thread, and those that it starts."""
    seen = Seen()
    before = sys.getprofile()
    threading.setprofile(seen.profile)
    sys.setprofile(seen.profile)
    try:
        yield seen
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]


def is_coroutine(code: types.CodeType) -> bool:
    """Whether a function is awaited: then an event loop calls it, for whoever made it."""
    return bool(code.co_flags & inspect.CO_COROUTINE)


def of_tests(frame: types.FrameType | None) -> bool:
    """Whether a frame runs code of the tests, directly or in a `with` of theirs."""
    while frame is not None and frame.f_code.co_filename == contextlib.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(TESTS)


@cache
def faces() -> dict[str, list[str]]:
    """Every function that the page must show: those of the framework's face, and of Python's."""
    names = {name for name in wdf.__all__ if inspect.isfunction(getattr(wdf, name))}
    return {
        "wdf": sorted(names),
        "python": sorted({*classes(), *(name for name, _ in members() if "." in name)}),
    }


@cache
def functions() -> dict[types.CodeType, dict[str, str]]:
    """The functions written in Python, by their code: names by the class they are offered by.

    Classes with a base that is not public offer one function each under its own name.
    """
    found = {name: getattr(wdf, name) for name in faces()["wdf"]} | dict(members())
    written: dict[types.CodeType, dict[str, str]] = {}
    for name, value in found.items():
        function = inspect.unwrap(value)
        if inspect.isfunction(function):
            written.setdefault(function.__code__, {})[name.partition(".")[0]] = name
    return written


def name_of(frame: types.FrameType) -> str:
    """The public name of the function that a frame runs, by the object it is called on."""
    names = functions()[frame.f_code]
    if len(names) == 1:
        return next(iter(names.values()))
    kinds = [kind.__name__ for kind in type(frame.f_locals[frame.f_code.co_varnames[0]]).__mro__]
    return next((names[kind] for kind in kinds if kind in names), min(names.values()))


@cache
def natives() -> dict[str, dict[Any, str]]:
    """The names of native functions and methods, by their last part, and their module or class."""
    found: dict[str, dict[Any, str]] = {}
    known = dict(members())
    for name, value in known.items():
        kind, _, member = name.rpartition(".")
        if isinstance(value, types.BuiltinFunctionType):
            found.setdefault(value.__name__, {})[value.__self__] = name
        elif isinstance(value, NATIVE):
            found.setdefault(member, {})[known[kind]] = name
    return found


def native_name(function: Any) -> list[str]:
    """The public name of a native function that is called: none for one of another library."""
    owner = function.__self__
    places = [owner, *(owner if isinstance(owner, type) else type(owner)).__mro__]
    known = {id(place): name for place, name in natives()[function.__name__].items()}
    return [known[id(place)] for place in places if id(place) in known][:1]


@cache
def classes() -> dict[str, type]:
    """The classes of the Python face that one makes, by their public names.

    Not exceptions, numbers and records: those are what calls answer.
    """
    return {
        name: value
        for name, value in members()
        if isinstance(value, type)
        and not issubclass(value, BaseException | int | tuple)
        and not dataclasses.is_dataclass(value)
    }


@cache
def members() -> tuple[tuple[str, Any], ...]:
    """The public functions, classes and methods of the Python face."""
    found: dict[str, Any] = {}
    offered = [(module, name) for module in packages() for name in module.__all__]
    public = [getattr(module, name) for module, name in offered]
    for (module, name), value in zip(offered, public, strict=True):
        if any(value is known for known in found.values()):
            continue
        place = module.__name__.removeprefix("membuf.")
        if inspect.isclass(value):
            found[name] = value
            found |= methods(name, value, public)
        elif inspect.isroutine(value):
            found[f"{place}.{name}"] = value
    return tuple(found.items())


def packages() -> list[types.ModuleType]:
    """What a user of the Python face imports from."""
    names = [
        found.name
        for found in pkgutil.iter_modules(membuf.__path__, "membuf.")
        if found.ispkg and found.name not in {"membuf.base", "membuf.cli", "membuf.wdf"}
    ]
    return [membuf, *map(importlib.import_module, names)]


def methods(name: str, kind: type, public: list[Any]) -> dict[str, Any]:
    """The public methods of a class: its own, and those of bases that are not public themselves."""
    if issubclass(kind, BaseException):
        return {}
    ours = [base for base in kind.__mro__[1:] if base.__module__.startswith("membuf")]
    shown = [base for base in ours if base in public]
    hidden = [base for base in ours if not any(issubclass(other, base) for other in shown)]
    return {
        f"{name}.{member}": getattr(value, "__func__", value)
        for base in (*reversed(hidden), kind)
        for member, value in vars(base).items()
        if not member.startswith("_") and inspect.isroutine(value)
    }

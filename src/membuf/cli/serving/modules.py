"""A driver's Python files: run as modules, forgotten and run anew, and looked at for changes."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

_NOT_THE_DRIVERS: Final = ("site-packages", "dist-packages")


class Modules:
    """The modules that a driver consists of: its own, and those beside it that it imports.

    Args:
        folder: where they lie; they can be imported from there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._others = frozenset(sys.modules)
        self._blamed: set[Path] = set()
        if str(self._folder) not in sys.path:
            sys.path.insert(0, str(self._folder))

    def owns(self, path: str) -> bool:
        """Whether a file is one of the driver's."""
        try:
            below = (Path(path).parent.resolve() / Path(path).name).relative_to(self._folder)
        except (ValueError, OSError):
            return False
        return not any(part in _NOT_THE_DRIVERS for part in below.parts)

    def files(self) -> dict[Path, tuple[int, int, int] | None]:
        """Its files, each with what changes when it does: None for one that is gone."""
        files = {Path(module.__file__ or "") for module in self._loaded().values()}
        return {path: _state(path) for path in files | self._blamed}

    def run_file(self, path: Path) -> ModuleType:
        """Run a file as a module."""
        name = "membuf_driver_" + "".join(c if c.isalnum() else "_" for c in path.stem)
        module = ModuleType(name)
        module.__file__ = str(path)
        # What looks for the module of a class, as dataclasses do, is to find it.
        sys.modules[name] = module
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
        return module

    def run_named(self, name: str) -> ModuleType:
        """Import a module by its name."""
        return importlib.import_module(name)

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Within it the driver's modules are run again; if that fails, the old ones are back."""
        old = self._loaded()
        for name in old:
            del sys.modules[name]
        importlib.invalidate_caches()
        # What is compiled and kept is found again by the second of its change, and by its size:
        # two changes in a second can be as long as each other.
        keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield
        except BaseException as error:
            # It may be mended where it is wrong: in a file that the old ones do not know.
            self._blamed = {path for path in files_in(error) if self.owns(str(path))}
            for name in self._loaded():
                del sys.modules[name]
            sys.modules.update(old)
            raise
        else:
            self._blamed = set()
        finally:
            sys.dont_write_bytecode = keeps

    def _loaded(self) -> dict[str, ModuleType]:
        return {
            name: module
            for name, module in list(sys.modules.items())
            if name not in self._others and self._is_own(name, module)
        }

    def _is_own(self, name: str, module: object) -> bool:
        if name.partition(".")[0] == "membuf":  # whose driver lies beside a checkout of it
            return False
        path = getattr(module, "__file__", None)
        return isinstance(path, str) and self.owns(path)


def files_in(error: BaseException | None) -> set[Path]:
    """The files that an exception, and what caused it, passed through or tells of."""
    found: set[Path] = set()
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            found.add(Path(error.filename))
        frames = traceback.walk_tb(error.__traceback__)
        found |= {Path(frame.f_code.co_filename) for frame, _ in frames}
        error = error.__cause__
    return found


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

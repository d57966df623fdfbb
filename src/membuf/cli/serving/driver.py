"""Drivers: from what the command line names to a device or target that can be served.

FILE.py           open(**settings), or `device`, or the only device or target in it
module:attribute  an object, or a function of the settings
SCHEME:REST       a target's name, with filters before it
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from membuf.base.errors import MembufError
from membuf.bus.registry import open_target, parse_name, schemes
from membuf.cli.failure import CommandError, ExitCode
from membuf.cli.serving.mistakes import line_of, place_of, words_of
from membuf.cli.serving.modules import Modules
from membuf.request.device import Device
from membuf.target.target import Target

_ATTRIBUTE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_FORMS: Final = "a Python file, module:attribute, or a target's name as in ram:64MiB"

Served = Device | Target


class Driver:
    """What is served, and where it comes from.

    Args:
        name: what the command line calls it.
        settings: for its `open`.
        readonly: whether it is opened for reading only.

    Raises:
        CommandError: the name is none of a driver, or settings are given that nobody takes.
    """

    def __init__(self, name: str, settings: Mapping[str, str], *, readonly: bool) -> None:
        self.name, self._settings, self._readonly = name, dict(settings), readonly
        self._modules: Modules | None = None
        self._load = self._loader()

    def owns(self, path: str) -> bool:
        """Whether a file is one of the driver's."""
        return self._modules is not None and self._modules.owns(path)

    @property
    def is_python(self) -> bool:
        """Whether it has files that can change."""
        return self._modules is not None

    def files(self) -> dict[Path, tuple[int, int, int] | None]:
        """Its files, each with what changes when it does."""
        return {} if self._modules is None else self._modules.files()

    async def load(self) -> Served:
        """Load it, and open what is to be served; each time anew.

        Called on the event loop that is to run its coroutine handlers.

        Raises:
            CommandError: it cannot be; the cause is what the driver raised.
        """
        if self._modules is None:
            return await self._open()
        with self._modules.anew():
            return await self._open()

    async def _open(self) -> Served:
        found = self._load()
        if inspect.isawaitable(found):
            found = await self._guarded_async(found)
        if isinstance(found, Device | Target):
            return found
        raise _unusable(
            f"open() of {self.name} returned {found!r}", "return a membuf.Disk, Device or Target"
        )

    # ---- what it is -----------------------------------------------------------------------------

    def _loader(self) -> Callable[[], Any]:
        name = self.name
        if _is_target(name):
            self._check_no_settings(f"{name} is a target's name, which has its options in it")
            return self._open_target
        path = Path(name)
        if path.suffix == ".py":
            self._modules = Modules(path.parent)
            return self._from_file
        if _ATTRIBUTE.fullmatch(name) and not path.exists():
            self._modules = Modules(Path.cwd())
            return self._from_module
        hint = f"a driver is {_FORMS}"
        if path.exists():
            hint = f"to serve the file itself, say file:{name}; {hint}"
        raise CommandError(f"{name!r} is no driver", ExitCode.USAGE, hint=hint)

    def _check_no_settings(self, why: str) -> None:
        if self._settings:
            names = ", ".join(self._settings)
            raise CommandError(f"nothing takes the setting {names}: {why}", ExitCode.USAGE)

    # ---- targets --------------------------------------------------------------------------------

    def _open_target(self) -> Target:
        scheme = parse_name(self.name).scheme
        chooses = self._readonly and scheme not in ("ram", "null", "device", "fd")
        try:
            return open_target(self.name, **({"access": "read"} if chooses else {}))
        except PermissionError as error:
            hint = "" if self._readonly else "to serve it for reading only, say --read-only"
            raise _unusable(f"cannot open {self.name}: {_short(error)}", hint) from error
        except OSError as error:
            raise _unusable(f"cannot open {self.name}: {_short(error)}") from error
        except (MembufError, ValueError, TypeError) as error:
            raise CommandError(
                f"cannot open {self.name}: {words_of(error)}", ExitCode.USAGE
            ) from error

    # ---- Python ---------------------------------------------------------------------------------

    def _from_file(self) -> Any:
        assert self._modules is not None  # noqa: S101
        path = Path(self.name).absolute()
        module: ModuleType = self._guarded(self._modules.run_file, path)
        names = module.__dict__
        function: Any = names.get("open")
        if callable(function):
            return self._call(function)
        self._check_no_settings(f"{self.name} has no function open(**settings)")
        if "device" in names:
            return self._checked(names["device"], f"`device` of {self.name}")
        return self._only_one(names)

    def _from_module(self) -> Any:
        assert self._modules is not None  # noqa: S101
        name, _, attribute = self.name.partition(":")
        try:
            found: Any = self._guarded(self._modules.run_named, name)
        except CommandError as failure:
            error = failure.__cause__
            if not isinstance(error, ModuleNotFoundError) or error.name not in _prefixes(name):
                raise
            raise _unusable(
                f"there is no module {error.name!r}, for the driver {self.name}",
                "modules are looked for in the working directory and where Python's are installed",
            ) from error
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise _unusable(f"the module {name} has no {attribute!r}, for {self.name}")
            found = getattr(found, part)
        if callable(found):
            return self._call(found)
        self._check_no_settings(f"{self.name} is no function")
        return self._checked(found, self.name)

    def _checked(self, found: object, what: str) -> object:
        if isinstance(found, Device | Target):
            return found
        raise _unusable(f"{what} is {found!r}", "make it a membuf.Disk, Device or Target")

    def _only_one(self, names: Mapping[str, object]) -> object:
        found = {
            name: value
            for name, value in names.items()
            if isinstance(value, Device | Target) and not name.startswith("_")
        }
        if not found:
            raise _unusable(
                f"there is no device in {self.name}",
                "have a function open(**settings) that returns a membuf.Disk, or a module-level "
                "`device`",
            )
        if len({id(value) for value in found.values()}) > 1:
            raise _unusable(
                f"there are several devices in {self.name}: {', '.join(found)}",
                "call the one that is to be served `device`, or write a function open(**settings)",
            )
        return next(iter(found.values()))

    def _call(self, function: Callable[..., object]) -> object:
        """Call an `open` with the settings, if they are its own."""
        try:
            signature = inspect.signature(function)
        except (ValueError, TypeError):
            signature = None
        if signature is not None:
            _check_settings(self.name, signature, self._settings)
        return self._guarded(function, **self._settings)

    def _guarded(self, function: Callable[..., Any], *values: Any, **settings: str) -> Any:
        """Call what is the driver's; what it raises is told in a line."""
        try:
            return function(*values, **settings)
        except (Exception, SystemExit) as error:
            raise self._failure(error) from error

    async def _guarded_async(self, waited_for: Any) -> Any:
        try:
            return await waited_for
        except (Exception, SystemExit) as error:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> CommandError:
        if isinstance(error, CommandError):
            return error
        if isinstance(error, OSError) and _is_path(error, self.name):
            return _unusable(f"cannot open {self.name}: {error.strerror}")
        if isinstance(error, OSError | ValueError | MembufError):
            return _unusable(f"{self.name}: {words_of(error)}")
        place = place_of(error, self.owns) or self.name
        hint = ""
        if isinstance(error, ModuleNotFoundError):
            hint = f"install {error.name} for the Python that runs membuf"
        return _unusable(f"{place}: {line_of(error)}", hint)


def _is_target(name: str) -> bool:
    try:
        return parse_name(name).scheme in schemes()
    except MembufError as error:
        raise CommandError(words_of(error), ExitCode.USAGE) from error


def _check_settings(name: str, signature: inspect.Signature, settings: Mapping[str, str]) -> None:
    parameters = signature.parameters.values()
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {one.name: one for one in parameters if one.kind in by_name}
    unknown = [key for key in settings if key not in known]
    if unknown and not takes_any:
        listed = ", ".join(known) or "none"
        raise CommandError(
            f"{name} has no setting {', '.join(unknown)}; it has {listed}", ExitCode.USAGE
        )
    missing = [
        key for key, one in known.items() if one.default is one.empty and key not in settings
    ]
    if missing:
        wanted = " ".join(f"--set {key}=..." for key in missing)
        raise CommandError(f"{name} needs more settings: {wanted}", ExitCode.USAGE)


def _short(error: OSError) -> str:
    """What an error says, without what stands before it anyway."""
    words = (error.strerror or words_of(error)).removeprefix("cannot open the target: ")
    return " ".join(words.split())


def _is_path(error: OSError, name: str) -> bool:
    return error.filename is not None and Path(os.fsdecode(error.filename)) == Path(name).absolute()


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _unusable(message: str, hint: str = "") -> CommandError:
    return CommandError(message, ExitCode.UNUSABLE, hint=hint)


def close(served: Served) -> None:
    """End what was served."""
    if isinstance(served, Device):
        if not served.deleted:
            served.delete()
    else:
        served.close()

"""What a driver raised, in a line: what it was, and where in the driver's files."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import membuf

_LIBRARY: Final = str(Path(membuf.__file__).parent) + os.sep


def line_of(error: BaseException) -> str:
    """An exception in a line, as Python would name it, without what it says in further lines.

    >>> line_of(ValueError("size must be above 0"))
    'ValueError: size must be above 0'
    >>> line_of(KeyError("block")), line_of(AssertionError())
    ("KeyError: 'block'", 'AssertionError')
    """
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if kind.__module__ == "membuf":
        name = kind.__name__
    words = words_of(error)
    return f"{name}: {words}" if words else name


def words_of(error: BaseException) -> str:
    """What an exception says, in a line; of a system's error without its number.

    >>> words_of(FileNotFoundError(2, "No such file or directory", "disk.img"))
    'No such file or directory: disk.img'
    """
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else os.fsdecode(error.filename)
        words = error.strerror if name in error.strerror else f"{error.strerror}: {name}"
    elif isinstance(error, SyntaxError):
        words = error.msg or ""
    else:
        words = str(error)
    return " ".join(words.split())


def place_of(error: BaseException, mine: Callable[[str], bool]) -> str:
    """The file and line where it was raised: the innermost of the driver's, if one is.

    Args:
        error: what was raised.
        mine: whether a path is one of the driver's.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in _frames(error)]
    frames = [(path, line) for path, line in frames if not path.endswith(".pyx")]  # of the library
    for chosen in (mine, _is_outside):
        for path, line in reversed(frames):
            if chosen(path):
                return f"{shown(path)}:{line}"
    return ""


def _is_outside(path: str) -> bool:
    return not path.startswith((_LIBRARY, "<"))


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    return list(traceback.walk_tb(error.__traceback__))


def shown(path: str | Path) -> str:
    """A path as people write it: relative, where it lies below the working directory.

    >>> shown("/dev/null")
    '/dev/null'
    """
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)

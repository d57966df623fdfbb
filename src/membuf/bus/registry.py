"""Targets by name: a scheme says what kind of thing is opened, the rest says which one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from membuf.base.errors import InvalidParameterError
from membuf.target.target import Target

Opener = Callable[..., Target]

_openers: dict[str, Opener] = {}


def register_scheme(scheme: str, opener: Opener) -> None:
    """Have `open_target("scheme:rest", ...)` call `opener(rest, ...)`.

    Args:
        scheme: letters, digits and dashes, without the colon.
        opener: returns a target, open and started.

    Raises:
        InvalidParameterError: the scheme is empty, malformed or taken.

    >>> register_scheme("demo-file", lambda rest, **options: open_target(f"file:{rest}", **options))
    >>> open_target("demo-file:/dev/null", access="write").write(b"gone")
    4
    """
    if not scheme.replace("-", "").isalnum():
        raise InvalidParameterError(f"a scheme is letters, digits and dashes; got {scheme!r}")
    if _openers.setdefault(scheme, opener) is not opener:
        raise InvalidParameterError(f"the scheme {scheme!r} is taken by {_openers[scheme]!r}")


def open_target(uri: str, **options: Any) -> Target:
    """Open a target by its name; it is started.

    Args:
        uri: `file:PATH` (a file, block device, pipe or other special file) or `fd:NUMBER` (an
            open descriptor, e.g. `fd:0` for standard input).
        options: what the scheme takes; for files see `membuf.bus.file.open_file`.

    Returns:
        The target; `with` closes it at the end.

    Raises:
        InvalidParameterError: there is no such scheme.
        TargetError: the system does not let it be opened.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open_target(f"file:{file.name}") as target:
    ...     count = target.write(b"hello", 0)
    ...     target.size
    5
    """
    scheme, colon, rest = uri.partition(":")
    opener = _openers.get(scheme)
    if not colon or opener is None:
        known = ", ".join(f"{name}:" for name in sorted(_openers))
        raise InvalidParameterError(
            f"a target is named SCHEME:REST with a scheme among {known}; got {uri!r}"
        )
    return opener(rest, **options)

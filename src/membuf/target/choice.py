"""Which engine a target gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_status
from membuf.target.threads import ThreadEngine

if TYPE_CHECKING:
    from membuf.target.engine import Engine


def make_engine(name: str = "auto") -> Engine:
    """An engine by its name.

    Args:
        name: "io_uring", "threads", or "auto": io_uring where this build has it and the system
            lets it be used, else threads, with a note that says why.

    Raises:
        InvalidParameterError: there is no such engine.
        MembufError: STATUS_NOT_SUPPORTED: io_uring was asked for by name and cannot be used here.
    """
    if name == "threads":
        return ThreadEngine()
    if name not in {"auto", "io_uring"}:
        raise InvalidParameterError(f'engine must be "auto", "io_uring" or "threads"; got {name!r}')
    try:
        return make_uring()
    except (ImportError, MembufError) as error:
        note = f"io_uring cannot be used: {error}"
        if name == "io_uring":
            raise from_status(st.STATUS_NOT_SUPPORTED, note) from error
        return ThreadEngine(note)


def make_uring() -> Engine:
    """The io_uring engine; raises ImportError where this build has none."""
    from membuf.target.uring import shared_engine

    return shared_engine()

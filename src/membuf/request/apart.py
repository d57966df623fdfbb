"""Work that a deallocation may not do itself."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any

from membuf._native import in_deallocation


def apart(function: Callable[..., object], *arguments: Any) -> None:
    """Call a function on a thread of its own.

    A deallocation can come in the middle of anything its thread does, with any lock held. What
    ends requests takes locks and calls out, so it must not run there.
    """
    try:
        _thread.start_new_thread(function, arguments)
    except RuntimeError:  # too many threads, or the interpreter ends
        function(*arguments)


def apart_from_deallocation(function: Callable[..., object], *arguments: Any) -> None:
    """Call a function, on a thread of its own where a deallocation is what deletes here.

    >>> apart_from_deallocation(print, "at once")
    at once
    """
    if in_deallocation():
        apart(function, *arguments)
    else:
        function(*arguments)

"""Where exceptions go that no caller can receive."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast


def report(error: BaseException, where: str) -> None:
    """Hand an exception to `sys.unraisablehook`, with where it was raised."""
    what = SimpleNamespace(
        exc_type=type(error),
        exc_value=error,
        exc_traceback=error.__traceback__,
        err_msg=f"Exception ignored in {where}",
        object=None,
    )
    sys.unraisablehook(cast("Any", what))

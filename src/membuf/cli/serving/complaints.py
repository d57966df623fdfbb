"""Where a running server's troubles are heard: what nobody catches, and what is logged."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from membuf.cli.serving.mistakes import line_of, place_of
from membuf.cli.serving.voice import Voice


class Complaints:
    """Tells of exceptions that no caller receives.

    Args:
        voice: what tells it.
        owns: whether a file is one of the driver's.
    """

    def __init__(self, voice: Voice, owns: Callable[[str], bool]) -> None:
        self._voice, self._owns = voice, owns

    def tell(self, error: BaseException) -> None:
        """Tell of one; of a group, of each that is in it."""
        parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        if parts:
            for part in parts:
                self.tell(part)
            return
        lines = "".join(traceback.format_exception(error)) if self._voice.verbose else ""
        self._voice.error(line_of(error), place_of(error, self._owns), lines)

    def of_loop(self, loop: object, context: dict[str, Any]) -> None:
        """The exception handler of an event loop."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.tell(error)
        else:
            self._voice.error(str(context.get("message")), "", "")

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within it they are told."""
        hooks = sys.unraisablehook, threading.excepthook
        handler = _Connections(self._voice)
        log = logging.getLogger("membuf.nbd")
        sys.unraisablehook, threading.excepthook = self._unraisable, self._of_thread
        log.addHandler(handler)
        log.propagate = False
        try:
            yield
        finally:
            sys.unraisablehook, threading.excepthook = hooks
            log.removeHandler(handler)
            log.propagate = True

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if what.exc_value is not None:
            self.tell(what.exc_value)

    def _of_thread(self, what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None and not isinstance(what.exc_value, SystemExit):
            self.tell(what.exc_value)


class _Connections(logging.Handler):
    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.connection(record.getMessage())

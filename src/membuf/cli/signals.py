"""Ctrl-C, SIGTERM and SIGHUP as exceptions in the main thread."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self

from membuf.cli.failure import Interrupted

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Within it the first signal raises `Interrupted`, so that everything cleans up; others wait.

    A signal that was ignored before (`nohup`) stays ignored.

    >>> with Signals() as signals:
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except Interrupted as interrupted:
    ...         interrupted.number == signal.SIGTERM
    True
    """

    def __init__(self) -> None:
        self._raises = True
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Within it signals are let pass: for the last step, which must not be left half done."""
        raises, self._raises = self._raises, False
        try:
            yield
        finally:
            self._raises = raises

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise Interrupted(number)

"""Ctrl-C, SIGTERM and SIGHUP as exceptions, also while an event loop runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from membuf.cli.failure import Interrupted

_T = TypeVar("_T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Within it, a signal raises `Interrupted` in the main thread, so that everything cleans up.

    A signal that was ignored before (`nohup`) stays ignored.

    >>> with Signals() as signals:
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except Interrupted as interrupted:
    ...         interrupted.number == signal.SIGTERM
    True
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._cancel: Callable[[], object] | None = None
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

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on an event loop of its own; a signal cancels it and raises at the end.

        What it awaits is given the time to end: a memory object is never let go while the system
        may still write into it.
        """
        results: list[_T] = []
        with self.held_back():
            try:
                results.append(asyncio.run(self._cancellable(coroutine)))
            except asyncio.CancelledError:
                if self._received is None:
                    raise
        if self._received is not None:
            raise Interrupted(self._received)
        return results[0]

    async def _cancellable(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.ensure_future(coroutine)
        loop = asyncio.get_running_loop()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._received is not None:
            task.cancel()
        try:
            return await task
        finally:
            self._cancel = _ignore

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Within it a signal is only noted: for what must not be left half done."""
        self._cancel = _ignore
        try:
            yield
        finally:
            self._cancel = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first = self._received is None
        self._received = number
        if self._cancel is None:
            raise Interrupted(number)
        if first:
            self._cancel()


def _ignore() -> None:
    pass

"""Saying what was expected: the small words in which checks are written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

PATIENCE_SECONDS: Final = 30.0


class ExpectationError(AssertionError):
    """A check did not find what it expected."""


def equal(found: object, expected: object, what: str) -> None:
    """Find two things equal.

    >>> equal(5, 6, "the count")
    Traceback (most recent call last):
    ...
    membuf.testing.expecting.ExpectationError: the count: expected 6, got 5
    """
    if found != expected:
        raise ExpectationError(f"{what}: expected {_short(expected)}, got {_short(found)}")


@contextmanager
def raises(
    kind: type[BaseException] | tuple[type[BaseException], ...], what: str
) -> Generator[None]:
    """Find an exception raised inside.

    >>> with raises(ValueError, "an empty number"):
    ...     int("")
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = " or ".join(k.__name__ for k in kinds)
    try:
        yield
    except kinds:
        return
    except Exception as error:
        raise ExpectationError(f"{what}: expected {names}, got {error!r}") from error
    raise ExpectationError(f"{what}: expected {names}, and nothing was raised")


def settled(condition: Callable[[], bool], what: str) -> None:
    """Find something true soon.

    >>> settled(lambda: True, "the obvious")
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise ExpectationError(f"{what}: not so after {PATIENCE_SECONDS:.0f} seconds")
        time.sleep(0.001)


class Told:
    """A callback that keeps what it is told.

    Attributes:
        thread: the thread that called last.

    >>> told = Told()
    >>> told("end")
    >>> told.one()
    ('end',)
    """

    def __init__(self) -> None:
        self._calls: list[tuple[Any, ...]] = []
        self._event = threading.Event()
        self.thread: int | None = None

    def __call__(self, *arguments: Any) -> None:
        """Be told."""
        self.thread = threading.get_ident()
        self._calls.append(arguments)
        self._event.set()

    @property
    def count(self) -> int:
        """How often it was called."""
        return len(self._calls)

    def one(self) -> tuple[Any, ...]:
        """What it was told; it must be called, and only once."""
        if not self._event.wait(PATIENCE_SECONDS):
            raise ExpectationError(f"the callback was not called in {PATIENCE_SECONDS:.0f} seconds")
        time.sleep(0.002)  # a second call would come right behind
        equal(self.count, 1, "calls of the callback")
        return self._calls[0]

    def forget(self) -> None:
        """Be as new."""
        self._calls.clear()
        self._event.clear()


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 200 else f"{text[:150]}... ({len(text)} characters)"

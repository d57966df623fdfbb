"""Where exceptions go that no caller can receive."""

from __future__ import annotations

from membuf._native import unraisable


def report(error: BaseException, where: str) -> None:
    """Hand an exception to `sys.unraisablehook`, with where it was raised."""
    unraisable(error, _Place(where))


class _Place:
    """Words that the hook shows as they are: it shows the repr of what it is given."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words

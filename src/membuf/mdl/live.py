"""The MDLs that are alive, and where each was made: what reports show."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from membuf._native import Domain, current_domain

if TYPE_CHECKING:
    from membuf.mdl.mdl import Mdl

_PACKAGE = str(Path(__file__).parents[1])


class Life:
    """Where an MDL was made, over what, and for whom.

    Attributes:
        buffer: what it was made over.
        domain: the domain it was made in.
    """

    __slots__ = ("_at", "_code", "_number", "buffer", "domain")

    def __init__(self, number: int, buffer: Any, domain: Domain) -> None:
        self._number = number
        self.buffer = buffer
        self.domain = domain
        self._code, self._at = _caller()

    @property
    def site(self) -> str | None:
        """The line that made it, as "file:line"."""
        if self._code is None:
            return None
        for start, end, line in self._code.co_lines():
            if start <= self._at < end and line is not None:
                return f"{self._code.co_filename}:{line}"
        return f"{self._code.co_filename}:{self._code.co_firstlineno}"

    def end(self) -> None:
        """It was freed."""
        self.buffer = None
        live.forget(self._number)

    def dropped(self) -> None:
        """It was dropped while it was locked or pinned."""
        live.count_dropped(self.domain)


class Live:
    """The MDLs of this process that were not freed."""

    __slots__ = ("_dropped", "_mdls", "_numbers")

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._mdls: WeakValueDictionary[int, Mdl] = WeakValueDictionary()
        self._dropped: WeakKeyDictionary[Domain, int] = WeakKeyDictionary()

    def add(self, mdl: Mdl, buffer: Any) -> Life:
        """Take one in."""
        number = next(self._numbers)
        self._mdls[number] = mdl
        return Life(number, buffer, current_domain())

    def forget(self, number: int) -> None:
        """Leave one out."""
        self._mdls.pop(number, None)

    def mdls(self, domain: Domain | None = None) -> list[Mdl]:
        """Those made in a domain, or all of them, in the order they were made."""
        found = [reference() for reference in self._mdls.valuerefs()]
        return [mdl for mdl in found if mdl is not None and domain in (None, mdl.life.domain)]

    def count_dropped(self, domain: Domain) -> None:
        """Count one that was dropped while locked or pinned."""
        self._dropped[domain] = self._dropped.get(domain, 0) + 1

    def dropped(self, domain: Domain) -> int:
        """How many of a domain were dropped so."""
        return self._dropped.get(domain, 0)


def _caller() -> tuple[CodeType | None, int]:
    """The nearest frame outside this package."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return (None, 0) if frame is None else (frame.f_code, frame.f_lasti)


live = Live()
"""Those of this process."""

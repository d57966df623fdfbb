"""The MDLs that are alive, and where each was made: what reports show."""

from __future__ import annotations

import inspect
import itertools
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from membuf._native import Block, Domain, Memory, current_domain
from membuf.pool.domain import owner_path

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


@dataclass(frozen=True, slots=True)
class LiveMdl:
    """An MDL that was not freed.

    Attributes:
        address: of its first byte.
        size: its bytes.
        kind: how it was made.
        locked: for what it is locked, None where it is not.
        pinned: whether its frames are fixed.
        owner: whose it is: the framework's, or what owns the memory it describes.
        site: where it was made, "file:line".

    >>> LiveMdl(4096, 10, "locked", "read", False, "capture/bytearray", None).locked
    'read'
    """

    address: int
    size: int
    kind: str
    locked: str | None
    pinned: bool
    owner: str
    site: str | None

    def __str__(self) -> str:
        state = f"locked for {self.locked}" if self.locked else self.kind
        pinned = ", pinned" if self.pinned else ""
        where = f", made at {self.site}" if self.site else ""
        return (
            f"MDL of {self.size} bytes at {self.address:#x}, {state}{pinned}, "
            f"owner {self.owner}{where}"
        )


class Live:
    """The MDLs of this process that were not freed."""

    __slots__ = ("_dropped", "_mdls", "_numbers")

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._mdls: dict[int, weakref.ref[Mdl]] = {}
        self._dropped: WeakKeyDictionary[Domain, int] = WeakKeyDictionary()

    def add(self, mdl: Mdl, buffer: Any) -> Life:
        """Take one in."""
        number = next(self._numbers)
        self._mdls[number] = weakref.ref(mdl)
        return Life(number, buffer, current_domain())

    def forget(self, number: int) -> None:
        """Leave one out."""
        self._mdls.pop(number, None)

    def records(self, domain: Domain) -> tuple[LiveMdl, ...]:
        """Those made in a domain, in the order they were made."""
        found = [reference() for reference in list(self._mdls.values())]
        return tuple(mdl.record() for mdl in found if mdl is not None and mdl.life.domain is domain)

    def at(self, address: int) -> Mdl | None:
        """One that describes the byte at an address, the youngest, or None."""
        found = [reference() for reference in list(self._mdls.values())]
        for mdl in reversed(found):
            if mdl is not None and not mdl.freed and 0 <= address - mdl.address < len(mdl):
                return mdl
        return None

    def count_dropped(self, domain: Domain) -> None:
        """Count one that was dropped while locked or pinned."""
        self._dropped[domain] = self._dropped.get(domain, 0) + 1

    def dropped(self, domain: Domain) -> int:
        """How many of a domain were dropped so."""
        return self._dropped.get(domain, 0)


def owner_of(buffer: Any) -> str:
    """What owns the memory behind a buffer, as a path of names that ends with its kind."""
    while isinstance(buffer, memoryview):
        buffer = cast("Any", buffer.obj)
    own = type(buffer).__name__
    if not isinstance(buffer, Memory | Block):
        return own
    path = owner_path(buffer)
    own = f"{own} {buffer.tag!r}"
    return f"{path}/{own}" if path else own


def _caller() -> tuple[CodeType | None, int]:
    """The nearest frame outside this package."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return (None, 0) if frame is None else (frame.f_code, frame.f_lasti)


live = Live()
"""Those of this process."""

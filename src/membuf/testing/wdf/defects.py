"""What a driver leaves undone, and how it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from membuf import LookasideList, Memory, Object
from membuf.request import Device, Queue
from membuf.request.system_buffers import TAG as SYSTEM_BUFFERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from membuf.pool import LiveBlock

MOST_SHOWN: Final = 20


class DriverDefectError(AssertionError):
    """A driver did not do what it must, or not what was expected of it.

    Attributes:
        defects: each in words.

    >>> print(DriverDefectError(["a read of 8 bytes at 0 was never completed"]))
    1 defect(s) of the driver:
      a read of 8 bytes at 0 was never completed
    """

    def __init__(self, defects: Iterable[str]) -> None:
        self.defects = tuple(defects)
        lines = "".join(f"\n  {defect}" for defect in self.defects[:MOST_SHOWN])
        more = len(self.defects) - MOST_SHOWN
        rest = f"\n  and {more} more" if more > 0 else ""
        super().__init__(f"{len(self.defects)} defect(s) of the driver:{lines}{rest}")


def objects_below(root: Object) -> Iterator[Object]:
    """Everything that an object owns, but what the framework itself keeps."""
    for child in root.children:
        if not _is_the_frameworks(child):
            yield child
            yield from objects_below(child)


def _is_the_frameworks(thing: Object) -> bool:
    return isinstance(thing, LookasideList) and thing.tag == SYSTEM_BUFFERS


def left_objects(root: Object, known: set[int]) -> list[str]:
    """The objects below that were not there before: made for requests, and not deleted.

    Args:
        root: the driver.
        known: identities of those that were.
    """
    left = [thing for thing in objects_below(root) if id(thing) not in known]
    owned = {id(child) for thing in left for child in thing.children}
    return [
        f"{_describe(thing)} was made while requests were served, and left to its parent "
        f"{thing.parent!r}: delete it, or make the request its parent"
        for thing in left
        if id(thing) not in owned and not isinstance(thing, (Device, Queue))
    ]


def _describe(thing: Object) -> str:
    if isinstance(thing, Memory):
        return f"{thing!r} from {thing.site}" if thing.site else repr(thing)
    return repr(thing)


def left_blocks(blocks: Iterable[LiveBlock]) -> list[str]:
    """What the driver's pool still has out once the driver is gone."""
    return [f"never given back: {block}" for block in blocks if block.tag != SYSTEM_BUFFERS]

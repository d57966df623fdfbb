"""What may be claimed of an MDL's pages: never more than what was measured to hold.

| claim | how it comes about |
|---|---|
| resident | locked: the system keeps pages in memory, but may move them to other frames |
| pinned | registered with io_uring: the system neither moves nor copies the pages |
| contiguous | one reserved huge page holds them all |
| frames-known | pinned or in reserved huge pages, and the system tells the numbers |
"""

# ruff: noqa: SLF001 - claims are a part of the MDL that has a file of its own
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf.mdl.frames import frames_of
from membuf.mdl.locks import page_locks
from membuf.mdl.mappings import huge_page_size
from membuf.mdl.pages import PAGE_SIZE
from membuf.mdl.pins import pins

if TYPE_CHECKING:
    from membuf.mdl.described import Described


def guarantees_of(mdl: Described) -> frozenset[str]:
    """What may be claimed of its pages now."""
    if not _is_resident(mdl):
        return frozenset()
    claims = {"resident"}
    start, end = mdl._span
    pinned = _is_pinned(mdl)
    huge = huge_page_size(start, end)
    if pinned:
        claims.add("pinned")
    if huge and start // huge == (end - 1) // huge:
        claims.add("contiguous")
    if (pinned or huge) and frames_of(start, start + PAGE_SIZE) is not None:
        claims.add("frames-known")
    return frozenset(claims)


def is_fixed(mdl: Described) -> bool:
    """Whether its frames stay the same."""
    return _is_pinned(mdl) or (_is_resident(mdl) and huge_page_size(*mdl._span) > 0)


def _is_pinned(mdl: Described) -> bool:
    root = mdl._root()
    return root is not None and bool(root._pins) and root._pin_era == pins.era


def _is_resident(mdl: Described) -> bool:
    """Whether the system keeps the pages in memory: asked, since others can undo any lock."""
    root = mdl._root()
    if root is None or (root._kind != "nonpaged" and root._era != page_locks.era):
        return False
    return _is_pinned(mdl) or page_locks.holds(*mdl._span)

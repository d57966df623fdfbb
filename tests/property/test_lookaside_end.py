"""The end of a lookaside list: it is destroyed with the last of its memories, whatever holds it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

import membuf
from tests.support import Recorder

KINDS = st.sampled_from(("handle", "reference", "parent", "view"))
HOLDS = st.lists(st.tuples(KINDS, st.integers(0, 9)), max_size=6)

Release = Callable[[], None]


@given(holds=HOLDS, early=st.integers(0, 6))
def test_a_list_ends_with_its_last_memory(holds: list[tuple[str, int]], early: int) -> None:
    """Memories are let go in any order; the list is deleted somewhere in between."""
    recorder = Recorder()
    owner = membuf.Object()
    pages = membuf.LookasideList(64, tag="Ends", **recorder.hooks("L"))
    made = [(turn, release_of(pages, kind, owner, n)) for n, (kind, turn) in enumerate(holds)]
    releases = [release for _, release in sorted(made, key=lambda pair: pair[0])]
    releases.insert(min(early, len(releases)), pages.delete)
    for position, release in enumerate(releases):
        release()
        deleted = pages.delete in releases[: position + 1]
        over = position == len(releases) - 1
        assert recorder.log.count("c:L") == int(deleted)
        assert recorder.log.count("d:L") == int(over), (holds, position)
    owner.delete()


def release_of(
    pages: membuf.LookasideList, kind: str, owner: membuf.Object, number: int
) -> Release:
    """Allocate a memory that is held in some way; what has to be called to let it go."""
    mark = bytes([number + 1]) * 64
    memory = pages.allocate(parent=owner if kind == "parent" else None)
    memory.copy_from(mark)
    if kind == "reference":
        memory.reference("held")
        memory.delete()
        return lambda: memory.dereference("held")
    if kind == "view":
        view = memory.buffer

        def release() -> None:
            memory.delete()
            assert view == mark
            view.release()

        return release
    return memory.delete

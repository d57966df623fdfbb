"""Lookaside lists: what a list is, what it hands out, and what its deletion means."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import membuf
from tests.support import Recorder, figures, raises

PAGE = 4096


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_fresh_list_is_empty() -> None:
    with membuf.LookasideList(64) as pages:
        figures = pages.statistics()
        assert (figures.depth, figures.maximum_depth, figures.idle) == (4, 256, 0)
        assert (figures.allocations, figures.misses) == (0, 0)
        assert (figures.frees, figures.free_misses, figures.outstanding) == (0, 0, 0)


def test_statistics_are_a_frozen_record() -> None:
    with membuf.LookasideList(64) as pages:
        with pytest.raises(AttributeError):
            pages.statistics().depth = 5
        assert pages.statistics() == pages.statistics()


@pytest.mark.parametrize("pool", [membuf.PAGED, membuf.NONPAGED])
@pytest.mark.parametrize("size", [1, 17, 4095, 4096, 4097, 3 << 20])
def test_what_it_hands_out(size: int, pool: membuf.pool.PoolType) -> None:
    with membuf.LookasideList(size, tag="Page", pool=pool) as pages:
        assert (pages.size, pages.tag, pages.pool) == (size, "Page", pool)
        for _ in range(3):
            memory = pages.allocate()
            assert (memory.size, memory.tag, memory.source) == (size, "Page", "lookaside")
            assert memory.pool == pool
            assert memory.address % (PAGE if size >= PAGE else 16) == 0
            memory.copy_from(b"\xff" * size)
            memory.delete()


def test_the_last_freed_block_is_the_next_handed_out() -> None:
    with membuf.LookasideList(PAGE) as pages:
        memories = [pages.allocate() for _ in range(3)]
        addresses = [memory.address for memory in memories]
        for memory in memories:
            memory.delete()
        again = [pages.allocate() for _ in range(3)]
        assert [memory.address for memory in again] == addresses[::-1]
        for memory in again:
            memory.delete()


def test_frees_beyond_the_depth_go_to_the_pool() -> None:
    with membuf.LookasideList(64, tag="Surp") as pages:
        memories = [pages.allocate() for _ in range(10)]
        for memory in memories:
            memory.delete()
        figures = pages.statistics()
        assert (figures.idle, figures.frees, figures.free_misses) == (4, 10, 6)
        assert (figures.allocations, figures.misses) == (10, 10)


def test_hits_and_misses_are_counted() -> None:
    with membuf.LookasideList(64) as pages:
        pages.allocate().delete()
        pages.allocate().delete()
        kept = pages.allocate()
        figures = pages.statistics()
        assert (figures.allocations, figures.misses, figures.outstanding) == (3, 1, 1)
        assert figures.hit_rate == pytest.approx(2 / 3)
        kept.delete()


def test_a_dropped_memory_goes_home() -> None:
    with membuf.LookasideList(64) as pages:
        memory = pages.allocate()
        address = memory.address
        del memory
        assert pages.statistics().idle == 1
        assert pages.allocate().address == address


@pytest.mark.parametrize("size", [0, -1, -(2**70)])
def test_a_size_is_positive(size: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.LookasideList(size)


@pytest.mark.parametrize("size", [2**32, 2**32 + 16, 2**63, 2**64, 2**70])
def test_a_block_of_four_gigabytes_is_refused(size: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.LookasideList(size)


@pytest.mark.parametrize("depth", [0, -1, 2**32, 2**64])
def test_maximum_depth_has_a_range(depth: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.LookasideList(64, maximum_depth=depth)


@pytest.mark.parametrize("depth", [2.7, True, None, "4", np.float64(4)])
def test_maximum_depth_is_an_integer(depth: object) -> None:
    with pytest.raises(TypeError):
        membuf.LookasideList(64, maximum_depth=depth)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_small_maximum_depth_is_the_first_depth(depth: int) -> None:
    with membuf.LookasideList(64, maximum_depth=depth) as pages:
        assert pages.statistics().depth == depth


def test_zero_clears_every_life() -> None:
    for size in (64, 5000):
        with membuf.LookasideList(size, zero=True) as pages:
            for _ in range(3):
                memory = pages.allocate()
                assert memory.buffer == bytes(size)
                memory.copy_from(b"\xff" * size)
                memory.delete()


def test_zero_on_free_leaves_nothing_behind() -> None:
    with membuf.LookasideList(64, zero_on_free=True) as pages:
        memory = pages.allocate()
        address = memory.address
        memory.copy_from(b"secret")
        memory.delete()
        memory = pages.allocate()
        assert memory.address == address
        assert memory.buffer == bytes(64)
        memory.delete()


def test_zero_on_free_waits_for_views() -> None:
    with membuf.LookasideList(64, zero_on_free=True) as pages:
        memory = pages.allocate()
        memory.copy_from(b"secret")
        view = memory.buffer
        memory.delete()
        assert bytes(view[:6]) == b"secret"
        view.release()
        memory = pages.allocate()
        assert memory.buffer == bytes(64)
        memory.delete()


def test_any_alignment_on_request() -> None:
    for alignment in (1, 64, 8192, 1 << 21):
        with membuf.LookasideList(100, alignment=alignment) as pages:
            memories = [pages.allocate() for _ in range(3)]
            assert all(memory.address % alignment == 0 for memory in memories)
            for memory in memories:
                memory.delete()


def test_contexts_are_fresh_in_every_life() -> None:
    with membuf.LookasideList(64) as pages:
        memory = pages.allocate()
        memory.context["old"] = True
        memory.add_context(dict)
        memory.reference("tag")
        memory.dereference("tag")
        memory.delete()
        memory = pages.allocate()
        assert memory.context == {}
        assert memory.get_context(dict) is None
        assert (memory.reference_count, memory.deleted) == (1, False)
        memory.delete()


def test_callbacks_run_once_a_life(recorder: Recorder) -> None:
    with membuf.LookasideList(64) as pages:
        pages.allocate(**recorder.hooks("1")).delete()
        pages.allocate(**recorder.hooks("2")).delete()
        pages.allocate().delete()
    assert recorder.text == "c:1 d:1 c:2 d:2"


def test_an_old_handle_has_no_power_over_the_next_life() -> None:
    with membuf.LookasideList(64) as pages:
        old = pages.allocate()
        old.delete()
        new = pages.allocate()
        new.copy_from(b"new")
        for call in (old.delete, lambda: old.copy_from(b"old"), lambda: old.buffer):
            with pytest.raises(membuf.ObjectDeletedError):
                call()
        assert old.deleted
        assert not new.deleted
        assert bytes(new.buffer[:3]) == b"new"
        new.delete()


def test_memories_are_no_children_of_their_list() -> None:
    with membuf.LookasideList(64) as pages:
        memory = pages.allocate()
        assert memory.parent is None
        assert pages.children == ()
        memory.delete()


def test_memory_parent_owns_what_is_allocated(recorder: Recorder) -> None:
    owner = membuf.Object(**recorder.hooks("P"))
    with membuf.LookasideList(64, memory_parent=owner) as pages:
        memories = [pages.allocate(**recorder.hooks(str(number))) for number in range(2)]
        assert owner.children == tuple(memories)
        owner.delete()
        assert recorder.text == "c:0 c:1 c:P d:0 d:1 d:P"
        assert pages.statistics().idle == 2
        assert all(memory.deleted for memory in memories)


def test_allocate_may_name_another_parent() -> None:
    owner, other = membuf.Object(), membuf.Object()
    with membuf.LookasideList(64, memory_parent=owner) as pages:
        memory = pages.allocate(parent=other)
        assert memory.parent is other
        assert owner.children == ()
        other.delete()
    owner.delete()


@pytest.mark.parametrize("state", ["deleting", "deleted", "dropped"])
def test_a_parent_on_its_way_out_refuses(recorder: Recorder, state: str) -> None:
    outcomes: list[type[BaseException]] = []

    def allocate(_: object = None) -> None:
        with pytest.raises(membuf.MembufError) as caught:
            pages.allocate(**recorder.hooks("never"))
        outcomes.append(caught.type)

    owner = membuf.Object(on_cleanup=allocate if state == "deleting" else None)
    pages = membuf.LookasideList(64, memory_parent=owner)
    owner.delete()
    if state == "dropped":
        del owner
    if state != "deleting":
        allocate()
    assert outcomes == [membuf.DeletePendingError]
    assert recorder.log == []
    assert pages.statistics().outstanding == 0
    assert pages.statistics().idle == 1
    pages.delete()


def test_the_list_does_not_keep_its_memory_parent(recorder: Recorder) -> None:
    owner = membuf.Object(**recorder.hooks("P"))
    pages = membuf.LookasideList(64, memory_parent=owner)
    del owner
    assert recorder.text == "c:P d:P"
    pages.delete()


def test_deleting_a_list_waits_for_its_memories(recorder: Recorder) -> None:
    pages = membuf.LookasideList(64, **recorder.hooks("L"))
    first = pages.allocate(**recorder.hooks("1"))
    second = pages.allocate(**recorder.hooks("2"))
    pages.delete()
    assert recorder.text == "c:L"
    first.copy_from(b"usable")
    assert bytes(first.buffer[:6]) == b"usable"
    with pytest.raises(membuf.DeletePendingError):
        pages.allocate()
    with pytest.raises(membuf.DeletePendingError):
        membuf.Object(parent=pages)
    first.delete()
    assert recorder.text == "c:L c:1 d:1"
    second.delete()
    assert recorder.text == "c:L c:1 d:1 c:2 d:2 d:L"
    with pytest.raises(membuf.ObjectDeletedError):
        pages.allocate()


def test_a_memory_keeps_a_dropped_list_working(recorder: Recorder) -> None:
    pages = membuf.LookasideList(64, **recorder.hooks("L"))
    memory = pages.allocate(**recorder.hooks("M"))
    del pages
    gc.collect()
    memory.copy_from(b"still here")
    assert bytes(memory.buffer[:10]) == b"still here"
    memory.delete()
    del memory
    assert recorder.log.count("c:L") == recorder.log.count("d:L") == 1
    assert recorder.log.index("d:M") < recorder.log.index("d:L")


def test_deleting_a_list_frees_its_idle_blocks(recorder: Recorder) -> None:
    pages = membuf.LookasideList(64, tag="Idle", **recorder.hooks("L"))
    memories = [pages.allocate() for _ in range(3)]
    for memory in memories:
        memory.delete()
    pages.delete()
    assert recorder.text == "c:L d:L"
    allocations, frees, held = figures("Idle")
    assert (allocations - frees, held) == (0, 0)


def test_a_view_of_a_memory_outlives_its_list() -> None:
    pages = membuf.LookasideList(64)
    memory = pages.allocate()
    memory.copy_from(b"survivor")
    view = memory.buffer
    memory.delete()
    pages.delete()
    del pages, memory
    gc.collect()
    membuf.pool.trim()
    assert bytes(view[:8]) == b"survivor"
    view.release()


def test_a_reference_keeps_the_block_out(recorder: Recorder) -> None:
    with membuf.LookasideList(64) as pages:
        memory = pages.allocate(**recorder.hooks("M"))
        memory.reference()
        memory.delete()
        assert pages.statistics().idle == 0
        assert pages.allocate().address != memory.address
        memory.dereference()
        assert recorder.text == "c:M d:M"
        assert pages.statistics().idle == 2


def test_flush_empties_the_list_and_leaves_it_usable() -> None:
    with membuf.LookasideList(64) as pages:
        kept = pages.allocate()
        kept.copy_from(b"kept")
        for memory in [pages.allocate() for _ in range(3)]:
            memory.delete()
        pages.flush()
        assert pages.statistics().idle == 0
        assert bytes(kept.buffer[:4]) == b"kept"
        misses = pages.statistics().misses
        pages.allocate().delete()
        assert pages.statistics().misses == misses + 1
        kept.delete()


@pytest.mark.parametrize("call", ["allocate", "flush", "rebalance", "statistics"])
def test_a_gone_list_refuses_every_call(call: str) -> None:
    pages = membuf.LookasideList(64, name="pages")
    pages.delete()
    with pytest.raises(membuf.ObjectDeletedError, match="pages"):
        getattr(pages, call)()


def test_a_list_may_own_its_own_memories(recorder: Recorder) -> None:
    """Memories parented to their list: deleting the list cleans and destroys them first."""
    pages = membuf.LookasideList(64, **recorder.hooks("L"))
    pages.allocate(parent=pages, **recorder.hooks("M"))
    pages.delete()
    assert recorder.text == "c:M c:L d:M d:L"
    assert pages.deleted


def test_repr_shows_name_and_state() -> None:
    pages = membuf.LookasideList(4096, tag="Page", name="frames")
    assert "frames" in repr(pages)
    pages.delete()
    assert "deleted" in repr(pages)


def test_a_list_that_ends_while_an_exception_is_under_way() -> None:
    """Its callbacks neither see the exception nor replace it."""
    seen: list[object] = []
    pages = membuf.LookasideList(64, on_destroy=lambda _: seen.append(int("3")))
    held = [pages.allocate()]
    pages.delete()
    with pytest.raises(ZeroDivisionError):
        _ = (held.pop(), 1 // 0)
    assert seen == [3]


def test_what_a_lists_callback_raises_after_its_delete_goes_to_the_hook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caught: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_value))
    pages = membuf.LookasideList(64, on_destroy=raises(KeyError("planted")))
    memory = pages.allocate()
    pages.delete()
    memory.delete()
    (group,) = caught
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions[0].args == ("planted",)
    caught.clear()

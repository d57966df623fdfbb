"""Collections: references, order, what a deletion leaves, and threads."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

import membuf
from tests.support import Recorder, raises


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def idle() -> membuf.Collection:
    return membuf.Collection("idle")


def test_it_is_a_sequence_of_what_was_added(idle: membuf.Collection) -> None:
    things = [membuf.Object(str(i)) for i in range(4)]
    for thing in things:
        idle.add(thing)
    assert list(idle) == things
    assert (len(idle), idle[0], idle[-1], idle.first, idle.last) == (
        4,
        things[0],
        things[3],
        things[0],
        things[3],
    )
    assert idle[np.int64(2)] is things[2]
    assert things[1] in idle
    assert membuf.Object() not in idle
    assert 3 not in idle


def test_an_empty_one_has_neither_first_nor_last(idle: membuf.Collection) -> None:
    assert (len(idle), list(idle), idle.first, idle.last) == (0, [], None, None)
    with pytest.raises(IndexError):
        idle[0]


def test_looking_takes_no_reference(idle: membuf.Collection) -> None:
    lone = membuf.Object()
    idle.add(lone)
    assert idle.first is idle[0] is idle.last is lone
    assert lone.reference_count == 2


@pytest.mark.parametrize("index", [2, -3, 2**70])
def test_an_index_without_an_entry_is_refused(idle: membuf.Collection, index: int) -> None:
    lone = membuf.Object()
    idle.add(lone)
    idle.add(lone)
    with pytest.raises(IndexError):
        idle[index]
    with pytest.raises(IndexError):
        del idle[index]
    assert (len(idle), lone.reference_count) == (2, 3)


@pytest.mark.parametrize("index", [True, 0.0, "0", None])
def test_an_index_is_an_integer(idle: membuf.Collection, index: object) -> None:
    idle.add(membuf.Object())
    with pytest.raises(TypeError):
        idle[index]  # type: ignore[index]
    with pytest.raises(TypeError):
        del idle[index]  # type: ignore[arg-type]
    assert len(idle) == 1


@pytest.mark.parametrize("thing", [None, 3, "object", object()])
def test_only_objects_can_be_added(idle: membuf.Collection, thing: object) -> None:
    with pytest.raises(TypeError, match="holds membuf objects"):
        idle.add(thing)  # type: ignore[arg-type]
    assert len(idle) == 0


def test_what_is_not_there_cannot_be_removed(idle: membuf.Collection) -> None:
    with pytest.raises(membuf.MembufError, match="is not in") as raised:
        idle.remove(membuf.Object("stranger"))
    assert raised.value.status.name == "STATUS_NOT_FOUND"


def test_a_deleted_object_cannot_be_added(idle: membuf.Collection) -> None:
    gone = membuf.Object()
    gone.delete()
    with pytest.raises(membuf.ObjectDeletedError):
        idle.add(gone)
    assert len(idle) == 0


def test_a_deleted_member_is_cleaned_up_at_once_and_destroyed_when_removed(
    idle: membuf.Collection, recorder: Recorder
) -> None:
    lone = membuf.Memory(16, **recorder.hooks("M"))
    lone.copy_from(b"still here")
    idle.add(lone)
    lone.delete()
    assert recorder.text == "c:M"
    assert bytes(lone.buffer[:10]) == b"still here"
    del idle[0]
    assert recorder.text == "c:M d:M"


def test_a_member_lives_for_the_collection_alone(idle: membuf.Collection) -> None:
    idle.add(membuf.Object("lone"))
    gc.collect()
    assert idle[0].name == "lone"


def test_dropping_the_last_reference_to_a_collection_lets_its_members_go() -> None:
    ended: list[str] = []
    idle = membuf.Collection()
    idle.add(membuf.Object(on_destroy=lambda _: ended.append("member")))
    del idle
    assert ended == ["member"]


def test_members_go_after_the_destroy_callbacks(
    idle: membuf.Collection, recorder: Recorder
) -> None:
    idle = membuf.Collection(**recorder.hooks("C"))
    members = [membuf.Object(**recorder.hooks(name)) for name in "AB"]
    for member in members:
        idle.add(member)
        member.delete()
    idle.add_context(dict, **recorder.hooks("C.dict"))
    idle.delete()
    assert recorder.text == "c:A c:B c:C c:C.dict d:C d:C.dict d:A d:B"


def test_all_members_go_when_callbacks_of_some_raise() -> None:
    idle = membuf.Collection()
    members = [membuf.Object(on_destroy=raises(KeyError(name))) for name in "AB"]
    for member in members:
        idle.add(member)
        member.delete()
    with pytest.raises(ExceptionGroup) as raised:
        idle.delete()
    assert raised.group_contains(KeyError, match="A")
    assert raised.group_contains(KeyError, match="B")
    assert all(member.deleted for member in members)


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        lambda idle: idle[0],
        lambda idle: idle.first,
        lambda idle: idle.last,
        lambda idle: membuf.Object() in idle,
        lambda idle: idle.add(membuf.Object()),
        lambda idle: idle.remove(membuf.Object()),
        lambda idle: idle.__delitem__(0),
    ],
)
def test_one_that_is_gone_refuses_every_call(
    idle: membuf.Collection, use: Callable[[membuf.Collection], object]
) -> None:
    idle.add(membuf.Object())
    idle.delete()
    with pytest.raises(membuf.ObjectDeletedError, match="'idle' deleted"):
        use(idle)


def test_a_refused_add_takes_no_reference(idle: membuf.Collection) -> None:
    idle.delete()
    lone = membuf.Object()
    with pytest.raises(membuf.ObjectDeletedError):
        idle.add(lone)
    assert lone.reference_count == 1


def test_it_can_be_in_a_collection_and_have_children(recorder: Recorder) -> None:
    outer, inner = membuf.Collection(), membuf.Collection()
    membuf.Object(parent=inner, **recorder.hooks("child"))
    outer.add(inner)
    inner.delete()
    assert recorder.text == "c:child d:child"
    assert len(inner) == 0
    outer.delete()
    assert inner.deleted


def test_threads_add_and_remove(idle: membuf.Collection) -> None:
    lone = membuf.Object()

    def work() -> None:
        for _ in range(300):
            idle.add(lone)
            idle.remove(lone)
        idle.add(lone)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(idle), lone.reference_count) == (4, 5)

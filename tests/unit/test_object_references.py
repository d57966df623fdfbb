"""Extra references: what they postpone, and what they do not."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

import membuf
from tests.support import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_reference_postpones_destroy_but_not_cleanup(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    lone.reference()
    lone.delete()
    assert recorder.text == "c:X"
    lone.dereference()
    assert recorder.text == "c:X d:X"


def test_delete_is_ignored_while_a_reference_is_held(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    lone.reference()
    lone.delete()
    lone.delete()
    lone.dereference()
    assert recorder.text == "c:X d:X"
    with pytest.raises(membuf.ObjectDeletedError):
        lone.delete()


def test_a_reference_on_a_child_outlives_the_parent(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P"))
    child = membuf.Memory(16, parent=parent, **recorder.hooks("C"))
    child.copy_from(b"still here")
    child.reference()
    parent.delete()
    assert recorder.text == "c:C c:P d:P"
    assert bytes(child.buffer[:10]) == b"still here"
    child.dereference()
    assert recorder.text == "c:C c:P d:P d:C"


def test_a_reference_on_the_parent_holds_no_child(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P"))
    membuf.Object(parent=parent, **recorder.hooks("C"))
    parent.reference()
    parent.delete()
    assert recorder.text == "c:C c:P d:C"
    parent.dereference()
    assert recorder.text == "c:C c:P d:C d:P"


def test_references_count() -> None:
    lone = membuf.Object()
    assert lone.reference_count == 1
    lone.reference()
    lone.reference(tag="sent")
    assert lone.reference_count == 3
    lone.dereference(tag="sent")
    lone.dereference()
    assert lone.reference_count == 1
    lone.delete()


def test_dereference_without_reference_is_refused(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    with pytest.raises(membuf.MembufError) as caught:
        lone.dereference()
    assert not isinstance(caught.value, membuf.ObjectDeletedError)
    assert recorder.log == []
    assert lone.reference_count == 1
    lone.delete()
    assert recorder.text == "c:X d:X"


def test_dereference_of_a_tag_nobody_took_is_refused() -> None:
    lone = membuf.Object()
    lone.reference(tag="A")
    with pytest.raises(membuf.MembufError):
        lone.dereference(tag="B")
    assert lone.reference_count == 2
    lone.dereference(tag="A")
    lone.delete()


def test_tags_match_by_value() -> None:
    lone = membuf.Object()
    lone.reference(tag=("request", 10**20))
    lone.dereference(tag=("request", 10**20))
    assert lone.reference_count == 1
    lone.delete()


def test_a_reference_can_be_taken_after_delete_while_one_is_held(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    lone.reference()
    lone.delete()
    lone.reference("second")
    lone.dereference()
    assert recorder.text == "c:X"
    lone.dereference("second")
    assert recorder.text == "c:X d:X"


def test_cleanup_may_drop_its_own_reference(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X", cleanup=lambda handle: handle.dereference("own")))
    lone.reference("own")
    lone.delete()
    assert recorder.text == "c:X d:X"


def test_a_parents_cleanup_may_drop_the_reference_on_a_child(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P", cleanup=lambda _: child.dereference()))
    child = membuf.Object(parent=parent, **recorder.hooks("C"))
    child.reference()
    parent.delete()
    assert recorder.text == "c:C c:P d:C d:P"


def test_a_reference_taken_in_cleanup_postpones_destroy(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P"))
    child = membuf.Object(
        parent=parent, **recorder.hooks("C", cleanup=lambda handle: handle.reference("late"))
    )
    parent.delete()
    assert recorder.text == "c:C c:P d:P"
    child.dereference("late")
    assert recorder.text == "c:C c:P d:P d:C"


def test_a_parents_destroy_may_release_a_child_held_by_reference(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P", destroy=lambda _: child.dereference()))
    child = membuf.Object(parent=parent, **recorder.hooks("C"))
    child.reference()
    parent.delete()
    assert recorder.text == "c:C c:P d:P d:C"


def test_reference_keeps_an_object_that_nobody_else_holds(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    address = id(lone)
    lone.reference()
    lone.context["held"] = True  # the collector knows it from now on
    del lone
    gc.collect()
    assert recorder.log == []
    (held,) = (each for each in gc.get_objects() if id(each) == address)
    held.dereference()
    held.delete()
    assert recorder.text == "c:X d:X"


def test_after_the_last_dereference_the_object_is_gone(recorder: Recorder) -> None:
    lone = membuf.Object("gone", **recorder.hooks("X"))
    lone.reference()
    lone.delete()
    lone.dereference()
    for call in (lone.reference, lone.dereference, lambda: lone.reference_count):
        with pytest.raises(membuf.ObjectDeletedError, match="gone"):
            call()


class Fickle:
    """A tag that compares as it is told to, and may do something meanwhile."""

    def __init__(self, *answers: bool, deed: Callable[[], None] | None = None) -> None:
        self.answers, self.deed = list(answers), deed

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if self.deed is not None:
            deed, self.deed = self.deed, None
            deed()
        return self.answers.pop(0) if self.answers else self is other


def test_a_tag_that_is_found_but_not_removed_drops_one_reference() -> None:
    lone = membuf.Object()
    lone.reference(Fickle(True, False, True))
    lone.dereference(Fickle())
    assert lone.reference_count == 1
    with pytest.raises(membuf.InvalidParameterError):
        lone.dereference(Fickle())
    assert lone.reference_count == 1
    lone.delete()


def test_a_tag_whose_comparison_dereferences_drops_no_more_than_there_is() -> None:
    lone = membuf.Object()
    plain = Fickle(*[True] * 9, deed=lambda: lone.dereference(Fickle()))
    lone.reference(plain)
    try:
        lone.dereference(Fickle())
    except membuf.InvalidParameterError:
        assert plain.deed is None
    assert lone.reference_count == 1
    lone.delete()


@pytest.mark.parametrize("verb", ["reference", "dereference"])
def test_a_tag_whose_comparison_deletes_the_object(recorder: Recorder, verb: str) -> None:
    def delete() -> None:
        lone.delete()
        lone.dereference("other")
        lone.dereference()

    lone = membuf.Object(**recorder.hooks("X"))
    lone.reference("other")
    lone.reference()
    lone.reference(Fickle(*[True] * 9, deed=delete))
    getattr(lone, verb)(Fickle())
    if verb == "reference":
        assert lone.reference_count == 2
        lone.dereference(Fickle())
        lone.dereference(Fickle())
    assert recorder.text == "c:X d:X"


def test_a_tag_must_be_hashable() -> None:
    lone = membuf.Object()
    for call in (lone.reference, lone.dereference):
        with pytest.raises(TypeError):
            call([])
    assert lone.reference_count == 1


def test_what_a_list_holds_for_its_memories_is_not_dropped_by_others() -> None:
    recorder = Recorder()
    pages = membuf.LookasideList(64, **recorder.hooks("L"))
    memory = pages.allocate()
    for drop in (pages.dereference, lambda: membuf._native.dereference_untagged(pages)):
        with pytest.raises(membuf.InvalidParameterError):
            drop()
    pages.delete()
    assert recorder.text == "c:L"
    memory.delete()
    assert recorder.text == "c:L d:L"

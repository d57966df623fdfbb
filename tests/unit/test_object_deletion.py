"""Deleting trees: the two phases, the order of callbacks, and deletes inside of callbacks."""

from __future__ import annotations

import pytest

import membuf
from tests.support import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def make(recorder: Recorder, name: str, parent: membuf.Object | None = None) -> membuf.Object:
    return membuf.Object(name, parent=parent, **recorder.hooks(name))


def test_all_cleanups_run_before_any_destroy(recorder: Recorder) -> None:
    root = make(recorder, "R")
    first = make(recorder, "B", root)
    make(recorder, "D", first)
    make(recorder, "C", root)
    root.delete()
    assert recorder.text == "c:D c:B c:C c:R d:D d:B d:C d:R"


def test_siblings_go_in_creation_order(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    for name in ("1", "2", "3"):
        make(recorder, name, parent)
    parent.delete()
    assert recorder.text == "c:1 c:2 c:3 c:P d:1 d:2 d:3 d:P"


def test_deleting_a_child_takes_it_out_of_its_parent(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    first, second = make(recorder, "1", parent), make(recorder, "2", parent)
    first.delete()
    assert recorder.text == "c:1 d:1"
    assert parent.children == (second,)
    parent.delete()
    assert recorder.text == "c:1 d:1 c:2 c:P d:2 d:P"


def test_delete_of_a_gone_object_is_refused() -> None:
    root = membuf.Object("once")
    root.delete()
    with pytest.raises(membuf.ObjectDeletedError, match="once"):
        root.delete()


def test_parent_and_children_of_a_live_object() -> None:
    root = membuf.Object()
    children = tuple(membuf.Object(parent=root) for _ in range(3))
    assert root.parent is None
    assert root.children == children
    assert [child.parent for child in children] == [root] * 3
    assert [child.children for child in children] == [()] * 3
    root.delete()


def test_deleted_tells_and_never_raises() -> None:
    root = membuf.Object()
    assert root.deleted is False
    root.delete()
    assert root.deleted is True


def test_with_deletes_at_exit(recorder: Recorder) -> None:
    with make(recorder, "R") as root:
        assert isinstance(root, membuf.Object)
        make(recorder, "C", root)
        assert recorder.log == []
    assert recorder.text == "c:C c:R d:C d:R"


def test_with_deletes_when_the_body_raises(recorder: Recorder) -> None:
    with pytest.raises(KeyError, match="planted"), make(recorder, "R"):
        raise KeyError("planted")
    assert recorder.text == "c:R d:R"


def test_inner_delete_inside_with_is_fine(recorder: Recorder) -> None:
    with make(recorder, "R") as root:
        root.delete()
    assert recorder.text == "c:R d:R"


def test_any_object_can_own_any_other(recorder: Recorder) -> None:
    memory = membuf.Memory(64, **recorder.hooks("M"))
    make(recorder, "O", memory)
    memory.delete()
    assert recorder.text == "c:O c:M d:O d:M"


@pytest.mark.parametrize("self_delete", ["cleanup", "after"])
def test_deleting_oneself_in_cleanup_is_ignored(recorder: Recorder, self_delete: str) -> None:
    parent = make(recorder, "P")
    hooks = recorder.hooks("C", cleanup=lambda child: child.delete())
    child = membuf.Object(parent=parent, **hooks)
    (child if self_delete == "cleanup" else parent).delete()
    expected = "c:C d:C" if self_delete == "cleanup" else "c:C c:P d:C d:P"
    assert recorder.text == expected


def test_parents_cleanup_deletes_a_child_that_was_cleaned(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P", cleanup=lambda _: child.delete()))
    child = make(recorder, "C", parent)
    parent.delete()
    assert recorder.text == "c:C c:P d:C d:P"


def test_cleanup_deletes_an_earlier_sibling(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    first = make(recorder, "1", parent)
    membuf.Object(parent=parent, **recorder.hooks("2", cleanup=lambda _: first.delete()))
    parent.delete()
    assert recorder.text == "c:1 c:2 c:P d:1 d:2 d:P"


def test_cleanup_deletes_a_later_sibling(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    membuf.Object(parent=parent, **recorder.hooks("1", cleanup=lambda _: second.delete()))
    second = make(recorder, "2", parent)
    parent.delete()
    assert recorder.text == "c:1 c:2 c:P d:1 d:2 d:P"


def test_cleanup_deletes_its_parent(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    membuf.Object(parent=parent, **recorder.hooks("C", cleanup=lambda _: parent.delete()))
    parent.delete()
    assert recorder.text == "c:C c:P d:C d:P"


def test_cleanup_of_a_directly_deleted_child_deletes_its_former_parent(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    hooks = recorder.hooks("C", cleanup=lambda _: parent.delete())
    child = membuf.Object(parent=parent, **hooks)
    child.delete()
    assert recorder.text == "c:C c:P d:P d:C"


def test_cleanup_deletes_a_tree_elsewhere(recorder: Recorder) -> None:
    other = make(recorder, "O")
    root = membuf.Object(**recorder.hooks("R", cleanup=lambda _: other.delete()))
    root.delete()
    assert recorder.text == "c:R c:O d:O d:R"


def test_cleanup_cannot_create_under_its_disposing_parent(recorder: Recorder) -> None:
    def create(_: membuf.Object) -> None:
        with pytest.raises(membuf.DeletePendingError):
            make(recorder, "new", parent)

    parent = make(recorder, "P")
    membuf.Object(parent=parent, **recorder.hooks("C", cleanup=create))
    parent.delete()
    assert recorder.text == "c:C c:P d:C d:P"


def test_cleanup_cannot_create_under_itself(recorder: Recorder) -> None:
    def create(child: membuf.Object) -> None:
        with pytest.raises(membuf.DeletePendingError):
            make(recorder, "new", child)

    child = membuf.Object(**recorder.hooks("C", cleanup=create))
    child.delete()
    assert recorder.text == "c:C d:C"


def test_cleanup_may_create_under_a_sibling_not_yet_visited(recorder: Recorder) -> None:
    parent = make(recorder, "P")
    hooks = recorder.hooks("1", cleanup=lambda _: make(recorder, "O", second))
    membuf.Object(parent=parent, **hooks)
    second = make(recorder, "2", parent)
    parent.delete()
    assert recorder.text == "c:1 c:O c:2 c:P d:1 d:O d:2 d:P"


def test_nothing_is_created_under_a_sibling_whose_delete_was_called(recorder: Recorder) -> None:
    def delete_then_create(_: membuf.Object) -> None:
        second.delete()
        assert recorder.text == "c:1"
        with pytest.raises(membuf.DeletePendingError):
            make(recorder, "O", second)

    parent = make(recorder, "P")
    membuf.Object(parent=parent, **recorder.hooks("1", cleanup=delete_then_create))
    second = make(recorder, "2", parent)
    parent.delete()
    assert recorder.text == "c:1 c:2 c:P d:1 d:2 d:P"


@pytest.mark.parametrize("referenced", [True, False], ids=["referenced", "gone"])
def test_nothing_is_created_under_a_deleted_object(referenced: bool) -> None:
    parent = membuf.Object()
    if referenced:
        parent.reference()
    parent.delete()
    with pytest.raises(membuf.DeletePendingError if referenced else membuf.ObjectDeletedError):
        membuf.Object(parent=parent)
    if referenced:
        parent.dereference()


def test_destroy_rejects_every_call_but_reading_the_context(recorder: Recorder) -> None:
    def try_everything(memory: membuf.Memory) -> None:
        assert memory.context["kept"] == 1
        for call in (
            memory.delete,
            memory.reference,
            memory.dereference,
            lambda: memory.buffer,
            lambda: memory.copy_from(b"x"),
            lambda: memory.add_context(dict),
            lambda: membuf.Object(parent=memory),
        ):
            with pytest.raises(membuf.MembufError):
                call()

    memory = membuf.Memory(64, **recorder.hooks("M", destroy=try_everything))
    memory.context["kept"] = 1
    memory.delete()
    assert recorder.text == "c:M d:M"


def test_a_deleted_parent_has_let_go_of_its_children() -> None:
    parent = membuf.Object()
    child = membuf.Object(parent=parent)
    child.reference()
    parent.delete()
    assert child.parent is None
    child.dereference()


def test_delete_counts_once_among_many(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P"))
    children = [make(recorder, str(number), parent) for number in range(100)]
    for child in children[::2]:
        child.delete()
    parent.delete()
    assert sorted(recorder.log) == sorted(
        [f"{phase}:{number}" for phase in "cd" for number in range(100)] + ["c:P", "d:P"]
    )

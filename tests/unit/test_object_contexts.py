"""Context space: the dictionary of every object, and typed contexts with their own callbacks."""

from __future__ import annotations

import pytest

import membuf
from tests.support import Recorder


class Statistics:
    """A typed context."""

    def __init__(self) -> None:
        self.packets = 0


class Other:
    """Another one."""


def test_context_is_one_dictionary_per_object() -> None:
    first, second = membuf.Object(), membuf.Object()
    first.context["key"] = "value"
    assert first.context == {"key": "value"}
    again = first.context
    assert again is first.context
    assert second.context == {}


def test_typed_context_is_made_once_and_found_by_type() -> None:
    lone = membuf.Object()
    made = lone.add_context(Statistics)
    made.packets = 3
    assert lone.get_context(Statistics) is made
    assert lone.get_context(Other) is None


def test_a_type_already_present_gives_the_existing_context() -> None:
    recorder = Recorder()
    lone = membuf.Object()
    made = lone.add_context(Statistics, **recorder.hooks("first"))
    assert lone.add_context(Statistics, **recorder.hooks("second")) is made
    lone.delete()
    assert recorder.text == "c:first d:first"


def test_identity_of_a_type_is_the_type_not_its_name() -> None:
    twin = type("Statistics", (), {})
    lone = membuf.Object()
    made = lone.add_context(Statistics)
    assert lone.get_context(twin) is None
    assert lone.add_context(twin) is not made


def test_callbacks_of_contexts_run_in_the_order_added() -> None:
    recorder = Recorder()
    parent = membuf.Object(**recorder.hooks("P"))
    child = membuf.Object(parent=parent, **recorder.hooks("C"))
    child.add_context(Statistics, **recorder.hooks("C+"))
    child.add_context(Other, **recorder.hooks("C++"))
    parent.delete()
    assert recorder.text == "c:C c:C+ c:C++ c:P d:C d:C+ d:C++ d:P"


def test_callbacks_of_contexts_get_the_object() -> None:
    seen: list[object] = []
    lone = membuf.Object()
    lone.add_context(Statistics, on_cleanup=seen.append, on_destroy=seen.append)
    lone.delete()
    assert seen == [lone, lone]


def test_contexts_are_readable_until_the_last_destroy_returns() -> None:
    seen: list[object] = []

    def read(handle: membuf.Object) -> None:
        seen.append((handle.context["key"], handle.get_context(Statistics) is made))

    lone = membuf.Object(on_cleanup=read, on_destroy=read)
    lone.context["key"] = 1
    made = lone.add_context(Statistics, on_destroy=read)
    lone.delete()
    assert seen == [(1, True)] * 3


def test_context_of_a_gone_object_is_refused() -> None:
    lone = membuf.Object()
    lone.delete()
    for call in (lambda: lone.context, lambda: lone.get_context(dict)):
        with pytest.raises(membuf.ObjectDeletedError):
            call()


@pytest.mark.parametrize("when", ["cleanup", "referenced", "gone"])
def test_no_context_is_added_once_deletion_began(when: str) -> None:
    outcomes: list[type[BaseException]] = []

    def add(handle: membuf.Object) -> None:
        try:
            handle.add_context(Statistics)
        except membuf.MembufError as error:
            outcomes.append(type(error))

    lone = membuf.Object(on_cleanup=add if when == "cleanup" else None)
    if when == "referenced":
        lone.reference()
    lone.delete()
    if when != "cleanup":
        add(lone)
    if when == "referenced":
        lone.dereference()
    expected = membuf.ObjectDeletedError if when == "gone" else membuf.DeletePendingError
    assert outcomes == [expected]


def test_a_context_type_that_raises_adds_nothing() -> None:
    def broken() -> object:
        raise KeyError("planted")

    recorder = Recorder()
    lone = membuf.Object(**recorder.hooks("X"))
    with pytest.raises(KeyError, match="planted"):
        lone.add_context(broken, **recorder.hooks("never"))
    assert lone.get_context(broken) is None
    lone.delete()
    assert recorder.text == "c:X d:X"


def test_a_context_type_may_delete_the_object_under_it() -> None:
    def treacherous() -> object:
        lone.delete()
        return object()

    lone = membuf.Object()
    recorder = Recorder()
    with pytest.raises(membuf.ObjectDeletedError):
        lone.add_context(treacherous, **recorder.hooks("never"))
    assert lone.deleted
    assert recorder.log == []


def test_a_context_type_may_add_itself_while_it_is_made() -> None:
    def recursive() -> object:
        calls.append(1)
        if len(calls) == 1:
            inner.append(lone.add_context(recursive, **recorder.hooks("inner")))
        return object()

    calls: list[int] = []
    inner: list[object] = []
    recorder = Recorder()
    lone = membuf.Object()
    with pytest.raises(RuntimeError):
        lone.add_context(recursive, **recorder.hooks("outer"))
    assert lone.get_context(recursive) is inner[0]
    lone.delete()
    assert recorder.text == "c:inner d:inner"


@pytest.mark.parametrize("wrong", [None, 3, "name"])
def test_a_context_type_must_be_callable(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.Object().add_context(wrong)

"""Callbacks that raise: the deletion finishes, and what was raised arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from tests.support import Recorder, raises


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def unraisable() -> Iterator[list[Any]]:
    """What went to sys.unraisablehook meanwhile."""
    caught: list[Any] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: caught.append(args.exc_value)
    yield caught
    sys.unraisablehook = hook


def leaves(error: BaseException) -> list[object]:
    """The arguments of every exception in a group, groups in groups included."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error.args[0]]


def test_every_callback_runs_and_every_exception_arrives(recorder: Recorder) -> None:
    root = membuf.Object(
        **recorder.hooks("R", cleanup=raises(KeyError(1)), destroy=raises(KeyError(4)))
    )
    membuf.Object(parent=root, **recorder.hooks("A", cleanup=raises(ValueError(0))))
    membuf.Object(parent=root, **recorder.hooks("B", destroy=raises(OSError(3))))
    with pytest.raises(ExceptionGroup) as caught:
        root.delete()
    assert recorder.text == "c:A c:B c:R d:A d:B d:R"
    assert [inner.args[0] for inner in caught.value.exceptions] == [0, 1, 3, 4]
    assert root.deleted


def test_all_contexts_of_an_object_run_though_one_raises(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X", cleanup=raises(KeyError(1))))
    lone.add_context(dict, **recorder.hooks("X+", destroy=raises(KeyError(2))))
    with pytest.raises(ExceptionGroup) as caught:
        lone.delete()
    assert leaves(caught.value) == [1, 2]
    assert recorder.text == "c:X c:X+ d:X d:X+"


def test_the_last_dereference_raises_what_destroy_raised(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X", destroy=raises(KeyError(1))))
    lone.reference()
    lone.delete()
    with pytest.raises(ExceptionGroup) as caught:
        lone.dereference()
    assert leaves(caught.value) == [1]
    with pytest.raises(membuf.ObjectDeletedError):
        lone.dereference()


def test_a_nested_delete_raises_into_the_callback(recorder: Recorder) -> None:
    inner = membuf.Object(**recorder.hooks("I", cleanup=raises(KeyError("inner"))))
    outer = membuf.Object(**recorder.hooks("O", cleanup=lambda _: inner.delete()))
    with pytest.raises(ExceptionGroup) as caught:
        outer.delete()
    (group,) = caught.value.exceptions
    assert isinstance(group, ExceptionGroup)
    assert leaves(group) == ["inner"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_base_exceptions_finish_the_deletion_too(
    recorder: Recorder, kind: type[BaseException]
) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    membuf.Object(parent=root, **recorder.hooks("C", cleanup=raises(kind("planted"))))
    with pytest.raises(BaseExceptionGroup) as caught:
        root.delete()
    assert not isinstance(caught.value, ExceptionGroup)
    assert recorder.text == "c:C c:R d:C d:R"


def test_with_raises_what_callbacks_raised(recorder: Recorder) -> None:
    with (
        pytest.raises(ExceptionGroup) as caught,
        membuf.Object(**recorder.hooks("R", cleanup=raises(KeyError(1)))),
    ):
        pass
    assert leaves(caught.value) == [1]


def test_deallocation_reports_through_the_hook(recorder: Recorder, unraisable: list[Any]) -> None:
    lone = membuf.Object(
        **recorder.hooks("X", cleanup=raises(KeyError(1)), destroy=raises(KeyError(2)))
    )
    del lone
    assert recorder.text == "c:X d:X"
    assert [leaf for error in unraisable for leaf in leaves(error)] == [1, 2]


def test_deallocation_while_an_exception_is_under_way(
    recorder: Recorder, unraisable: list[Any]
) -> None:
    def fail() -> None:
        lone = membuf.Object(**recorder.hooks("X", cleanup=raises(KeyError("callback"))))
        assert not lone.deleted
        raise ValueError("body")

    with pytest.raises(ValueError, match="body") as caught:
        fail()
    caught.value.__traceback__ = None
    del caught
    assert recorder.text == "c:X d:X"
    assert [leaf for error in unraisable for leaf in leaves(error)] == ["callback"]


@pytest.mark.parametrize("which", ["on_cleanup", "on_destroy"])
@pytest.mark.parametrize("wrong", [3, "name", object()])
def test_callbacks_must_be_callable(which: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=which):
        membuf.Object(**{which: wrong})


def test_callbacks_get_their_object() -> None:
    seen: list[object] = []
    lone = membuf.Object(on_cleanup=seen.append, on_destroy=seen.append)
    lone.delete()
    assert seen == [lone, lone]


def test_a_failed_create_runs_no_callback(recorder: Recorder) -> None:
    parent = membuf.Object()
    parent.reference()
    parent.delete()
    hooks = recorder.hooks("never")
    for create in (
        lambda: membuf.Object(parent=parent, **hooks),
        lambda: membuf.Memory(64, parent=parent, **hooks),
        lambda: membuf.Memory.preallocated(bytearray(8), parent=parent, **hooks),
        lambda: membuf.LookasideList(64, parent=parent, **hooks),
    ):
        with pytest.raises(membuf.DeletePendingError):
            create()
    parent.dereference()
    assert recorder.log == []

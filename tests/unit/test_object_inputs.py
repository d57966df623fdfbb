"""What objects accept as names and parents, and what they show of themselves."""

from __future__ import annotations

import pytest

import membuf


@pytest.mark.parametrize("wrong", [3, "parent", object(), b"x"])
def test_a_parent_must_be_an_object(wrong: object) -> None:
    for make in (
        lambda: membuf.Object(parent=wrong),
        lambda: membuf.Memory(64, parent=wrong),
        lambda: membuf.Memory.preallocated(bytearray(1), parent=wrong),
        lambda: membuf.LookasideList(64, parent=wrong),
        lambda: membuf.LookasideList(64, memory_parent=wrong),
        lambda: membuf.LookasideList(64).allocate(parent=wrong),
    ):
        with pytest.raises(TypeError, match="parent"):
            make()


@pytest.mark.parametrize("wrong", [3, b"bytes", object()])
def test_a_name_must_be_text(wrong: object) -> None:
    with pytest.raises(TypeError, match="name"):
        membuf.Object(wrong)


@pytest.mark.parametrize("name", ["capture", "", "naïve ✓", "with\0nul", "x" * 10_000])
def test_any_text_names_an_object(name: str) -> None:
    lone = membuf.Object(name)
    assert lone.name == name
    assert isinstance(repr(lone), str)


def test_a_name_is_optional() -> None:
    assert membuf.Object().name is None


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        membuf.Object("name", "parent")
    with pytest.raises(TypeError):
        membuf.Object(owner=None)


def test_repr_shows_name_and_state() -> None:
    root = membuf.Object("root")
    assert "root" in repr(root)
    assert "deleted" not in repr(root)
    root.reference()
    root.delete()
    assert "deleted" in repr(root)
    root.dereference()
    assert "root" in repr(root)
    assert "deleted" in repr(root)


def test_properties_of_a_gone_object_raise_and_name_it() -> None:
    lone = membuf.Object("vanished")
    lone.delete()
    for name in ("parent", "children", "context", "reference_count"):
        with pytest.raises(membuf.ObjectDeletedError, match="vanished"):
            getattr(lone, name)


@pytest.mark.parametrize("name", ["parent", "children", "deleted", "reference_count", "name"])
def test_properties_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(membuf.Object(), name, None)


def test_objects_are_subclassed_with_attributes() -> None:
    class Request(membuf.Object):
        def __init__(self, name: str, *, parent: membuf.Object | None = None) -> None:
            super().__init__(name, parent=parent)
            self.length = 512

    root = membuf.Object()
    request = Request("read", parent=root)
    assert (request.name, request.length) == ("read", 512)
    assert root.children == (request,)
    root.delete()
    assert request.deleted


@pytest.mark.parametrize("final", [membuf.Memory, membuf.LookasideList])
def test_hot_types_are_final(final: type) -> None:
    with pytest.raises(TypeError):
        type("Derived", (final,), {})


def test_objects_compare_by_identity() -> None:
    first, second = membuf.Object("same"), membuf.Object("same")
    assert first != second
    assert len({first, second}) == 2
    first.delete()
    assert hash(first) == hash(first)
    assert first != second

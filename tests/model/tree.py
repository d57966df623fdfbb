"""A model of the object tree: states, references, two-phase deletion, order of callbacks."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

Callback = Callable[["Node"], None]


class State(enum.Enum):
    """The life of an object, in the order it is lived."""

    LIVE = "live"
    EARLY = "delete() was called while its parent already disposes; the parent will visit it"
    DISPOSING = "its children, then itself, are being cleaned up"
    DISPOSED = "cleaned up; its destroy is still to come, or waits for a reference"
    DESTROYED = "its destroy callbacks have begun: only its context may still be read"


class RefusedError(Exception):
    """A call that the rules do not allow now; nothing has changed."""


DELETE_PENDING = "delete pending"
DELETED = "deleted"
NO_REFERENCE = "no reference"


@dataclass
class Context:
    """One context of an object: a pair of callbacks that run in the order contexts were added."""

    on_cleanup: Callback
    on_destroy: Callback


@dataclass(eq=False)
class Node:
    """One object."""

    key: int
    parent: Node | None
    contexts: list[Context]
    state: State = State.LIVE
    children: list[Node] = field(default_factory=list)
    references: list[object] = field(default_factory=list)
    in_tree: bool = True

    @property
    def deleted(self) -> bool:
        """Whether deletion of the object has begun."""
        return self.state is not State.LIVE

    @property
    def reference_count(self) -> int:
        """Every extra reference, and the one the tree holds until phase B reaches the object."""
        return len(self.references) + self.in_tree


def create(key: int, parent: Node | None, *contexts: Context) -> Node:
    """Make an object; a parent that is gone or being deleted refuses, and no callback runs."""
    if parent is not None:
        _require_usable(parent)
        if parent.state is not State.LIVE:
            raise RefusedError(DELETE_PENDING)
    node = Node(key, parent, list(contexts))
    if parent is not None:
        parent.children.append(node)
    return node


def add_context(node: Node, context: Context) -> None:
    """Append a context to a live object."""
    _require_usable(node)
    if node.state is not State.LIVE:
        raise RefusedError(DELETE_PENDING)
    node.contexts.append(context)


def reference(node: Node, tag: object) -> None:
    """Take one extra reference: legal until the destroy callbacks begin."""
    _require_usable(node)
    node.references.append(tag)


def dereference(node: Node, tag: object) -> None:
    """Drop one extra reference; the last one of a deleted object destroys it before it returns."""
    _require_usable(node)
    if tag not in node.references:
        raise RefusedError(NO_REFERENCE)
    node.references.remove(tag)
    errors: list[Exception] = []
    _destroy_if_unreferenced(node, errors)
    _raise_all(errors)


def delete(node: Node) -> None:
    """Delete a subtree in two phases, or leave the work to the walk that is already under way."""
    _require_usable(node)
    if node.state is not State.LIVE:
        return
    if node.parent is not None and node.parent.state is not State.LIVE:
        node.state = State.EARLY
        return
    if node.parent is not None:
        node.parent.children.remove(node)
        node.parent = None
    errors: list[Exception] = []
    _dispose(node, errors)
    _destroy_subtree(node, errors)
    _raise_all(errors)


def _require_usable(node: Node) -> None:
    if node.state is State.DESTROYED:
        raise RefusedError(DELETED)


def _dispose(node: Node, errors: list[Exception]) -> None:
    """Phase A: cleanups, children before parents, siblings in creation order."""
    node.state = State.DISPOSING
    for child in node.children:
        _dispose(child, errors)
    for context in node.contexts:
        _call(context.on_cleanup, node, errors)
    node.state = State.DISPOSED


def _destroy_subtree(node: Node, errors: list[Exception]) -> None:
    """Phase B: the tree lets go of every object, in the order of phase A."""
    for child in node.children:
        _destroy_subtree(child, errors)
    node.children = []
    node.parent = None
    node.in_tree = False
    _destroy_if_unreferenced(node, errors)


def _destroy_if_unreferenced(node: Node, errors: list[Exception]) -> None:
    if node.in_tree or node.references:
        return
    node.state = State.DESTROYED
    for context in node.contexts:
        _call(context.on_destroy, node, errors)


def _call(callback: Callback, node: Node, errors: list[Exception]) -> None:
    try:
        callback(node)
    except Exception as error:  # noqa: BLE001 - gathered, and raised when all has been done
        errors.append(error)


def _raise_all(errors: list[Exception]) -> None:
    if errors:
        raise ExceptionGroup("callbacks raised", errors)

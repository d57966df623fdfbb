"""One language of deeds for the model and for membuf, so that both can be told the same story.

A world knows objects by key (0, 1, 2 ... in the order their creation was tried). Callbacks are
programs: tuples of deeds. Everything that happens is written to ``log``, so two worlds that were
told the same story agree exactly when their logs are equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from tests.model import tree
from tests.model.tree import RefusedError

UNREACHABLE = "unreachable"
NOBODYS = 2
OK = "ok"


class Deed(NamedTuple):
    """One step of a program. ``target`` chooses among the reachable objects, or is a relation."""

    verb: str
    target: int | str
    number: int = 0


Program = tuple[Deed, ...]


class Callbacks(NamedTuple):
    """What one context of an object does when it is cleaned up and when it is destroyed."""

    on_cleanup: Program = ()
    on_destroy: Program = ()


SILENT = Callbacks()


class PlantedError(Exception):
    """The exception that programs raise."""


@dataclass
class Story:
    """What a world remembers of an object: its relatives, and the references held on it."""

    parent: int | None
    reachable: bool
    tags: list[int] = field(default_factory=list)


class World(ABC):
    """Objects by key, the log, and the interpreter; subclasses do the deeds."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.stories: dict[int, Story] = {}

    def perform(self, deed: Deed, self_key: int | None = None) -> None:
        """Do one deed and log its outcome; exceptions of callbacks pass through, logged too."""
        if deed.verb == "raise":
            self.log.append(("raise", deed.number))
            raise PlantedError(deed.number)
        key = self.resolve(deed, self_key)
        outcome: object = OK
        try:
            outcome = getattr(self, "do_" + deed.verb)(key, deed.number)
        except RefusedError as refusal:
            outcome = refusal.args[0]
        except ExceptionGroup as group:
            outcome = shape(group)
            if self_key is not None:
                raise
        finally:
            self.log.append((deed.verb, key, deed.number, outcome))

    def resolve(self, deed: Deed, self_key: int | None) -> int | None:
        """Turn a relation to the object whose callback runs into a key."""
        target = deed.target
        if isinstance(target, int):
            held = self.held()
            choice = held if held and deed.verb == "dereference" else self.reachable()
            return choice[target % len(choice)] if choice else None
        if self_key is None:
            return None
        parent = self.stories[self_key].parent
        if target == "self":
            return self_key
        if target == "parent":
            return self_key if parent is None else parent
        siblings = [key for key, story in self.stories.items() if story.parent == parent]
        step = 1 if target == "next" else -1
        return siblings[(siblings.index(self_key) + step) % len(siblings)]

    def run(self, phase: str, key: int, index: int, program: Program) -> None:
        """Run the program of one callback; while it runs, its own object can be reached."""
        self.log.append((phase, key, index))
        story = self.stories[key]
        was_reachable = story.reachable
        story.reachable = True
        try:
            for deed in program:
                self.perform(deed, key)
        finally:
            story.reachable = was_reachable or bool(story.tags)

    def new_key(self, parent: int | None) -> int:
        """Give out the next key."""
        key = len(self.stories)
        self.stories[key] = Story(parent, reachable=False)
        return key

    def reachable(self) -> list[int]:
        """The objects that somebody holds a handle on."""
        return [key for key, story in self.stories.items() if story.reachable]

    def held(self) -> list[int]:
        """The objects that references are held on."""
        return [key for key in self.reachable() if self.stories[key].tags]

    def relative(self, key: int) -> int | str:
        """How a relative is told: by its key, unless nobody can know it by its handle."""
        return key if self.can_reach(key) else UNREACHABLE

    def can_reach(self, key: int | None) -> TypeGuard[int]:
        """Whether somebody holds a handle on the object."""
        return key in self.stories and self.stories[key].reachable

    def do_delete(self, key: int | None, number: int) -> object:
        """Delete the object."""
        return self.delete(key) if self.can_reach(key) else UNREACHABLE

    def do_reference(self, key: int | None, number: int) -> object:
        """Take a reference with a tag; while one is held, so is the handle."""
        if not self.can_reach(key):
            return UNREACHABLE
        self.reference(key, number)
        self.stories[key].tags.append(number)
        return OK

    def do_dereference(self, key: int | None, number: int) -> object:
        """Drop a reference by its tag; callbacks that raise do not keep it.

        Mostly one that somebody took: only the tags from ``NOBODYS`` on are taken as they come.
        """
        if not self.can_reach(key):
            return UNREACHABLE
        tags = self.stories[key].tags
        if tags and number < NOBODYS:
            number = tags[number % len(tags)]
        taken = number in tags
        if taken:
            tags.remove(number)
        try:
            self.dereference(key, number)
        except RefusedError:
            assert not taken, "a reference that was taken cannot be dropped"
            raise
        return OK

    def do_create(self, key: int | None, number: int) -> object:
        """Create a silent child."""
        return self.create(key, (SILENT,)) if self.can_reach(key) else UNREACHABLE

    def do_flash(self, key: int | None, number: int) -> object:
        """Create an object without a parent and drop it at once."""
        self.create(None, (SILENT,))
        return self.drop(len(self.stories) - 1)

    def do_read(self, key: int | None, number: int) -> object:
        """Read the object's bytes."""
        return self.read(key) if self.can_reach(key) else UNREACHABLE

    def do_inspect(self, key: int | None, number: int) -> object:
        """Look at everything that can be asked of an object."""
        return self.inspect(key) if self.can_reach(key) else UNREACHABLE

    @abstractmethod
    def create(self, parent: int | None, contexts: tuple[Callbacks, ...]) -> object:
        """Create an object under a parent, with one pair of callbacks a context."""

    @abstractmethod
    def delete(self, key: int) -> object: ...

    @abstractmethod
    def drop(self, key: int) -> object:
        """Let go of the last handle on an object without a parent."""

    @abstractmethod
    def reference(self, key: int, tag: int) -> None: ...

    @abstractmethod
    def dereference(self, key: int, tag: int) -> None: ...

    @abstractmethod
    def add_context(self, key: int, callbacks: Callbacks) -> object: ...

    @abstractmethod
    def read(self, key: int) -> object: ...

    @abstractmethod
    def inspect(self, key: int) -> object: ...


def shape(error: BaseException) -> object:
    """An exception as nested tuples of the planted numbers, groups in the order they gathered."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(shape(inner) for inner in error.exceptions)
    return error.args[0] if isinstance(error, PlantedError) else repr(error)


def pattern(key: int, size: int = 64) -> bytes:
    """The bytes every memory object of a story is filled with."""
    return bytes((key * 7 + index) % 251 for index in range(size))


class ModelWorld(World):
    """The story told to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[int, tree.Node] = {}

    def create(self, parent: int | None, contexts: tuple[Callbacks, ...]) -> object:
        """Create a node whose callbacks run their programs."""
        key = self.new_key(parent)
        above = None if parent is None else self.nodes[parent]
        made = [self._context(index, pair) for index, pair in enumerate(contexts)]
        self.nodes[key] = tree.create(key, above, *made)
        self.stories[key].reachable = True
        return OK

    def _context(self, index: int, pair: Callbacks) -> tree.Context:
        return tree.Context(
            lambda node: self.run("cleanup", node.key, index, pair.on_cleanup),
            lambda node: self.run("destroy", node.key, index, pair.on_destroy),
        )

    def delete(self, key: int) -> object:
        """Delete the node."""
        tree.delete(self.nodes[key])
        return OK

    def drop(self, key: int) -> object:
        """The last handle deletes a live object; what its callbacks raise goes to the hook."""
        self.stories[key].reachable = False
        try:
            tree.delete(self.nodes[key])
        except ExceptionGroup as group:
            self.log.append(("unraisable", shape(group)))
        return OK

    def reference(self, key: int, tag: int) -> None:
        """Take a reference."""
        tree.reference(self.nodes[key], tag)

    def dereference(self, key: int, tag: int) -> None:
        """Drop a reference."""
        tree.dereference(self.nodes[key], tag)

    def add_context(self, key: int, callbacks: Callbacks) -> object:
        """Append a context."""
        node = self.nodes[key]
        tree.add_context(node, self._context(len(node.contexts), callbacks))
        return OK

    def read(self, key: int) -> object:
        """The bytes stay as they were written until the destroy callbacks begin."""
        if not self.is_usable(key):
            raise RefusedError(tree.DELETED)
        return pattern(key)

    def is_usable(self, key: int) -> bool:
        """Whether calls on the object still work."""
        return self.nodes[key].state is not tree.State.DESTROYED

    def inspect(self, key: int) -> object:
        """State that can be asked for, or the refusal."""
        node = self.nodes[key]
        if node.state is tree.State.DESTROYED:
            return (True, tree.DELETED)
        alive = node.state is tree.State.LIVE
        parent = self.relative(node.parent.key) if alive and node.parent is not None else None
        children = tuple(child.key for child in node.children)
        return (node.deleted, parent, children if alive else None, node.reference_count)

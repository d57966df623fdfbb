"""The stories of ``tests.model.world`` told to membuf itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import membuf
from tests.model import tree
from tests.model.tree import RefusedError
from tests.model.world import OK, SILENT, Callbacks, Deed, Program, World, pattern, shape

SIZE = 64
REFUSALS = (
    (membuf.DeletePendingError, tree.DELETE_PENDING),
    (membuf.ObjectDeletedError, tree.DELETED),
)


class RealWorld(World):
    """Objects of every kind by key: plain, from pool, from a lookaside list, preallocated."""

    def __init__(self) -> None:
        super().__init__()
        self.handles: dict[int, membuf.Object] = {}
        self.lookaside = membuf.LookasideList(SIZE, tag="Stor")
        self.types: list[type[Any]] = []
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable

    def close(self) -> None:
        """Delete everything and drop every reference; callbacks may go on making more of both."""
        while (last := self._last_deed()) is not None:
            self.perform(last)
        self.handles.clear()
        sys.unraisablehook = self._hook

    def _last_deed(self) -> Deed | None:
        for key, story in self.stories.items():
            if story.reachable and not self.handles[key].deleted:
                return Deed("delete", self.reachable().index(key))
            if story.tags:
                return Deed("dereference", self.held().index(key))
        return None

    def _unraisable(self, args: Any) -> None:
        self.log.append(("unraisable", shape(args.exc_value)))

    def create(self, parent: int | None, contexts: tuple[Callbacks, ...]) -> object:
        """Create an object; its kind follows from its key."""
        key = self.new_key(parent)
        above = None if parent is None else self.handles[parent]
        first = contexts[0] if contexts else SILENT
        handle = _translated(lambda: self._make(key, above, first))
        self.handles[key] = handle
        self.stories[key].reachable = True
        for index, pair in enumerate(contexts[1:], 1):
            self._add_context(key, index, pair)
        return OK

    def _make(self, key: int, parent: membuf.Object | None, pair: Callbacks) -> membuf.Object:
        hooks: dict[str, Any] = {
            "parent": parent,
            "on_cleanup": self._callback("cleanup", key, 0, pair.on_cleanup),
            "on_destroy": self._callback("destroy", key, 0, pair.on_destroy),
        }
        if key % 4 == 0:
            return membuf.Object(f"object {key}", **hooks)
        if key % 4 == 3:
            return membuf.Memory.preallocated(bytearray(pattern(key, SIZE)), **hooks)
        memory = self.lookaside.allocate(**hooks) if key % 4 == 2 else membuf.Memory(SIZE, **hooks)
        memory.copy_from(pattern(key, SIZE))
        return memory

    def _callback(
        self, phase: str, key: int, index: int, program: Program
    ) -> Callable[[membuf.Object], None]:
        def call(handle: membuf.Object) -> None:
            self.handles[key] = handle
            try:
                self.run(phase, key, index, program)
            finally:
                if not self.stories[key].reachable:
                    del self.handles[key]

        return call

    def delete(self, key: int) -> object:
        """Delete the object."""
        _translated(self.handles[key].delete)
        return OK

    def drop(self, key: int) -> object:
        """Drop the only handle."""
        self.stories[key].reachable = False
        del self.handles[key]
        return OK

    def reference(self, key: int, tag: int) -> None:
        """Take a reference."""
        _translated(lambda: self.handles[key].reference(tag))

    def dereference(self, key: int, tag: int) -> None:
        """Drop a reference; whatever else than a deleted object refuses, refuses for want of it."""
        try:
            _translated(lambda: self.handles[key].dereference(tag))
        except membuf.MembufError:
            raise RefusedError(tree.NO_REFERENCE) from None

    def add_context(self, key: int, callbacks: Callbacks) -> object:
        """Append a context."""
        count = self.contexts_of(key)
        _translated(lambda: self._add_context(key, count, callbacks))
        return OK

    def contexts_of(self, key: int) -> int:
        """How many contexts an object has, its own included."""
        handle = self.handles[key]
        return 1 + sum(handle.get_context(made) is not None for made in self.types)

    def _add_context(self, key: int, index: int, pair: Callbacks) -> None:
        while len(self.types) < index:
            self.types.append(type(f"Context{len(self.types)}", (), {}))
        self.handles[key].add_context(
            self.types[index - 1],
            on_cleanup=self._callback("cleanup", key, index, pair.on_cleanup),
            on_destroy=self._callback("destroy", key, index, pair.on_destroy),
        )

    def is_memory(self, key: int) -> bool:
        """Whether the object has bytes."""
        return isinstance(self.handles[key], membuf.Memory)

    def view(self, key: int) -> memoryview:
        """Open a view on a memory object."""
        return memoryview(self.handles[key])

    def read(self, key: int) -> object:
        """Read the bytes of a memory object; of a plain object, any property stands in."""
        handle = self.handles[key]
        if isinstance(handle, membuf.Memory):
            return _translated(lambda: bytes(handle.buffer))
        _translated(lambda: handle.reference_count)
        return pattern(key, SIZE)

    def inspect(self, key: int) -> object:
        """Ask the object for its state."""
        handle = self.handles[key]
        deleted = handle.deleted
        try:
            count, parent = handle.reference_count, handle.parent
            children = None if deleted else tuple(map(self._key_of, handle.children))
        except membuf.ObjectDeletedError:
            return (deleted, tree.DELETED)
        return (deleted, None if parent is None else self._key_of(parent), children, count)

    def _key_of(self, handle: membuf.Object) -> int | str:
        keys = (key for key, known in self.handles.items() if known is handle)
        return self.relative(next(keys, -1))


def _translated(call: Callable[[], Any]) -> Any:
    """Do a call; a refusal that the model knows becomes the model's own."""
    try:
        return call()
    except membuf.MembufError as error:
        for kind, reason in REFUSALS:
            if isinstance(error, kind):
                raise RefusedError(reason) from None
        raise

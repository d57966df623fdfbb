"""Collections: ordered sets of objects, each held by a reference while it is in one."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, TypeVar

from membuf._native import Object
from membuf.base.errors import ObjectDeletedError, from_status
from membuf.base.integers import exact_index
from membuf.base.status import STATUS_NOT_FOUND, STATUS_UNSUCCESSFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Context = TypeVar("_Context")

TAG: Final = "collection"
"""The tag of the references that collections take."""


class Collection(Object):
    """Objects in the order in which they were added; the same one may be there more than once.

    Adding takes a reference, removing drops it. So deleting a member cleans it up at once and
    destroys it when it is removed. Deleting the collection deletes none of its members: their
    references are dropped after the collection's own destroy callbacks. It is a sequence: `len`,
    an index, `in` (by identity) and iteration work; one index can be deleted.

    Args:
        name: for reports.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.

    Source: WdfCollectionCreate and its page "Framework object collections".

    >>> import membuf
    >>> idle = Collection()
    >>> page = membuf.Memory(4096)
    >>> idle.add(page)
    >>> len(idle), idle.first is page, page.reference_count
    (1, True, 2)
    >>> idle.delete()
    >>> page.deleted, page.reference_count
    (False, 1)
    """

    __slots__ = ("_closed", "_lock", "_members", "_turns")

    def __init__(
        self,
        name: str | None = None,
        *,
        parent: Object | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._members: list[Object] = []
        self._closed = False
        self._turns = 0
        super().__init__(name, parent=parent, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self._release_last()

    def add_context(
        self,
        type: Callable[[], _Context],
        *,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> _Context:
        """Give it a context of a type, as any object."""
        made = super().add_context(type, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self._release_last()
        return made

    def _release_last(self) -> None:
        """Let the members go in the last of the destroy callbacks, which run in the order added."""
        self._turns += 1
        release = partial(Collection._release, turn=self._turns)
        super().add_context(partial(object), on_destroy=release)

    def _release(self, turn: int) -> None:
        if turn != self._turns:
            return
        with self._lock:
            self._closed = True
            members, self._members = self._members, []
        errors: list[BaseException] = []
        for member in members:
            try:
                member.dereference(TAG)
            except BaseException as error:  # noqa: BLE001 - the other members must be let go first
                errors.append(error)
        if errors:
            raise BaseExceptionGroup(f"the last references of members of {self!r}", errors)

    # ---- changing -------------------------------------------------------------------------------

    def add(self, item: Object) -> None:
        """Append an object and take a reference on it.

        Raises:
            TypeError: not an object.
            ObjectDeletedError: the object or the collection is gone.
            MembufError: UNSUCCESSFUL, there is no memory for the entry.

        Source: WdfCollectionAdd.

        >>> twice = Collection()
        >>> lone = Object()
        >>> twice.add(lone)
        >>> twice.add(lone)
        >>> lone.reference_count
        3
        """
        if not isinstance(item, Object):
            raise TypeError(f"a collection holds membuf objects; got {type(item).__name__}")
        item.reference(TAG)
        try:
            with self._lock:
                self._check_alive("add to")
                self._members.append(item)
        except MemoryError as error:
            item.dereference(TAG)
            message = f"no memory for an entry of {self!r}; it is unchanged"
            raise from_status(STATUS_UNSUCCESSFUL, message) from error
        except ObjectDeletedError:
            item.dereference(TAG)
            raise

    def remove(self, item: Object) -> None:
        """Remove the first entry of an object, and drop that entry's reference.

        Raises:
            MembufError: NOT_FOUND, it is not in the collection.
            ObjectDeletedError: the collection is gone.
            ExceptionGroup: the reference was the last one, and destroy callbacks raised.

        Source: WdfCollectionRemove.

        >>> Collection().remove(Object())
        Traceback (most recent call last):
        ...
        membuf.MembufError: <membuf.Object at ... is not in <membuf.Collection at ...
        """
        with self._lock:
            self._check_alive("remove from")
            position = next((i for i, have in enumerate(self._members) if have is item), None)
            if position is not None:
                del self._members[position]
        if position is None:
            raise from_status(STATUS_NOT_FOUND, f"{item!r} is not in {self!r}")
        item.dereference(TAG)

    def __delitem__(self, index: SupportsIndex) -> None:
        """Remove the entry of an index, and drop its reference.

        Raises:
            IndexError: there is no such entry.

        Source: WdfCollectionRemoveItem.
        """
        number = exact_index(index, "index")
        with self._lock:
            self._check_alive("remove from")
            item = self._members[number]
            del self._members[number]
        item.dereference(TAG)

    # ---- looking --------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many entries there are.

        Source: WdfCollectionGetCount.
        """
        return len(self._read())

    def __getitem__(self, index: SupportsIndex) -> Object:
        """The object of an index; no reference is taken.

        Raises:
            IndexError: there is no such entry.

        Source: WdfCollectionGetItem.
        """
        return self._read()[exact_index(index, "index")]

    def __iter__(self) -> Iterator[Object]:
        """The objects that are there now, in order."""
        return iter(self._read().copy())

    def __contains__(self, item: object) -> bool:
        """Whether an object is there, by its identity."""
        return any(have is item for have in self._read())

    @property
    def first(self) -> Object | None:
        """The first object, or None where there is none; no reference is taken.

        Source: WdfCollectionGetFirstItem.
        """
        return next(iter(self._read()), None)

    @property
    def last(self) -> Object | None:
        """The last object, or None where there is none; no reference is taken.

        Source: WdfCollectionGetLastItem.
        """
        return next(reversed(self._read()), None)

    def _read(self) -> list[Object]:
        self._check_alive("read")
        return self._members

    def _check_alive(self, what: str) -> None:
        if self._closed:
            raise ObjectDeletedError(f"cannot {what} {self!r}: it was deleted")

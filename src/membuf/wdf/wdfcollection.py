"""wdfcollection.h: ordered sets of objects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, SupportsIndex

from membuf.base.errors import MembufError
from membuf.base.status import STATUS_NOT_FOUND, STATUS_SUCCESS, Status
from membuf.wdf._arguments import handle, ulong
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import debug_break, status_of
from membuf.wdf._create import create, parent_of
from membuf.wdf._driver import enter, need_driver
from membuf.wdf.wdftypes import WDFCOLLECTION, WDFOBJECT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "WdfCollectionAdd",
    "WdfCollectionCreate",
    "WdfCollectionGetCount",
    "WdfCollectionGetFirstItem",
    "WdfCollectionGetItem",
    "WdfCollectionGetLastItem",
    "WdfCollectionRemove",
    "WdfCollectionRemoveItem",
]


def WdfCollectionCreate(
    CollectionAttributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFCOLLECTION | None]:
    """Create an empty collection.

    Args:
        CollectionAttributes: how, or None for the defaults; the default parent is the driver.

    Returns:
        The status and the collection.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, idle = WdfCollectionCreate(None)
    ...     WdfCollectionGetCount(idle)
    0
    """
    driver = need_driver("WdfCollectionCreate")
    check_parent_handle(CollectionAttributes)
    status = validate(CollectionAttributes)
    if status != STATUS_SUCCESS:
        return status, None
    make = partial(WDFCOLLECTION, parent=parent_of(driver, CollectionAttributes))
    return create(driver, CollectionAttributes, make)


def WdfCollectionGetCount(Collection: WDFCOLLECTION | None) -> int:
    """How many entries there are.

    Raises:
        BugCheck: not a live collection handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionGetCount(idle)
    1
    """
    enter()
    return len(handle(Collection, WDFCOLLECTION, "Collection"))


def WdfCollectionAdd(Collection: WDFCOLLECTION | None, Object: WDFOBJECT | None) -> Status:
    """Append an object and take a reference on it; it may be there more than once.

    Returns:
        SUCCESS, or UNSUCCESSFUL where there is no memory for the entry.

    Raises:
        BugCheck: not a live collection handle, or not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionGetFirstItem(idle) is d
    True
    """
    enter()
    collection = handle(Collection, WDFCOLLECTION, "Collection")
    item = handle(Object, WDFOBJECT, "Object")
    try:
        collection.add(item)
    except MembufError as error:
        return status_of(error, item)
    return STATUS_SUCCESS


def WdfCollectionRemove(Collection: WDFCOLLECTION | None, Item: WDFOBJECT | None) -> None:
    """Remove the first entry of an object; one that is not there is only logged.

    Raises:
        BugCheck: not a live collection handle, or not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     WdfCollectionRemove(idle, d)
    """
    enter()
    collection = handle(Collection, WDFCOLLECTION, "Collection")
    item = handle(Item, WDFOBJECT, "Item")
    try:
        collection.remove(item)
    except MembufError as error:
        if status_of(error, item) != STATUS_NOT_FOUND:
            raise
        debug_break("WdfCollectionRemove ignored: %s", error)
    enter()


def WdfCollectionRemoveItem(Collection: WDFCOLLECTION | None, Index: SupportsIndex) -> None:
    """Remove the entry of an index; an index without one is only logged.

    Raises:
        BugCheck: not a live collection handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionRemoveItem(idle, 0)
    ...     WdfCollectionGetCount(idle)
    0
    """
    enter()
    collection = handle(Collection, WDFCOLLECTION, "Collection")
    try:
        del collection[ulong(Index, "Index")]
    except IndexError:
        debug_break("WdfCollectionRemoveItem ignored: %r has no entry %s", collection, Index)
    enter()


def WdfCollectionGetItem(
    Collection: WDFCOLLECTION | None, Index: SupportsIndex
) -> WDFOBJECT | None:
    """The object of an index, or None where there is none; no reference is taken.

    Raises:
        BugCheck: not a live collection handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionGetItem(idle, 0) is d, WdfCollectionGetItem(idle, 1)
    (True, None)
    """
    index = ulong(Index, "Index")
    return _look(Collection, lambda collection: collection[index])


def WdfCollectionGetFirstItem(Collection: WDFCOLLECTION | None) -> WDFOBJECT | None:
    """The first object, or None where there is none; no reference is taken.

    Raises:
        BugCheck: not a live collection handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionGetFirstItem(idle) is d
    True
    """
    return _look(Collection, lambda collection: collection.first)


def WdfCollectionGetLastItem(Collection: WDFCOLLECTION | None) -> WDFOBJECT | None:
    """The last object, or None where there is none; no reference is taken.

    Raises:
        BugCheck: not a live collection handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, idle = WdfCollectionCreate(None)
    ...     status = WdfCollectionAdd(idle, d)
    ...     WdfCollectionGetLastItem(idle) is d
    True
    """
    return _look(Collection, lambda collection: collection.last)


def _look(
    candidate: WDFCOLLECTION | None, get: Callable[[WDFCOLLECTION], WDFOBJECT | None]
) -> WDFOBJECT | None:
    enter()
    try:
        return get(handle(candidate, WDFCOLLECTION, "Collection"))
    except IndexError:
        return None

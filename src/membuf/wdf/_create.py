"""Making an object from attributes: what every create call of the framework has in common."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from membuf._native import Object
from membuf.base.errors import DeletePendingError, MembufError, ObjectDeletedError
from membuf.base.status import (
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.request import Device
from membuf.wdf._bugcheck import status_of
from membuf.wdf._contexts import ContextSpace, attach, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES
    from membuf.wdf._driver import Driver

Made = TypeVar("Made", bound=Object)


def create(
    driver: Driver, attributes: WDF_OBJECT_ATTRIBUTES | None, make: Callable[..., Made]
) -> tuple[Status, Made | None]:
    """Make an object with the callbacks and the context that attributes ask for.

    Args:
        driver: whose callbacks these are.
        attributes: already validated.
        make: takes `on_cleanup` and `on_destroy`.

    Returns:
        The status and the object; where it is None no callback has run, and none will.
    """
    status, space = prepare(attributes)
    if status != STATUS_SUCCESS:
        return STATUS_INSUFFICIENT_RESOURCES, None
    on_cleanup, on_destroy = callbacks(driver, attributes)
    try:
        made = make(on_cleanup=on_cleanup, on_destroy=on_destroy)
    except MembufError as error:
        return status_of(error), None
    give_context(made, attributes, space)
    return STATUS_SUCCESS, made


def create_then_dress(
    driver: Driver, attributes: WDF_OBJECT_ATTRIBUTES | None, make: Callable[[], Made]
) -> tuple[Status, Made | None]:
    """The same for an object whose type has callbacks of its own, and takes none of a caller.

    Args:
        driver: whose callbacks these are.
        attributes: already validated.
        make: takes nothing.
    """
    status, space = prepare(attributes)
    if status != STATUS_SUCCESS:
        return STATUS_INSUFFICIENT_RESOURCES, None
    try:
        made = make()
    except MembufError as error:
        return status_of(error), None
    dress(driver, attributes, space, made)
    return STATUS_SUCCESS, made


def dress(
    driver: Driver,
    attributes: WDF_OBJECT_ATTRIBUTES | None,
    space: ContextSpace | None,
    made: Object,
) -> None:
    """Give an object the callbacks of attributes, and the space prepared for its context."""
    on_cleanup, on_destroy = callbacks(driver, attributes)
    if attributes is not None and attributes.ContextTypeInfo is not None and space is not None:
        attach(made, attributes.ContextTypeInfo, space, on_cleanup, on_destroy)
    elif on_cleanup is not None or on_destroy is not None:
        made.add_context(_Callbacks, on_cleanup=on_cleanup, on_destroy=on_destroy)


class _Callbacks:
    """The type under which an object carries callbacks without a context."""


def parent_of(driver: Driver, attributes: WDF_OBJECT_ATTRIBUTES | None) -> Object:
    """The parent that attributes name, or the driver."""
    named = None if attributes is None else attributes.ParentObject
    return driver if named is None else named


def check_devices(*attributes: WDF_OBJECT_ATTRIBUTES | None) -> Status:
    """What a call answers whose attributes name objects below different devices."""
    parents = [given.ParentObject for given in attributes if given is not None]
    devices = {id(found) for parent in parents if (found := _device_above(parent)) is not None}
    return STATUS_SUCCESS if len(devices) < 2 else STATUS_INVALID_PARAMETER


def _device_above(thing: Object | None) -> Device | None:
    while thing is not None and not isinstance(thing, Device):
        thing = thing.parent
    return thing


def callbacks(driver: Driver | None, attributes: WDF_OBJECT_ATTRIBUTES | None) -> tuple[Any, Any]:
    """The cleanup and destroy callbacks of attributes, set to run under the driver."""
    if attributes is None:
        return None, None
    cleanup, destroy = attributes.EvtCleanupCallback, attributes.EvtDestroyCallback
    if driver is None:
        return cleanup, destroy
    return (
        driver.callback("EvtCleanupCallback", cleanup),
        driver.callback("EvtDestroyCallback", destroy),
    )


def give_context(
    owner: Object, attributes: WDF_OBJECT_ATTRIBUTES | None, space: ContextSpace | None
) -> None:
    """Give a new object the space prepared for its first context."""
    if attributes is None or attributes.ContextTypeInfo is None or space is None:
        return
    # Another thread may delete the new object's parent before this: the object was made first.
    with contextlib.suppress(DeletePendingError, ObjectDeletedError):
        attach(owner, attributes.ContextTypeInfo, space)

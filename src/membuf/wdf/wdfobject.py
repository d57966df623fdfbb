"""wdfobject.h: objects, their attributes, references and contexts."""

from __future__ import annotations

import ctypes
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, SupportsIndex

from membuf.base.errors import MembufError
from membuf.base.status import (
    STATUS_CANNOT_DELETE,
    STATUS_NOT_FOUND,
    STATUS_OBJECT_NAME_EXISTS,
    STATUS_OBJECT_NAME_INVALID,
    STATUS_SUCCESS,
    Status,
)
from membuf.wdf._arguments import handle, handle_not_null, handle_of_any_age, not_null, ulong
from membuf.wdf._attributes import (
    WDF_EXECUTION_LEVEL,
    WDF_OBJECT_ATTRIBUTES,
    WDF_OBJECT_CONTEXT_TYPE_INFO,
    WDF_SYNCHRONIZATION_SCOPE,
    check_parent_handle,
    validate,
)
from membuf.wdf._bugcheck import debug_break, perform, status_of, violation
from membuf.wdf._callback_locks import lock_of
from membuf.wdf._contexts import attach, prepare, space_of
from membuf.wdf._create import callbacks, create, parent_of
from membuf.wdf._driver import enter, need_driver
from membuf.wdf._references import drop_reference, take_reference
from membuf.wdf.wdfbugcodes import (
    WDF_INVALID_HANDLE,
    WDF_INVALID_LOCK_OPERATION,
    WDF_OBJECT_ERROR,
)
from membuf.wdf.wdftypes import WDFOBJECT, WDFWAITLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = [
    "WDF_DECLARE_CONTEXT_TYPE",
    "WDF_DECLARE_CONTEXT_TYPE_WITH_NAME",
    "WDF_EXECUTION_LEVEL",
    "WDF_GET_CONTEXT_TYPE_INFO",
    "WDF_NO_OBJECT_ATTRIBUTES",
    "WDF_OBJECT_ATTRIBUTES",
    "WDF_OBJECT_ATTRIBUTES_INIT",
    "WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE",
    "WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE",
    "WDF_OBJECT_CONTEXT_TYPE_INFO",
    "WDF_SYNCHRONIZATION_SCOPE",
    "WdfExecutionLevelDispatch",
    "WdfExecutionLevelInheritFromParent",
    "WdfExecutionLevelInvalid",
    "WdfExecutionLevelPassive",
    "WdfObjectAcquireLock",
    "WdfObjectAllocateContext",
    "WdfObjectContextGetObject",
    "WdfObjectCreate",
    "WdfObjectDelete",
    "WdfObjectDereference",
    "WdfObjectDereferenceActual",
    "WdfObjectDereferenceWithTag",
    "WdfObjectGetTypedContext",
    "WdfObjectQuery",
    "WdfObjectReference",
    "WdfObjectReferenceActual",
    "WdfObjectReferenceWithTag",
    "WdfObjectReleaseLock",
    "WdfSynchronizationScopeDevice",
    "WdfSynchronizationScopeInheritFromParent",
    "WdfSynchronizationScopeInvalid",
    "WdfSynchronizationScopeNone",
    "WdfSynchronizationScopeQueue",
]

WDF_NO_OBJECT_ATTRIBUTES: Final = None

WdfExecutionLevelInvalid = WDF_EXECUTION_LEVEL.WdfExecutionLevelInvalid
WdfExecutionLevelInheritFromParent = WDF_EXECUTION_LEVEL.WdfExecutionLevelInheritFromParent
WdfExecutionLevelPassive = WDF_EXECUTION_LEVEL.WdfExecutionLevelPassive
WdfExecutionLevelDispatch = WDF_EXECUTION_LEVEL.WdfExecutionLevelDispatch

WdfSynchronizationScopeInvalid = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeInvalid
WdfSynchronizationScopeInheritFromParent = (
    WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeInheritFromParent
)
WdfSynchronizationScopeDevice = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeDevice
WdfSynchronizationScopeQueue = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeQueue
WdfSynchronizationScopeNone = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeNone


# ---- attributes and context types ----------------------------------------------------------------


def WDF_OBJECT_ATTRIBUTES_INIT(Attributes: WDF_OBJECT_ATTRIBUTES) -> None:
    """Zero the structure, set its size, and let both enumerations inherit.

    >>> attributes = WDF_OBJECT_ATTRIBUTES()
    >>> WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    >>> attributes.Size, attributes.ExecutionLevel.name
    (56, 'WdfExecutionLevelInheritFromParent')
    """
    for member in fields(Attributes):
        setattr(Attributes, member.name, member.default)
    Attributes.Size = WDF_OBJECT_ATTRIBUTES.SIZEOF
    Attributes.ExecutionLevel = WdfExecutionLevelInheritFromParent
    Attributes.SynchronizationScope = WdfSynchronizationScopeInheritFromParent


def WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(
    Attributes: WDF_OBJECT_ATTRIBUTES, ContextType: ContextType
) -> None:
    """Give the object a context of a declared type, or of a type's record.

    >>> info = WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    >>> attributes = WDF_OBJECT_ATTRIBUTES()
    >>> WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(attributes, info)
    >>> attributes.ContextTypeInfo is info
    True
    """
    Attributes.ContextTypeInfo = WDF_GET_CONTEXT_TYPE_INFO(ContextType).unique()


def WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(
    Attributes: WDF_OBJECT_ATTRIBUTES, ContextType: ContextType
) -> None:
    """Both of the macros above.

    >>> info = WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    >>> attributes = WDF_OBJECT_ATTRIBUTES()
    >>> WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, info)
    >>> attributes.Size, attributes.ContextTypeInfo.ContextName
    (56, 'COUNTERS')
    """
    WDF_OBJECT_ATTRIBUTES_INIT(Attributes)
    WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(Attributes, ContextType)


def WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(
    ContextType: ContextType, CastingFunction: str
) -> Callable[[WDFOBJECT], Any]:
    """Declare a context type, and make the function that reads it from a handle.

    Args:
        ContextType: a `ctypes.Structure` subclass, or a WDF_OBJECT_CONTEXT_TYPE_INFO whose context
            is plain bytes.
        CastingFunction: the function's name.

    Returns:
        The function: `GetMyContext(handle)` gives the context, or None where the object has none.

    >>> class COUNTERS(ctypes.Structure):
    ...     _fields_ = [("reads", ctypes.c_uint64)]
    >>> GetCounters = WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(COUNTERS, "GetCounters")
    >>> WDF_GET_CONTEXT_TYPE_INFO(COUNTERS).ContextSize, GetCounters.__name__
    (8, 'GetCounters')
    """
    WDF_GET_CONTEXT_TYPE_INFO(ContextType)

    def casting_function(Handle: WDFOBJECT) -> Any:
        return WdfObjectGetTypedContext(Handle, ContextType)

    casting_function.__name__ = casting_function.__qualname__ = CastingFunction
    return casting_function


def WDF_DECLARE_CONTEXT_TYPE(ContextType: ContextType) -> Callable[[WDFOBJECT], Any]:
    """Declare a context type; the function that reads it is named after it.

    >>> class COUNTERS(ctypes.Structure):
    ...     _fields_ = [("reads", ctypes.c_uint64)]
    >>> WDF_DECLARE_CONTEXT_TYPE(COUNTERS).__name__
    'WdfObjectGet_COUNTERS'
    """
    name = WDF_GET_CONTEXT_TYPE_INFO(ContextType).ContextName
    return WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(ContextType, f"WdfObjectGet_{name}")


def WDF_GET_CONTEXT_TYPE_INFO(ContextType: ContextType) -> WDF_OBJECT_CONTEXT_TYPE_INFO:
    """The record of a context type.

    Raises:
        TypeError: neither a `ctypes.Structure` subclass nor a record.

    >>> class COUNTERS(ctypes.Structure):
    ...     _fields_ = [("reads", ctypes.c_uint64)]
    >>> WDF_GET_CONTEXT_TYPE_INFO(COUNTERS).ContextName
    'COUNTERS'
    """
    if isinstance(ContextType, WDF_OBJECT_CONTEXT_TYPE_INFO):
        return ContextType
    structure = _structure(ContextType)
    found: WDF_OBJECT_CONTEXT_TYPE_INFO | None = vars(structure).get(_RECORD)
    if found is None:
        found = WDF_OBJECT_CONTEXT_TYPE_INFO(
            ContextName=structure.__name__,
            ContextSize=ctypes.sizeof(structure),
            overlay=structure,
        )
        setattr(structure, _RECORD, found)
    return found


def _structure(candidate: object) -> type[ctypes.Structure]:
    if isinstance(candidate, type) and issubclass(candidate, ctypes.Structure):
        return candidate
    raise TypeError(
        "a context type is a ctypes.Structure subclass or a WDF_OBJECT_CONTEXT_TYPE_INFO; "
        f"got {candidate!r}"
    )


ContextType = type[ctypes.Structure] | WDF_OBJECT_CONTEXT_TYPE_INFO
"""What the macros take for the name of a C type."""

_RECORD = "membuf_type_info"
"""The attribute under which a declared structure carries its record."""


# ---- objects -------------------------------------------------------------------------------------


def WdfObjectCreate(Attributes: WDF_OBJECT_ATTRIBUTES | None) -> tuple[Status, WDFOBJECT | None]:
    """Create a general object.

    Args:
        Attributes: how, or None for the defaults; the default parent is the driver.

    Returns:
        The status and the object.

    Raises:
        BugCheck: no driver, or a parent handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    >>> status
    STATUS_SUCCESS (0x00000000)
    """
    driver = need_driver("WdfObjectCreate")
    check_parent_handle(Attributes)
    status = validate(Attributes, level_allowed=True)
    if status != STATUS_SUCCESS:
        return status, None
    make = partial(WDFOBJECT, parent=parent_of(driver, Attributes))
    return create(driver, Attributes, make)


def WdfObjectDelete(Object: WDFOBJECT | None) -> None:
    """Delete an object and what it owns; while references are held it is only cleaned up.

    Raises:
        BugCheck: not a live handle; or what a callback of the deletion ran into.
        MembufError: CANNOT_DELETE for an object that the framework owns; a strict driver ignores
            the call, as the framework does.
        ExceptionGroup: what callbacks raised.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    ...     WdfObjectDelete(thing)
    ...     thing.deleted
    True
    """
    driver = enter()
    victim = handle(Object, WDFOBJECT, "Object")
    try:
        victim.delete()
    except MembufError as error:
        if status_of(error) != STATUS_CANNOT_DELETE or driver is None or not driver.strict:
            raise
        debug_break("WdfObjectDelete of %r ignored: %s", victim, error)
    enter()


def WdfObjectQuery(
    Object: WDFOBJECT | None,
    Guid: object,
    QueryBufferLength: SupportsIndex,
    QueryBuffer: Buffer | None,
) -> Status:
    """Ask for an extension of the framework; it has none: always NOT_FOUND.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     WdfObjectQuery(d, None, 0, None)
    STATUS_NOT_FOUND (0xC0000225)
    """
    enter()
    handle(Object, WDFOBJECT, "Object")
    ulong(QueryBufferLength, "QueryBufferLength")
    return STATUS_NOT_FOUND


# ---- references ----------------------------------------------------------------------------------


def WdfObjectReference(Handle: WDFOBJECT | None) -> None:
    """Hold an object: its destroy waits for the matching WdfObjectDereference.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    ...     WdfObjectReference(thing)
    ...     WdfObjectDelete(thing)
    ...     thing.reference_count
    ...     WdfObjectDereference(thing)
    1
    """
    WdfObjectReferenceWithTag(Handle, None)


def WdfObjectReferenceWithTag(Handle: WDFOBJECT | None, Tag: object) -> None:
    """Hold an object under a tag, matched by value.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    ...     WdfObjectReferenceWithTag(thing, 0x41)
    ...     WdfObjectDereferenceWithTag(thing, 0x41)
    ...     thing.reference_count
    1
    """
    enter()
    take_reference(handle_not_null(Handle, "Handle"), Tag)


def WdfObjectReferenceActual(
    Handle: WDFOBJECT | None, Tag: object, Line: SupportsIndex, File: str
) -> None:
    """What the two macros above expand to; membuf records the call's site by itself.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     WdfObjectReferenceActual(d, None, 12, "sample.c")
    ...     WdfObjectDereferenceActual(d, None, 13, "sample.c")
    """
    WdfObjectReferenceWithTag(Handle, Tag)


def WdfObjectDereference(Handle: WDFOBJECT | None) -> None:
    """Drop a reference; the last one of a deleted object destroys it before this returns.

    Raises:
        BugCheck: WDF_OBJECT_ERROR after the callbacks ran, where nobody deleted the object and no
            reference was taken; not a live handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    ...     WdfObjectDereference(thing)
    Traceback (most recent call last):
    ...
    membuf.BugCheck: WDF_VIOLATION (0x10D, 0x7, ...
    """
    WdfObjectDereferenceWithTag(Handle, None)


def WdfObjectDereferenceWithTag(Handle: WDFOBJECT | None, Tag: object) -> None:
    """Drop a reference taken under a tag.

    A tag that no reference bears is reported under the verifier; the count drops all the same.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(None)
    ...     WdfObjectReferenceWithTag(thing, 0x41)
    ...     WdfObjectDereferenceWithTag(thing, 0x42)
    ...     thing.reference_count
    1
    """
    driver = enter()
    held = handle_not_null(Handle, "Handle")
    if not drop_reference(held, Tag, tracking=driver is not None and driver.verifier):
        _end_undeleted(held)
    enter()


def _end_undeleted(held: WDFOBJECT) -> NoReturn:
    try:
        held.delete()
    finally:  # whatever its callbacks raise, this is the greater mistake
        reason = f"the last reference on {held!r} is gone, and nobody deleted it"
        violation(WDF_OBJECT_ERROR, held, reason=reason)


def WdfObjectDereferenceActual(
    Handle: WDFOBJECT | None, Tag: object, Line: SupportsIndex, File: str
) -> None:
    """What the two macros above expand to.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample") as d:
    ...     WdfObjectReferenceActual(d, None, 12, "sample.c")
    ...     WdfObjectDereferenceActual(d, None, 13, "sample.c")
    """
    WdfObjectDereferenceWithTag(Handle, Tag)


# ---- contexts ------------------------------------------------------------------------------------


def WdfObjectAllocateContext(
    Handle: WDFOBJECT | None, ContextAttributes: WDF_OBJECT_ATTRIBUTES | None
) -> tuple[Status, Any]:
    """Add a context of a further type, with callbacks of its own.

    Returns:
        The status and the context; OBJECT_NAME_EXISTS and the context that is there where the
        type is present, whose callbacks stay.

    >>> import membuf.wdf
    >>> info = WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    >>> attributes = WDF_OBJECT_ATTRIBUTES()
    >>> WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, info)
    >>> with membuf.wdf.driver("Sample") as d:
    ...     status, context = WdfObjectAllocateContext(d, attributes)
    ...     len(context), WdfObjectAllocateContext(d, attributes)[0]
    (16, STATUS_OBJECT_NAME_EXISTS (0x40000000))
    """
    driver = enter()
    owner = handle_not_null(Handle, "Handle")
    status = validate(ContextAttributes, parent_allowed=False, required=True)
    if status != STATUS_SUCCESS or ContextAttributes is None:
        return status, None
    info = ContextAttributes.ContextTypeInfo
    if info is None:
        return STATUS_OBJECT_NAME_INVALID, None
    status, space = prepare(ContextAttributes)
    if space is None:
        return status, None
    try:
        found = attach(owner, info, space, *callbacks(driver, ContextAttributes))
    except MembufError as error:
        return status_of(error), None
    return (STATUS_SUCCESS if found is space else STATUS_OBJECT_NAME_EXISTS), found.pointer


def WdfObjectGetTypedContext(Handle: WDFOBJECT | None, ContextType: ContextType) -> Any:
    """The object's context of a type, or None where it has none.

    The one call that is legal inside the object's destroy callback.

    >>> import membuf.wdf
    >>> info = WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    >>> with membuf.wdf.driver("Sample") as d:
    ...     WdfObjectGetTypedContext(d, info) is None
    True
    """
    enter()
    owner = handle_of_any_age(not_null(Handle, "Handle"), WDFOBJECT, "Handle")
    try:
        found = owner.get_context(WDF_GET_CONTEXT_TYPE_INFO(ContextType).unique())
    except MembufError as error:
        status_of(error, owner)
        raise
    return None if found is None else found.pointer


def WdfObjectContextGetObject(ContextPointer: object) -> WDFOBJECT:
    """The object that a context belongs to.

    Raises:
        BugCheck: WDF_INVALID_HANDLE for what is no context.

    >>> import membuf.wdf
    >>> info = WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    >>> attributes = WDF_OBJECT_ATTRIBUTES()
    >>> WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, info)
    >>> with membuf.wdf.driver("Sample"):
    ...     status, thing = WdfObjectCreate(attributes)
    ...     WdfObjectContextGetObject(WdfObjectGetTypedContext(thing, info)) is thing
    True
    """
    enter()
    space = space_of(ContextPointer)
    if space is None or space.owner is None:
        violation(
            WDF_INVALID_HANDLE, ContextPointer, reason="ContextPointer is no object's context"
        )
    return space.owner


# ---- locks ---------------------------------------------------------------------------------------


def WdfObjectAcquireLock(Object: WDFOBJECT | None) -> None:
    """Acquire the callback lock of a device, queue or file object.

    The framework holds it around callbacks where SynchronizationScope says so.

    Raises:
        BugCheck: WDF_INVALID_LOCK_OPERATION for an object of another kind, WDF_RECURSIVE_LOCK
            where this thread holds it already; not a live handle.

    >>> import membuf
    >>> device = membuf.Device("acquire-lock-doc")
    >>> WdfObjectAcquireLock(device)
    >>> WdfObjectReleaseLock(device)
    """
    perform(_lock(Object).acquire)


def WdfObjectReleaseLock(Object: WDFOBJECT | None) -> None:
    """Release the callback lock of a device, queue or file object.

    Raises:
        BugCheck: WDF_INVALID_LOCK_OPERATION for an object of another kind, and where this thread
            does not hold it; not a live handle.

    >>> import membuf
    >>> device = membuf.Device("release-lock-doc")
    >>> WdfObjectAcquireLock(device)
    >>> WdfObjectReleaseLock(device)
    """
    perform(_lock(Object).release)


def _lock(candidate: WDFOBJECT | None) -> WDFWAITLOCK:
    enter()
    owner = handle(candidate, WDFOBJECT, "Object")
    lock = lock_of(owner)
    if lock is None:
        violation(WDF_INVALID_LOCK_OPERATION, owner, reason=f"{owner!r} has no callback lock")
    return lock

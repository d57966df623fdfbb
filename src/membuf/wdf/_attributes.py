"""WDF_OBJECT_ATTRIBUTES, and the one order in which the framework checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

from membuf._native import Object
from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_SUCCESS,
    STATUS_WDF_EXECUTION_LEVEL_INVALID,
    STATUS_WDF_OBJECT_ATTRIBUTES_INVALID,
    STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED,
    STATUS_WDF_PARENT_NOT_SPECIFIED,
    STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID,
    Status,
)
from membuf.wdf._arguments import handle
from membuf.wdf._contexts import ContextSpace, take_prepared

if TYPE_CHECKING:
    from collections.abc import Callable


class WDF_EXECUTION_LEVEL(IntEnum):
    """The highest IRQL at which an object's callbacks may run.

    >>> WDF_EXECUTION_LEVEL.WdfExecutionLevelPassive.value
    2
    """

    WdfExecutionLevelInvalid = 0
    WdfExecutionLevelInheritFromParent = 1
    WdfExecutionLevelPassive = 2
    WdfExecutionLevelDispatch = 3


class WDF_SYNCHRONIZATION_SCOPE(IntEnum):
    """Which of an object's callbacks exclude each other.

    >>> WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeNone.value
    4
    """

    WdfSynchronizationScopeInvalid = 0
    WdfSynchronizationScopeInheritFromParent = 1
    WdfSynchronizationScopeDevice = 2
    WdfSynchronizationScopeQueue = 3
    WdfSynchronizationScopeNone = 4


@dataclass(eq=False, slots=True)
class WDF_OBJECT_CONTEXT_TYPE_INFO:
    """The record of a context type: its identity is the type's (after UniqueType).

    Attributes:
        Size: of this structure; `SIZEOF` unless set otherwise.
        ContextName: the type's name.
        ContextSize: bytes of a context of the type.
        UniqueType: the record that stands for the type, or None for this one.
        EvtDriverGetUniqueContextType: gives the record of a type that another driver owns.

    >>> WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16).Size
    40
    """

    SIZEOF: ClassVar[int] = 40
    SIZEOF_V1_0: ClassVar[int] = 24

    Size: int = SIZEOF
    ContextName: str | None = None
    ContextSize: int = 0
    UniqueType: WDF_OBJECT_CONTEXT_TYPE_INFO | None = None
    EvtDriverGetUniqueContextType: Callable[[], WDF_OBJECT_CONTEXT_TYPE_INFO] | None = None
    overlay: Any = field(default=None, repr=False)

    def unique(self) -> WDF_OBJECT_CONTEXT_TYPE_INFO:
        """The record whose identity is the type's."""
        if self.UniqueType is None and self.EvtDriverGetUniqueContextType is not None:
            self.UniqueType = self.EvtDriverGetUniqueContextType()
        return self.UniqueType or self

    def __call__(self) -> ContextSpace:
        """A context of this type, as `Object.add_context` asks for it."""
        space = take_prepared()
        return ContextSpace(self.ContextSize) if space is None else space


@dataclass(eq=False, slots=True)
class WDF_OBJECT_ATTRIBUTES:
    """How to make an object; zeroed until WDF_OBJECT_ATTRIBUTES_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        EvtCleanupCallback: called with the object when its deletion begins.
        EvtDestroyCallback: called with the object when its last reference is gone.
        ExecutionLevel: a WDF_EXECUTION_LEVEL.
        SynchronizationScope: a WDF_SYNCHRONIZATION_SCOPE.
        ParentObject: a handle, or None for the default parent.
        ContextSizeOverride: bytes of the context, where more than the type's are wanted.
        ContextTypeInfo: the type of the first context.

    >>> WDF_OBJECT_ATTRIBUTES().ExecutionLevel, WDF_OBJECT_ATTRIBUTES.SIZEOF
    (0, 56)
    """

    SIZEOF: ClassVar[int] = 56

    Size: int = 0
    EvtCleanupCallback: Callable[[Any], object] | None = None
    EvtDestroyCallback: Callable[[Any], object] | None = None
    ExecutionLevel: int = 0
    SynchronizationScope: int = 0
    ParentObject: Object | None = None
    ContextSizeOverride: int = 0
    ContextTypeInfo: WDF_OBJECT_CONTEXT_TYPE_INFO | None = None


def check_parent_handle(*candidates: WDF_OBJECT_ATTRIBUTES | None) -> None:
    """A parent that is given must be a live handle, whatever else is wrong.

    Raises:
        BugCheck: WDF_INVALID_HANDLE.
    """
    for attributes in candidates:
        if attributes is not None and attributes.ParentObject is not None:
            handle(attributes.ParentObject, Object, "ParentObject")


def validate(
    attributes: WDF_OBJECT_ATTRIBUTES | None,
    *,
    level_allowed: bool = False,
    scope_allowed: bool = False,
    parent_allowed: bool = True,
    required: bool = False,
) -> Status:
    """What the framework answers to attributes, by the first check that fails.

    Args:
        attributes: what the caller gave; None means the defaults.
        level_allowed: whether the object's type takes an execution level of its own.
        scope_allowed: whether it takes a synchronization scope of its own.
        parent_allowed: whether the caller may choose the parent.
        required: whether the call needs attributes.
    """
    if attributes is None:
        return STATUS_WDF_PARENT_NOT_SPECIFIED if required else STATUS_SUCCESS
    status = _check_sizes(attributes)
    if status != STATUS_SUCCESS:
        return status
    if attributes.ParentObject is not None and not parent_allowed:
        return STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED
    return _check_enumerations(attributes, level_allowed, scope_allowed)


def _check_sizes(attributes: WDF_OBJECT_ATTRIBUTES) -> Status:
    info = attributes.ContextTypeInfo
    if attributes.Size != WDF_OBJECT_ATTRIBUTES.SIZEOF:
        return STATUS_INFO_LENGTH_MISMATCH
    if info is not None and info.Size not in _TYPE_INFO_SIZES:
        return STATUS_INFO_LENGTH_MISMATCH
    if info is not None and info.ContextSize > 0 and info.ContextName is None:
        return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID
    override = attributes.ContextSizeOverride
    if override > 0 and (info is None or override < info.ContextSize):
        return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID
    return STATUS_SUCCESS


def _check_enumerations(
    attributes: WDF_OBJECT_ATTRIBUTES, level_allowed: bool, scope_allowed: bool
) -> Status:
    level, scope = attributes.ExecutionLevel, attributes.SynchronizationScope
    if level not in _LEVELS or scope not in _SCOPES:
        return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID
    if not scope_allowed and scope not in _SCOPES_OF_ALL:
        return STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID
    if not level_allowed and level != WDF_EXECUTION_LEVEL.WdfExecutionLevelInheritFromParent:
        return STATUS_WDF_EXECUTION_LEVEL_INVALID
    return STATUS_SUCCESS


_TYPE_INFO_SIZES: Final = (
    WDF_OBJECT_CONTEXT_TYPE_INFO.SIZEOF,
    WDF_OBJECT_CONTEXT_TYPE_INFO.SIZEOF_V1_0,
)
_LEVELS: Final = frozenset(level for level in WDF_EXECUTION_LEVEL if level)
_SCOPES: Final = frozenset(scope for scope in WDF_SYNCHRONIZATION_SCOPE if scope)
_SCOPES_OF_ALL: Final = (
    WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeInheritFromParent,
    WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeNone,
)

"""The locks of devices, queues and file objects: what automatic synchronization holds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from membuf.memory import WaitLock
from membuf.request import Device, FileObject, Queue
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, WDF_SYNCHRONIZATION_SCOPE

if TYPE_CHECKING:
    from membuf._native import Object

_INHERIT = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeInheritFromParent
_DEVICE = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeDevice
_QUEUE = WDF_SYNCHRONIZATION_SCOPE.WdfSynchronizationScopeQueue


class _Callbacks:
    """The context under which an object has its callback lock.

    Attributes:
        lock: one thread at a time.
        scope: a WDF_SYNCHRONIZATION_SCOPE.
    """

    def __init__(self) -> None:
        self.lock = WaitLock("callback lock")
        self.scope: int = _INHERIT


_making = threading.Lock()
"""Held while a context is made: two threads may need an object's lock for the first time."""


def _callbacks_of(owner: Object) -> _Callbacks:
    found = owner.get_context(_Callbacks)
    if found is None:
        with _making:
            found = owner.add_context(_Callbacks)
    return found


def set_scope(owner: Object, attributes: WDF_OBJECT_ATTRIBUTES | None) -> None:
    """Remember the scope that the attributes of a driver, device or queue ask for."""
    found = _callbacks_of(owner)
    if attributes is not None:
        found.scope = attributes.SynchronizationScope


def lock_of(owner: Object) -> WaitLock | None:
    """The callback lock of an object, or None where its kind has none."""
    if isinstance(owner, Queue) and _scope_of(owner) == _DEVICE:
        owner = owner.device
    if not isinstance(owner, (Device, Queue, FileObject)):
        return None
    return _callbacks_of(owner).lock


def lock_around(owner: Object) -> WaitLock | None:
    """The lock to be held around a callback of a device or queue; None where none is."""
    scope = _scope_of(owner)
    if scope not in (_DEVICE, _QUEUE) or (scope == _QUEUE and isinstance(owner, Device)):
        return None
    lock = lock_of(owner)
    # A callback that makes another one run on its own thread excludes the others already.
    return None if lock is None or lock.held else lock


def _scope_of(owner: Object) -> int:
    at: Object | None = owner
    while at is not None:
        found = at.get_context(_Callbacks)
        if found is not None and found.scope != _INHERIT:
            return found.scope
        at = at.parent
    return _INHERIT

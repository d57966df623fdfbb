"""Context space: zero-filled bytes that live with an object and know it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from membuf.base.status import (
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INTEGER_OVERFLOW,
    STATUS_SUCCESS,
    Status,
)
from membuf.wdf._arguments import size_t

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, WDF_OBJECT_CONTEXT_TYPE_INFO

_SIZE_LIMIT: Final = 2**64
_HEADERS: Final = 256
"""What the framework puts before a context: with it, the size must still fit 64 bits."""


class ContextSpace(bytearray):
    """The bytes of one context.

    Attributes:
        owner: the object they belong to, for WdfObjectContextGetObject.
        typed: the ctypes structure laid over them, where the type has one.
    """

    __slots__ = ("owner", "typed")

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.owner: Object | None = None
        self.typed: Any = None

    def lay(self, overlay: Any) -> None:
        """Lay a ctypes structure over the bytes; the structure knows its space."""
        if overlay is not None:
            self.typed = overlay.from_buffer(self)
            self.typed.membuf_space = self

    @property
    def pointer(self) -> Any:
        """What a driver gets: the structure, or else the bytes."""
        return self if self.typed is None else self.typed


def space_of(pointer: object) -> ContextSpace | None:
    """The space a driver's context pointer stands for, or None for anything else."""
    found = getattr(pointer, "membuf_space", pointer)
    return found if isinstance(found, ContextSpace) else None


def prepare(attributes: WDF_OBJECT_ATTRIBUTES | None) -> tuple[Status, ContextSpace | None]:
    """The space that attributes ask for, made before the object so that failing leaves nothing.

    Returns:
        SUCCESS and the space, or None where no type is given; INTEGER_OVERFLOW for a size that
        does not fit 64 bits with the framework's headers, INSUFFICIENT_RESOURCES for one that
        memory does not hold.
    """
    info = None if attributes is None else attributes.ContextTypeInfo
    if attributes is None or info is None:
        return STATUS_SUCCESS, None
    if size_overflows(attributes):
        return STATUS_INTEGER_OVERFLOW, None
    try:
        space = ContextSpace(_context_size(attributes))
    except (MemoryError, OverflowError):
        return STATUS_INSUFFICIENT_RESOURCES, None
    space.lay(info.unique().overlay)
    return STATUS_SUCCESS, space


def size_overflows(attributes: WDF_OBJECT_ATTRIBUTES | None) -> bool:
    """Whether the context that attributes ask for exceeds 64 bits with its headers."""
    return attributes is not None and _context_size(attributes) + _HEADERS >= _SIZE_LIMIT


def _context_size(attributes: WDF_OBJECT_ATTRIBUTES) -> int:
    info = attributes.ContextTypeInfo
    if info is None:
        return 0
    override = size_t(attributes.ContextSizeOverride, "ContextSizeOverride")
    return override or size_t(info.ContextSize, "ContextSize")


def attach(
    owner: Object,
    info: WDF_OBJECT_CONTEXT_TYPE_INFO,
    space: ContextSpace,
    on_cleanup: Any = None,
    on_destroy: Any = None,
) -> Any:
    """Give the object its context.

    Returns:
        The context of that type: `space`, or the one that was there already.

    Raises:
        DeletePendingError: the object's deletion has begun.
    """
    space.owner = owner
    token = _prepared.set(space)
    try:
        return owner.add_context(info.unique(), on_cleanup=on_cleanup, on_destroy=on_destroy)
    finally:
        _prepared.reset(token)


def take_prepared() -> ContextSpace | None:
    """The space that `attach` has ready for the object's native half, once."""
    space = _prepared.get()
    _prepared.set(None)
    return space


_prepared: ContextVar[ContextSpace | None] = ContextVar("membuf.wdf.context", default=None)

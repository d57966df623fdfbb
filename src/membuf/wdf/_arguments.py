"""Checking what callers pass: handles, sizes, buffers, pool types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, SupportsIndex, TypeVar

from membuf._native import Object
from membuf.base.errors import ObjectDeletedError
from membuf.base.integers import exact_index
from membuf.base.tag import Tag
from membuf.wdf._bugcheck import violation
from membuf.wdf.wdfbugcodes import WDF_INVALID_HANDLE, WDF_REQUIRED_PARAMETER_IS_NULL

if TYPE_CHECKING:
    from typing_extensions import Buffer

AnyObject = TypeVar("AnyObject", bound=Object)
Given = TypeVar("Given")

SIZE_MAX: Final = 2**64 - 1
ULONG_MAX: Final = 2**32 - 1
PAGE_SIZE: Final = 4096


def unsigned(value: SupportsIndex, name: str, largest: int) -> int:
    """An unsigned C integer.

    Raises:
        OverflowError: outside 0 to `largest`.
        TypeError: a bool, a float, or anything without `__index__`.
    """
    number = exact_index(value, name)
    if not 0 <= number <= largest:
        raise OverflowError(f"{name} must be 0 to {largest:#x}; got {number:#x}")
    return number


def size_t(value: SupportsIndex, name: str) -> int:
    """A size_t of 64 bits.

    >>> size_t(4096, "BufferSize")
    4096
    """
    return unsigned(value, name, SIZE_MAX)


def ulong(value: SupportsIndex, name: str) -> int:
    """A ULONG of 32 bits."""
    return unsigned(value, name, ULONG_MAX)


def tag_number(tag: SupportsIndex | str | bytes) -> int:
    """A pool tag as the number C passes: 0 is "none", characters are in display order.

    Raises:
        InvalidParameterError: characters that make no tag.
        OverflowError: a number outside 32 bits.
    """
    return int(Tag(tag)) if isinstance(tag, (str, bytes)) else ulong(tag, "PoolTag")


def handle(value: object, kind: type[AnyObject], what: str) -> AnyObject:
    """A live handle of a kind.

    Raises:
        BugCheck: WDF_INVALID_HANDLE for NULL, another type, and an object that is gone.
    """
    found = handle_of_any_age(value, kind, what)
    if not alive(found):
        violation(WDF_INVALID_HANDLE, found, reason=f"{what}: {found!r} is gone")
    return found


def handle_of_any_age(value: object, kind: type[AnyObject], what: str) -> AnyObject:
    """A handle of a kind, gone or not.

    Raises:
        BugCheck: WDF_INVALID_HANDLE for NULL and another type.
    """
    if not isinstance(value, kind):
        came = "NULL" if value is None else type(value).__name__
        violation(
            WDF_INVALID_HANDLE, value, reason=f"{what} must be a {kind.__name__} handle; got {came}"
        )
    return value


def handle_not_null(value: object, what: str) -> Object:
    """A live handle, where the framework tests for NULL before it looks at the type.

    Raises:
        BugCheck: WDF_REQUIRED_PARAMETER_IS_NULL for NULL, else as `handle`.
    """
    return handle(not_null(value, what), Object, what)


def not_null(value: Given | None, what: str) -> Given:
    """A pointer that must not be NULL.

    Raises:
        BugCheck: WDF_REQUIRED_PARAMETER_IS_NULL.
    """
    if value is None:
        violation(WDF_REQUIRED_PARAMETER_IS_NULL, reason=f"{what} must not be NULL")
    return value


def address_of(value: Any, name: str) -> int:
    """An address, given as a number or as a pointer-like exporter; 0 for NULL."""
    return 0 if value is None else size_t(getattr(value, "address", value), name)


def alive(value: Object) -> bool:
    """Whether any reference is left, so that calls on the handle are legal."""
    try:
        return value.reference_count > 0
    except ObjectDeletedError:
        return False


def bytes_of(buffer: Buffer) -> memoryview:
    """The buffer as one run of bytes.

    Raises:
        TypeError: not a buffer exporter, or one that is not contiguous.
    """
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes else memoryview(b"")  # a shape with a 0 has no cast


def first_bytes(view: memoryview, count: int, name: str) -> memoryview:
    """The first `count` bytes, which C would take on trust.

    Raises:
        ValueError: the buffer is shorter.
    """
    if count > len(view):
        raise ValueError(f"{name} is {count}, but the buffer holds {len(view)} bytes")
    return view[:count]

"""What the calls on a transaction are given, checked in the framework's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.integers import exact_index
from membuf.dma.errors import invalid, null
from membuf.dma.profiles import READ_FROM_DEVICE, WRITE_TO_DEVICE, Direction
from membuf.request.completion import RequestType

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler
    from membuf.dma.protocols import MdlLike


def check_program(program: Any) -> None:
    """A callback must be given.

    Raises:
        InvalidParameterError: None (bug check 10D, 4).
        TypeError: not callable.
    """
    if program is None:
        raise null("the callback")
    if not callable(program):
        raise TypeError(f"a callback must be callable; got {program!r}")


def check_given(program: Any, mdl: Any) -> None:
    """A callback and an MDL must be given."""
    check_program(program)
    if mdl is None:
        raise null("mdl")
    if not hasattr(mdl, "byte_count"):
        raise TypeError(f"mdl must be an MDL; got {type(mdl).__name__}: make one with Mdl(buffer)")


def check_direction(direction: int) -> Direction:
    """READ_FROM_DEVICE or WRITE_TO_DEVICE.

    >>> check_direction(1).name
    'WRITE_TO_DEVICE'
    """
    number = exact_index(direction, "direction")
    if number not in (READ_FROM_DEVICE, WRITE_TO_DEVICE):
        raise invalid(
            f"direction must be READ_FROM_DEVICE (0) or WRITE_TO_DEVICE (1); got {number}",
            direction=number,
        )
    return Direction(number)


def check_bytes(direction: int, mdl: MdlLike, start: int, length: int) -> None:
    """Some bytes, and the first of them inside the first MDL."""
    if length <= 0:
        raise invalid(f"length must be above 0; got {length}", length=length)
    check_direction(direction)
    if not 0 <= start < mdl.byte_count:
        raise invalid(
            f"the first byte must lie in the first MDL, of {mdl.byte_count} bytes; "
            f"got offset {start}",
            offset=start,
            available=mdl.byte_count,
        )


def check_one_mdl(enabler: Enabler, mdl: MdlLike, start: int, length: int) -> None:
    """A packet device of version 2 takes no chains."""
    chains = enabler.dma_version >= 3 or not enabler.profile.packet
    if not chains and start + length > mdl.byte_count:
        raise invalid(
            f"a packet device of version 2 takes one MDL; {length} bytes from offset {start} leave "
            f"the first, of {mdl.byte_count}",
            length=length,
            available=mdl.byte_count,
        )


def chain_length(mdl: MdlLike) -> int:
    """The bytes of a chain."""
    total, link = 0, mdl
    while True:
        total += link.byte_count
        following = link.next
        if following is None:
            return total
        link = following


def buffer_of(request: Any, direction: int, *, strict: bool) -> tuple[MdlLike, int]:
    """The MDL and the length that a request gives to a transaction.

    Args:
        request: a received one.
        direction: which way the data goes.
        strict: a buffered control request that reads takes the input side's MDL, as the
            framework's source does, though its length is that of the output.

    Raises:
        BufferTooSmallError: the request has no such buffer.
        InvalidDeviceStateError: INVALID_DEVICE_REQUEST, another kind of request or direction.
    """
    take = None if getattr(request, "type", None) is None else _SOURCES.get(_kind(request))
    if take is None:
        raise _refused(f"{request!r} is of a kind without a buffer for DMA")
    mdl, length, right = take(request, direction, strict)
    if not right:
        raise _refused(f"{request!r} moves its data the other way")
    if length == 0:
        raise _refused(f"{request!r} has no byte to move")
    return mdl, length


def _refused(message: str) -> Exception:
    return from_status(st.STATUS_INVALID_DEVICE_REQUEST, message)


_CONTROLS: Final = (RequestType.DEVICE_CONTROL, RequestType.INTERNAL_DEVICE_CONTROL)
_BUFFERED, _IN_DIRECT, _OUT_DIRECT = "buffered", "in-direct", "out-direct"
_METHODS: Final = (_BUFFERED, _IN_DIRECT, _OUT_DIRECT, "neither")


def _kind(request: Any) -> int | str:
    """A request's type, or the transfer method of a control request."""
    kind = int(getattr(request, "type", RequestType.NO_FORMAT))
    return _METHODS[int(request.code) % 4] if kind in _CONTROLS else kind


def _read(request: Any, direction: int, strict: bool) -> tuple[MdlLike, int, bool]:
    return request.output_mdl(), request.length, direction == READ_FROM_DEVICE


def _write(request: Any, direction: int, strict: bool) -> tuple[MdlLike, int, bool]:
    return request.input_mdl(), request.length, direction == WRITE_TO_DEVICE


def _buffered(request: Any, direction: int, strict: bool) -> tuple[MdlLike, int, bool]:
    if direction == WRITE_TO_DEVICE:
        return request.input_mdl(), request.input_length, True
    mdl = request.input_mdl(one_slot=True) if strict else request.output_mdl()
    return mdl, request.output_length, True


def _in_direct(request: Any, direction: int, strict: bool) -> tuple[MdlLike, int, bool]:
    return request.output_mdl(), request.output_length, direction == WRITE_TO_DEVICE


def _out_direct(request: Any, direction: int, strict: bool) -> tuple[MdlLike, int, bool]:
    return request.output_mdl(), request.output_length, direction == READ_FROM_DEVICE


_SOURCES: Final[dict[int | str, Callable[[Any, int, bool], tuple[MdlLike, int, bool]]]] = {
    RequestType.READ: _read,
    RequestType.WRITE: _write,
    _BUFFERED: _buffered,
    _IN_DIRECT: _in_direct,
    _OUT_DIRECT: _out_direct,
}

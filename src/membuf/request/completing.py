"""What a completion checks, and what is seen of its status above.

Sources: WdfRequestComplete, WdfRequestCompleteWithInformation; requests 3.2 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from typing import TYPE_CHECKING, Final, SupportsIndex

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_status
from membuf.base.integers import exact_index
from membuf.base.status import Status
from membuf.request.completion import RequestType
from membuf.request.reports import report

if TYPE_CHECKING:
    from membuf.request.irp import Irp
    from membuf.request.protocol import Packet
    from membuf.request.queue import Queue
    from membuf.request.received import ReceivedRequest

_VIOLATION: Final = 0x10D
_VERIFIER_FATAL_ERROR: Final = 3
_REQUEST_FATAL_ERROR: Final = 6
_INFORMATION_LENGTH_MISMATCH: Final = 4

_FRAMEWORK_FACILITY: Final = 0x20
_SEEN_ABOVE: Final = {
    st.STATUS_WDF_PAUSED: st.STATUS_DEVICE_BUSY,
    st.STATUS_WDF_BUSY: st.STATUS_DEVICE_BUSY,
    st.STATUS_WDF_INTERNAL_ERROR: st.STATUS_INTERNAL_ERROR,
    st.STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS: st.STATUS_INSUFFICIENT_RESOURCES,
}


def seen_above(status: Status) -> Status:
    """The status an originator is told for the one a driver gave.

    >>> seen_above(st.STATUS_WDF_BUSY), seen_above(st.STATUS_CANCELLED)
    (STATUS_DEVICE_BUSY (0x80000011), STATUS_CANCELLED (0xC0000120))
    """
    if status >> 16 & 0xFFF != _FRAMEWORK_FACILITY:
        return status
    return _SEEN_ABOVE.get(status, st.STATUS_INVALID_DEVICE_REQUEST)


def count(information: SupportsIndex) -> int:
    """What a driver says was transferred, as an integer.

    Raises:
        InvalidParameterError: below 0.
        TypeError: no integer.

    >>> count(8)
    8
    """
    number = exact_index(information, "information")
    if number < 0:
        raise InvalidParameterError(f"information must not be negative, got {number}")
    return number


def check_information(request: ReceivedRequest, information: int) -> None:
    """Refuse a success that transferred more than was asked for."""
    irp = request._irp
    if irp.major in (RequestType.READ, RequestType.WRITE):
        limit = irp.length
    elif irp.major == RequestType.DEVICE_CONTROL and irp.output_length:
        limit = irp.output_length
    else:
        return
    if information > limit:
        raise from_status(
            st.STATUS_INVALID_PARAMETER,
            f"{request!r} asked for {limit} bytes: it cannot succeed with {information}",
            {"needed": information, "available": limit},
            (_VIOLATION, _REQUEST_FATAL_ERROR, _INFORMATION_LENGTH_MISMATCH, 0, 0),
        )


def find_hold(request: ReceivedRequest) -> MembufError | None:
    """The error for memory of the request that something holds still, or None."""
    for child in request._retrieved or ():
        count = holds(child)
        if count:
            return from_status(
                st.STATUS_INVALID_DEVICE_STATE,
                f"{child!r} has {count} reference(s) besides its request's: drop them, or reuse or "
                "delete the request that was formatted with it, before this one is completed",
                {"references": count},
                (_VIOLATION, _VERIFIER_FATAL_ERROR, 0, 0, 0),
            )
    return None


def check_holds(request: ReceivedRequest) -> None:
    """Refuse to end a request whose memory something holds still."""
    error = find_hold(request)
    if error is not None:
        raise error


def holds(memory: Memory) -> int:
    """References on a request's memory besides its request's own."""
    try:
        return memory.reference_count - (not memory.deleted)
    except MembufError:  # it is gone, and so are they
        return 0


def end_dropped(irp: Irp, queue: Queue | None, packet: Packet | None, name: str) -> None:
    """The end of a request that its driver dropped."""
    error = from_status(
        st.STATUS_INTERNAL_ERROR, f"{name} was dropped by its driver without being completed"
    )
    report(error, "a driver's handlers")
    if packet is not None:
        packet.release()
    try:
        irp.complete(st.STATUS_INTERNAL_ERROR, 0)
    finally:
        if queue is not None:
            queue._left(owned=True)

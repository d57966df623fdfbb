"""The exceptions and reports of transfers: what was expected, what came, where, what to do."""

from __future__ import annotations

import errno
from typing import Any, Final

from membuf.base import status as st
from membuf.base.errors import (
    IntegerOverflowError,
    InvalidParameterError,
    MembufError,
    from_errno,
    from_status,
)
from membuf.base.integers import exact_index

__all__ = [
    "checkpoint",
    "exact_index",
    "failure",
    "negative",
    "out_of_range",
    "outside_memory",
    "past_the_last_offset",
    "refused",
    "reraise",
    "several",
    "stream_offset",
    "unaligned",
]

VERBS: Final = {
    3: "read",
    4: "write",
    9: "flush",
    0xE: "control request",
    0xF: "internal control request",
    0x1C: "internal control request",
    0xFF: "request",
}


def negative(name: str, value: int) -> MembufError:
    """An offset or length below 0."""
    return InvalidParameterError(
        f"{name} must not be negative; got {value}", operands={name: value}
    )


def out_of_range(name: str, value: int) -> MembufError:
    """An offset or length that no address or file position reaches."""
    if value < 0:
        return negative(name, value)
    return IntegerOverflowError(
        f"{name} must be below 2**63; got {value:#x}", operands={name: value}
    )


def outside_memory(offset: int, length: int, size: int) -> MembufError:
    """A part that is not inside its memory object (rule: WDFMEMORY_OFFSET)."""
    return IntegerOverflowError(
        f"memory_offset {offset} + memory_length {length} must lie inside the memory object "
        f"of {size} bytes",
        operands={"offset": offset, "needed": offset + length, "available": size},
    )


def past_the_last_offset(offset: int, length: int) -> MembufError:
    """A transfer whose end no file position can express."""
    return IntegerOverflowError(
        f"offset {offset} + length {length} must be below 2**63",
        operands={"offset": offset, "length": length},
    )


def stream_offset(name: str, offset: int) -> MembufError:
    """An offset for a target that has none."""
    return InvalidParameterError(
        f"{name} is a stream and has no offsets; got offset {offset}: leave it out",
        operands={"offset": offset},
    )


def unaligned(
    name: str, offset: int, length: int, address: int, offset_alignment: int, memory_alignment: int
) -> MembufError:
    """A transfer that is no whole number of blocks, or that direct I/O refuses with EINVAL."""
    if memory_alignment == 1:
        message = (
            f"{name} has blocks of {offset_alignment} bytes; got offset {offset}, length {length}: "
            "transfer whole blocks"
        )
    else:
        message = (
            f"direct I/O on {name} needs offset and length in multiples of {offset_alignment} and "
            f"memory at a multiple of {memory_alignment}; got offset {offset}, length {length}, "
            f"address {address:#x}: use memory aligned to {memory_alignment}, or open it without "
            "direct=True"
        )
    return InvalidParameterError(
        message,
        operands={
            "offset": offset,
            "length": length,
            "address": address,
            "offset_alignment": offset_alignment,
            "memory_alignment": memory_alignment,
        },
    )


def failure(
    kind: int,
    number: int,
    name: str,
    offset: int,
    length: int,
    done: int,
    timed_out: bool = False,
) -> MembufError:
    """The exception for a transfer that the system ended with an errno."""
    verb = VERBS[kind]
    what = f"{verb} of {name}"
    if length:
        what = f"{verb} of {length} bytes at offset {offset} of {name}, after {done} bytes"
    operands = {"offset": offset, "length": length, "done": done}
    if number == errno.ECANCELED and timed_out:
        return from_status(st.STATUS_IO_TIMEOUT, f"{what}: its time was up", operands)
    return from_errno(number, what, operands=operands)


def refused(status: int | MembufError, packet: Any) -> MembufError:
    """The exception for a transfer that its target ended without one of its own.

    Args:
        status: why it was never sent, or what the transfer ended with that took its place.
        packet: the transfer.
    """
    if isinstance(status, MembufError):
        timed_out = packet.timed_out and status.status == st.STATUS_CANCELLED
        return _time_was_up(status, packet) if timed_out else status
    what = f"{VERBS[packet.kind]} of {packet.port.name} was not sent"
    return from_status(status, what, {"offset": packet.offset, "length": packet.length})


def _time_was_up(error: MembufError, packet: Any) -> MembufError:
    timeout = from_status(
        st.STATUS_IO_TIMEOUT, f"{VERBS[packet.kind]} of {packet.port.name}: its time was up"
    )
    timeout.operands = error.operands
    return timeout


def several(errors: list[MembufError], count: int) -> ExceptionGroup[MembufError]:
    """The errors of a batch together."""
    return ExceptionGroup(f"{len(errors)} of {count} transfers failed", errors)


def reraise(error: BaseException) -> None:
    """Raise an error that was caught where it could not go on."""
    raise error


def checkpoint() -> None:
    """Let an exception that was raised into this thread from outside appear here.

    Compiled code never looks for one; any Python code does.
    """

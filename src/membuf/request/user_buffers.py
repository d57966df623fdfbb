"""Buffers of neither I/O: the originator's own pointers, and the way to make them safe.

Sources: WdfRequestRetrieveUnsafeUserInputBuffer, WdfRequestProbeAndLockUserBufferForRead and their
kin; requests 1.5 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from membuf._native import Memory, request_memory
from membuf.base import status as st
from membuf.base.errors import AccessViolationError, MembufError, from_status
from membuf.mdl import Mdl
from membuf.request._received import Retrieved
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.ioctl import NEITHER_METHOD
from membuf.request.retrieval import Pages, check_minimum

if TYPE_CHECKING:
    from membuf.request.irp import Irp
    from membuf.request.received import ReceivedRequest


def unsafe_input(request: ReceivedRequest, minimum: int) -> memoryview | None:
    """See `ReceivedRequest.unsafe_input_buffer`."""
    _check_caller(request)
    irp = request._irp
    if _is_neither_control(irp):
        return _unsafe(irp.type3_input, irp.input_length, minimum)
    if irp.major is RequestType.WRITE and request.device.io_type is IoType.NEITHER:
        return _unsafe(irp.user_buffer, irp.length, minimum)
    raise _not_neither(request)


def unsafe_output(request: ReceivedRequest, minimum: int) -> memoryview | None:
    """See `ReceivedRequest.unsafe_output_buffer`."""
    _check_caller(request)
    irp = request._irp
    if _is_neither_control(irp):
        return _unsafe(irp.user_buffer, irp.output_length, minimum)
    if irp.major is RequestType.READ and request.device.io_type is IoType.NEITHER:
        return _unsafe(irp.user_buffer, irp.length, minimum)
    raise _not_neither(request)


def probe_and_lock(
    request: ReceivedRequest, buffer: Any, length: int | None, access: Literal["read", "write"]
) -> Memory:
    """See `ReceivedRequest.probe_and_lock_for_read`."""
    if not request.owned:
        raise _refused(f"{request!r} is not its driver's: nothing can be locked for it")
    if length is None:
        length = 0 if buffer is None else memoryview(buffer).nbytes
    if length == 0:
        raise from_status(st.STATUS_INVALID_USER_BUFFER, "there are no bytes to lock: length is 0")
    irp = request._irp
    if irp.mode == "user" and irp.thread != threading.get_ident():
        raise AccessViolationError(
            f"the pointers of {request!r} are its originating thread's: lock them there, in "
            "on_in_caller_context"
        )
    if buffer is None:
        raise AccessViolationError(f"{length} bytes at NULL cannot be locked")
    return _locked_memory(request, buffer, length, access)


def _locked_memory(
    request: ReceivedRequest, buffer: Any, length: int, access: Literal["read", "write"]
) -> Memory:
    mdl = Mdl(buffer, 0, length)
    try:
        mdl.lock(access)
        mdl._framework_owner = request.device
        memory = request_memory(mdl.buffer, length, access == "read", request)
    except BaseException:
        _unlock(mdl, None)
        raise
    memory.add_context(Pages, on_destroy=partial(_unlock, mdl)).mdl = mdl
    if request._retrieved is None:
        request._retrieved = Retrieved()
    kept = request._retrieved
    kept.locked = [*(kept.locked or ()), memory]
    return memory


def _unlock(mdl: Mdl, _memory: Memory | None) -> None:
    mdl.end()


def _unsafe(buffer: Any, length: int, minimum: int) -> memoryview | None:
    check_minimum(length, minimum)
    return None if buffer is None else memoryview(buffer).cast("B")[:length]


def _is_neither_control(irp: Irp) -> bool:
    return irp.major is RequestType.DEVICE_CONTROL and irp.code & 3 == NEITHER_METHOD


def _check_caller(request: ReceivedRequest) -> None:
    if not request._in_caller:
        raise _refused(
            f"{request!r} is not in on_in_caller_context: only there its originator's pointers "
            "can be used as they are"
        )


def _not_neither(request: ReceivedRequest) -> MembufError:
    return _refused(f"{request!r} brings no such pointer: its access method is not neither")


def _refused(message: str) -> MembufError:
    return from_status(st.STATUS_INVALID_DEVICE_REQUEST, message)

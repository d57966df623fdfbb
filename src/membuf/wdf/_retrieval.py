"""What wdfrequest.h has for the memory of received requests; `wdfrequest` shows it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf._native import Pointer
from membuf.base.status import STATUS_INTEGER_OVERFLOW, Status
from membuf.request import ReceivedRequest
from membuf.wdf._arguments import size_t
from membuf.wdf._driver import enter
from membuf.wdf._request_handle import ask
from membuf.wdf.wdftypes import WDFMEMORY, WDFREQUEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf import Mdl


def WdfRequestRetrieveInputMemory(Request: WDFREQUEST | None) -> tuple[Status, WDFMEMORY | None]:
    """The memory that a write or control request brings; the same handle every time.

    Returns:
        INVALID_DEVICE_REQUEST where the type or access method has none, BUFFER_TOO_SMALL for no
        bytes, INTERNAL_ERROR once the request is complete.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_write(b"abcd")
    >>> request = queue.retrieve_next()
    >>> status, memory = WdfRequestRetrieveInputMemory(request)
    >>> bytes(memory.buffer)
    b'abcd'
    >>> request.complete()
    """
    return ask(Request, ReceivedRequest.input_memory)


def WdfRequestRetrieveOutputMemory(Request: WDFREQUEST | None) -> tuple[Status, WDFMEMORY | None]:
    """The memory that a read or control request wants filled; see WdfRequestRetrieveInputMemory.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> status, memory = WdfRequestRetrieveOutputMemory(request)
    >>> memory.size
    8
    >>> request.complete()
    """
    return ask(Request, ReceivedRequest.output_memory)


def WdfRequestRetrieveInputBuffer(
    Request: WDFREQUEST | None, MinimumRequiredLength: SupportsIndex
) -> tuple[Status, Pointer | None, int]:
    """A pointer to what a write or control request brings, and the whole length of it.

    Returns:
        BUFFER_TOO_SMALL where there is less than the minimum, which may be 0, or nothing at all;
        else as WdfRequestRetrieveInputMemory. NULL and 0 on failure.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_write(b"abcd")
    >>> request = queue.retrieve_next()
    >>> status, buffer, length = WdfRequestRetrieveInputBuffer(request, 2)
    >>> bytes(buffer), length
    (b'abcd', 4)
    >>> request.complete()
    """
    return _retrieve_buffer(
        Request, MinimumRequiredLength, ReceivedRequest.input_buffer, ReceivedRequest.input_memory
    )


def WdfRequestRetrieveOutputBuffer(
    Request: WDFREQUEST | None, MinimumRequiredSize: SupportsIndex
) -> tuple[Status, Pointer | None, int]:
    """A pointer to what a read or control request wants filled, and the whole length of it.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestRetrieveOutputBuffer(request, 9)
    (STATUS_BUFFER_TOO_SMALL (0xC0000023), None, 0)
    >>> request.complete()
    """
    return _retrieve_buffer(
        Request, MinimumRequiredSize, ReceivedRequest.output_buffer, ReceivedRequest.output_memory
    )


def WdfRequestRetrieveInputWdmMdl(Request: WDFREQUEST | None) -> tuple[Status, Mdl | None]:
    """The MDL of what a request brings: its own, or one built over its system buffer.

    Under a strict driver input and output of a buffered control request share one MDL, whichever
    was asked for first.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_write(b"abcd")
    >>> request = queue.retrieve_next()
    >>> status, mdl = WdfRequestRetrieveInputWdmMdl(request)
    >>> mdl.byte_count
    4
    >>> request.complete()
    """
    return ask(Request, partial(ReceivedRequest.input_mdl, one_slot=_one_slot()))


def WdfRequestRetrieveOutputWdmMdl(Request: WDFREQUEST | None) -> tuple[Status, Mdl | None]:
    """The MDL of what a request wants filled; see WdfRequestRetrieveInputWdmMdl.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> status, mdl = WdfRequestRetrieveOutputWdmMdl(request)
    >>> mdl.byte_count
    8
    >>> request.complete()
    """
    return ask(Request, partial(ReceivedRequest.output_mdl, one_slot=_one_slot()))


def WdfRequestRetrieveUnsafeUserInputBuffer(
    Request: WDFREQUEST | None, MinimumRequiredLength: SupportsIndex
) -> tuple[Status, Any, int]:
    """The originator's own input pointer, inside EvtIoInCallerContext alone.

    Returns:
        INVALID_DEVICE_REQUEST outside of it, or where the access method is not "neither";
        BUFFER_TOO_SMALL for less than the minimum. NULL and 0 on failure.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_write(b"abcd")
    >>> request = queue.retrieve_next()
    >>> WdfRequestRetrieveUnsafeUserInputBuffer(request, 0)
    (STATUS_INVALID_DEVICE_REQUEST (0xC0000010), None, 0)
    >>> request.complete()
    """
    return _retrieve_unsafe(Request, MinimumRequiredLength, ReceivedRequest.unsafe_input_buffer)


def WdfRequestRetrieveUnsafeUserOutputBuffer(
    Request: WDFREQUEST | None, MinimumRequiredLength: SupportsIndex
) -> tuple[Status, Any, int]:
    """The originator's own output pointer; see WdfRequestRetrieveUnsafeUserInputBuffer.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestRetrieveUnsafeUserOutputBuffer(request, 0)
    (STATUS_INVALID_DEVICE_REQUEST (0xC0000010), None, 0)
    >>> request.complete()
    """
    return _retrieve_unsafe(Request, MinimumRequiredLength, ReceivedRequest.unsafe_output_buffer)


def WdfRequestProbeAndLockUserBufferForRead(
    Request: WDFREQUEST | None, Buffer: Any, Length: SupportsIndex
) -> tuple[Status, WDFMEMORY | None]:
    """Lock an originator's buffer for reading: a read-only memory object, a child of the request.

    Returns:
        INVALID_USER_BUFFER for length 0, ACCESS_VIOLATION in another thread than the originator's
        and for pages that cannot be accessed so, INVALID_DEVICE_REQUEST where the request is not
        the driver's.

    Raises:
        BugCheck: not a request handle.
        ValueError: Length is larger than the buffer.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> status, memory = WdfRequestProbeAndLockUserBufferForRead(request, b"abcd", 4)
    >>> memory.readonly, memory.parent is request
    (True, True)
    >>> request.complete()
    """
    return _lock(Request, Buffer, Length, ReceivedRequest.probe_and_lock_for_read)


def WdfRequestProbeAndLockUserBufferForWrite(
    Request: WDFREQUEST | None, Buffer: Any, Length: SupportsIndex
) -> tuple[Status, WDFMEMORY | None]:
    """Lock an originator's buffer for writing; see WdfRequestProbeAndLockUserBufferForRead.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestProbeAndLockUserBufferForWrite(request, bytearray(4), 0)
    (STATUS_INVALID_USER_BUFFER (0xC00000E8), None)
    >>> request.complete()
    """
    return _lock(Request, Buffer, Length, ReceivedRequest.probe_and_lock_for_write)


def _retrieve_buffer(
    candidate: WDFREQUEST | None,
    minimum: SupportsIndex,
    check: Callable[[ReceivedRequest, int], memoryview],
    retrieve: Callable[[ReceivedRequest], WDFMEMORY],
) -> tuple[Status, Pointer | None, int]:
    least = size_t(minimum, "the minimum")
    status, view = ask(candidate, lambda request: check(request, least))
    if view is None:
        return status, None, 0
    with view:
        status, memory = ask(candidate, retrieve)
    return (status, None, 0) if memory is None else (status, Pointer(memory), memory.size)


def _retrieve_unsafe(
    candidate: WDFREQUEST | None,
    minimum: SupportsIndex,
    retrieve: Callable[[ReceivedRequest, int], Any],
) -> tuple[Status, Any, int]:
    least = size_t(minimum, "the minimum")
    status, buffer = ask(candidate, lambda request: retrieve(request, least))
    return status, buffer, 0 if buffer is None else memoryview(buffer).nbytes


def _lock(
    candidate: WDFREQUEST | None,
    buffer: Any,
    length: SupportsIndex,
    lock: Callable[[ReceivedRequest, Any, int], WDFMEMORY],
) -> tuple[Status, WDFMEMORY | None]:
    size = size_t(length, "Length")
    status, memory = ask(candidate, lambda request: lock(request, buffer, size))
    if status == STATUS_INTEGER_OVERFLOW:  # C would take the length on trust
        raise ValueError(f"Length is {size}, but the buffer holds {memoryview(buffer).nbytes}")
    return status, memory


def _one_slot() -> bool:
    driver = enter()
    return driver is not None and driver.strict

"""What wdfrequest.h has to end received requests and to pass them on; `wdfrequest` shows it."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, SupportsIndex

from membuf.base.status import STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST, Status
from membuf.request import ReceivedRequest
from membuf.wdf._arguments import handle, not_null, size_t
from membuf.wdf._bugcheck import attempt, debug_break, ignoring, perform
from membuf.wdf._driver import enter
from membuf.wdf._events import cancel_event
from membuf.wdf._request_handle import ask, request_handle
from membuf.wdf.wdftypes import WDFQUEUE, WDFREQUEST

if TYPE_CHECKING:
    from collections.abc import Callable


def WdfRequestSetInformation(Request: WDFREQUEST | None, Information: SupportsIndex) -> None:
    """Set how many bytes WdfRequestComplete reports.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestSetInformation(request, 5)
    >>> WdfRequestComplete(request, 0)
    >>> pending.wait()
    (STATUS_SUCCESS (0x00000000), 5)
    """
    request, information = request_handle(Request), size_t(Information, "Information")
    if isinstance(request, ReceivedRequest):
        request.set_information(information)


def WdfRequestGetInformation(Request: WDFREQUEST | None) -> int:
    """Bytes transferred by the last completion; 0 once this driver has completed the request.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestGetInformation(request)
    0
    >>> request.complete()
    """
    return request_handle(Request).information


def WdfRequestComplete(Request: WDFREQUEST | None, Status: SupportsIndex) -> None:
    """End a received request; one that is not the driver's, or its own, is only logged.

    Raises:
        BugCheck: WDF_VERIFIER_FATAL_ERROR where something holds its memory still,
            WDF_REQUEST_FATAL_ERROR for a success with more bytes than were asked for; nothing has
            changed then. Not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestComplete(request, 0xC0000001)
    >>> pending.wait()
    (STATUS_UNSUCCESSFUL (0xC0000001), 0)
    """
    _complete("WdfRequestComplete", Request, Status)


def WdfRequestCompleteWithInformation(
    Request: WDFREQUEST | None, Status: SupportsIndex, Information: SupportsIndex
) -> None:
    """End a received request, and say how many bytes were transferred; see WdfRequestComplete.

    Raises:
        BugCheck: as WdfRequestComplete.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestCompleteWithInformation(request, 0, 8)
    >>> pending.wait()
    (STATUS_SUCCESS (0x00000000), 8)
    """
    information = size_t(Information, "Information")
    _complete("WdfRequestCompleteWithInformation", Request, Status, information)


def WdfRequestCompleteWithPriorityBoost(
    Request: WDFREQUEST | None, Status: SupportsIndex, PriorityBoost: SupportsIndex
) -> None:
    """End a received request; see WdfRequestComplete. No thread's priority is raised here.

    Raises:
        BugCheck: as WdfRequestComplete.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestCompleteWithPriorityBoost(request, 0, 1)
    >>> pending.wait()
    (STATUS_SUCCESS (0x00000000), 0)
    """
    index(PriorityBoost)
    _complete("WdfRequestCompleteWithPriorityBoost", Request, Status)


# ---- cancelling and passing on -------------------------------------------------------------------


def WdfRequestMarkCancelable(
    Request: WDFREQUEST | None, EvtRequestCancel: Callable[[WDFREQUEST], object] | None
) -> None:
    """Let a request be cancelled: the callback runs once then, and completes it.

    Where it is cancelled already the callback runs all the same.

    Raises:
        BugCheck: not a request handle, or EvtRequestCancel is NULL.

    >>> import membuf
    >>> import membuf.wdf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> def cancel(request):
    ...     WdfRequestComplete(request, STATUS_CANCELLED)
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfRequestMarkCancelable(request, cancel)
    ...     done = pending.cancel()
    >>> pending.wait()
    (STATUS_CANCELLED (0xC0000120), 0)
    """
    request, callback = request_handle(Request), not_null(EvtRequestCancel, "EvtRequestCancel")
    if isinstance(request, ReceivedRequest):
        run = cancel_event(request, callback)
        ignoring("WdfRequestMarkCancelable", request.mark_cancelable, run)


def WdfRequestMarkCancelableEx(
    Request: WDFREQUEST | None, EvtRequestCancel: Callable[[WDFREQUEST], object] | None
) -> Status:
    """Let a request be cancelled, unless it is already: CANCELLED, and the callback never runs.

    Raises:
        BugCheck: not a request handle, or EvtRequestCancel is NULL.

    >>> import membuf
    >>> import membuf.wdf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> def cancel(request):
    ...     WdfRequestComplete(request, STATUS_CANCELLED)
    >>> with membuf.wdf.driver("Sample"):
    ...     status = WdfRequestMarkCancelableEx(request, cancel)
    ...     done = pending.cancel()
    >>> pending.wait()
    (STATUS_CANCELLED (0xC0000120), 0)
    """
    request, callback = request_handle(Request), not_null(EvtRequestCancel, "EvtRequestCancel")
    if not isinstance(request, ReceivedRequest):
        return STATUS_INVALID_DEVICE_REQUEST
    run = cancel_event(request, callback)
    status, marked = attempt(request.try_mark_cancelable, run)
    return STATUS_CANCELLED if marked is False else status


def WdfRequestUnmarkCancelable(Request: WDFREQUEST | None) -> Status:
    """Take the cancel callback back; CANCELLED where it has run or will.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestUnmarkCancelable(request)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    >>> request.complete()
    """
    return ask(Request, ReceivedRequest.unmark_cancelable)[0]


def WdfRequestIsCanceled(Request: WDFREQUEST | None) -> bool:
    """Whether its originator cancelled a request that is the driver's and not marked.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> pending.cancel()
    False
    >>> WdfRequestIsCanceled(request)
    True
    >>> request.complete()
    """
    request = request_handle(Request)
    return isinstance(request, ReceivedRequest) and request.canceled


def WdfRequestForwardToIoQueue(
    Request: WDFREQUEST | None, DestinationQueue: WDFQUEUE | None
) -> Status:
    """Put a request at the end of another queue of its device.

    Returns:
        WDF_BUSY where that queue takes none, INVALID_DEVICE_REQUEST for the same queue, another
        device's, and a request that is not the driver's or is marked.

    Raises:
        BugCheck: not a request handle, or not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestForwardToIoQueue(request, queue)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    >>> request.complete()
    """
    request = request_handle(Request)
    queue = handle(DestinationQueue, WDFQUEUE, "DestinationQueue")
    if not isinstance(request, ReceivedRequest):
        return STATUS_INVALID_DEVICE_REQUEST
    return perform(request.forward, queue)


def WdfRequestRequeue(Request: WDFREQUEST | None) -> Status:
    """Put a request back at the head of its manual queue.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestRequeue(request)
    STATUS_SUCCESS (0x00000000)
    >>> pending.cancel()
    True
    """
    return ask(Request, ReceivedRequest.requeue)[0]


def WdfRequestStopAcknowledge(Request: WDFREQUEST | None, Requeue: bool) -> None:
    """Answer EvtIoStop, which is never called here: only logged.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> request = queue.retrieve_next()
    >>> WdfRequestStopAcknowledge(request, False)
    >>> request.complete()
    """
    request = request_handle(Request)
    debug_break("WdfRequestStopAcknowledge of %r ignored: no power state is left", request)


def _complete(
    call: str, candidate: WDFREQUEST | None, status: SupportsIndex, *information: int
) -> None:
    request, number = request_handle(candidate), Status(status)
    if isinstance(request, ReceivedRequest):
        ignoring(call, request.complete, number, *information)
    else:
        debug_break("%s ignored: %r was not received", call, request)
    enter()

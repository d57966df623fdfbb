"""wdfio.h: queues."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER_4,
    STATUS_NO_MORE_ENTRIES,
    STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS,
    Status,
)
from membuf.wdf._arguments import handle, handle_of_any_age, not_null
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import Answer, attempt, perform, violation
from membuf.wdf._callback_locks import set_scope
from membuf.wdf._create import create_then_dress
from membuf.wdf._driver import driver_of, enter
from membuf.wdf._events import canceled_event, handlers, state_event
from membuf.wdf._queue_config import (
    DISPATCH,
    WDF_IO_QUEUE_CONFIG,
    WDF_IO_QUEUE_DISPATCH_TYPE,
    WDF_IO_QUEUE_DRAINED,
    WDF_IO_QUEUE_IDLE,
    WDF_IO_QUEUE_PURGED,
    WDF_IO_QUEUE_READY,
    WDF_IO_QUEUE_STATE,
    WDF_IO_QUEUE_STOPPED,
    WdfIoQueueAcceptRequests,
    WdfIoQueueDispatchInvalid,
    WdfIoQueueDispatchManual,
    WdfIoQueueDispatchParallel,
    WdfIoQueueDispatchRequests,
    WdfIoQueueDispatchSequential,
    WdfIoQueueDriverNoRequests,
    WdfIoQueueNoRequests,
    WdfIoQueuePnpHeld,
    zero,
)
from membuf.wdf._request_parameters import WDF_REQUEST_PARAMETERS, fill_parameters
from membuf.wdf.wdfbugcodes import WDF_QUEUE_FATAL_ERROR
from membuf.wdf.wdftypes import WDFDEVICE, WDFFILEOBJECT, WDFQUEUE, WDFREQUEST, WdfUseDefault

StateEvent = Callable[[WDFQUEUE, Any], object] | None
"""An EvtIoQueueState, or None."""

__all__ = [
    "WDF_IO_QUEUE_CONFIG",
    "WDF_IO_QUEUE_CONFIG_INIT",
    "WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE",
    "WDF_IO_QUEUE_DISPATCH_TYPE",
    "WDF_IO_QUEUE_DRAINED",
    "WDF_IO_QUEUE_IDLE",
    "WDF_IO_QUEUE_PURGED",
    "WDF_IO_QUEUE_READY",
    "WDF_IO_QUEUE_STATE",
    "WDF_IO_QUEUE_STOPPED",
    "WdfIoQueueAcceptRequests",
    "WdfIoQueueAssignForwardProgressPolicy",
    "WdfIoQueueCreate",
    "WdfIoQueueDispatchInvalid",
    "WdfIoQueueDispatchManual",
    "WdfIoQueueDispatchParallel",
    "WdfIoQueueDispatchRequests",
    "WdfIoQueueDispatchSequential",
    "WdfIoQueueDrain",
    "WdfIoQueueDrainSynchronously",
    "WdfIoQueueDriverNoRequests",
    "WdfIoQueueFindRequest",
    "WdfIoQueueGetDevice",
    "WdfIoQueueGetState",
    "WdfIoQueueNoRequests",
    "WdfIoQueuePnpHeld",
    "WdfIoQueuePurge",
    "WdfIoQueuePurgeSynchronously",
    "WdfIoQueueReadyNotify",
    "WdfIoQueueRetrieveFoundRequest",
    "WdfIoQueueRetrieveNextRequest",
    "WdfIoQueueRetrieveRequestByFileObject",
    "WdfIoQueueStart",
    "WdfIoQueueStop",
    "WdfIoQueueStopAndPurge",
    "WdfIoQueueStopAndPurgeSynchronously",
    "WdfIoQueueStopSynchronously",
]


# ---- configuration -------------------------------------------------------------------------------


def WDF_IO_QUEUE_CONFIG_INIT(Config: WDF_IO_QUEUE_CONFIG, DispatchType: int) -> None:
    """Zero the structure, set its size and dispatch type; a parallel queue has no limit.

    >>> config = WDF_IO_QUEUE_CONFIG()
    >>> WDF_IO_QUEUE_CONFIG_INIT(config, WdfIoQueueDispatchParallel)
    >>> config.Size, hex(config.Settings.Parallel.NumberOfPresentedRequests)
    (96, '0xffffffff')
    """
    zero(Config)
    Config.Size = WDF_IO_QUEUE_CONFIG.SIZEOF
    Config.PowerManaged = WdfUseDefault
    Config.DispatchType = DispatchType
    if DispatchType == WdfIoQueueDispatchParallel:
        Config.Settings.Parallel.NumberOfPresentedRequests = 0xFFFF_FFFF


def WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(Config: WDF_IO_QUEUE_CONFIG, DispatchType: int) -> None:
    """The macro above, for the queue that takes every type without one of its own.

    >>> config = WDF_IO_QUEUE_CONFIG()
    >>> WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(config, WdfIoQueueDispatchSequential)
    >>> config.DefaultQueue, config.Settings.Parallel.NumberOfPresentedRequests
    (True, 0)
    """
    WDF_IO_QUEUE_CONFIG_INIT(Config, DispatchType)
    Config.DefaultQueue = True


# ---- queues --------------------------------------------------------------------------------------


def WdfIoQueueCreate(
    Device: WDFDEVICE | None,
    Config: WDF_IO_QUEUE_CONFIG | None,
    QueueAttributes: WDF_OBJECT_ATTRIBUTES | None,
) -> tuple[Status, WDFQUEUE | None]:
    """Create a queue.

    Args:
        Device: whose requests it takes.
        Config: how, and the callbacks.
        QueueAttributes: how, or None for the defaults; a parent must be the device or below it.

    Returns:
        The status and the queue: INFO_LENGTH_MISMATCH for another Size, INVALID_DEVICE_STATE for
        a default queue of a device that has started, UNSUCCESSFUL for a second one,
        WDF_NO_CALLBACK where nothing would be called, INVALID_PARAMETER for what does not fit
        together, INVALID_DEVICE_REQUEST for a parent elsewhere.

    Raises:
        BugCheck: not a live device handle, Config is NULL, a parent handle that is not one.

    >>> import membuf.wdf
    >>> config = WDF_IO_QUEUE_CONFIG()
    >>> WDF_IO_QUEUE_CONFIG_INIT(config, WdfIoQueueDispatchManual)
    >>> with membuf.wdf.driver("Sample") as d:
    ...     device = membuf.Device(parent=d)
    ...     status, queue = WdfIoQueueCreate(device, config, None)
    ...     queue.dispatch
    'manual'
    """
    enter()
    device, config = handle(Device, WDFDEVICE, "Device"), not_null(Config, "Config")
    check_parent_handle(QueueAttributes)
    status = validate(QueueAttributes, level_allowed=True, scope_allowed=True)
    if config.Size != WDF_IO_QUEUE_CONFIG.SIZEOF:
        status = STATUS_INFO_LENGTH_MISMATCH
    if status != STATUS_SUCCESS:
        return status, None
    driver = driver_of(device)
    dispatch: Any = DISPATCH.get(config.DispatchType)  # None: the device refuses it in its turn
    make = partial(
        device.queue,
        dispatch=dispatch,
        maximum=config.Settings.Parallel.NumberOfPresentedRequests,
        default=bool(config.DefaultQueue),
        allow_zero_length=bool(config.AllowZeroLengthRequests),
        handlers=handlers(driver, config),
        parent=None if QueueAttributes is None else QueueAttributes.ParentObject,
    )
    canceled = canceled_event(driver, config)
    status, queue = create_then_dress(driver, QueueAttributes, make)
    if queue is not None:
        set_scope(queue, QueueAttributes)
    if queue is not None and canceled is not None:
        queue.on_canceled(canceled)
    return status, queue


def WdfIoQueueGetState(Queue: WDFQUEUE | None) -> tuple[int, int, int]:
    """The state, how many requests are in the queue, and how many are with the driver.

    Raises:
        BugCheck: not a live queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueGetState(queue)
    (15, 0, 0)
    """
    queue = _queue(Queue)
    return int(queue.state), queue.waiting, queue.owned


def WdfIoQueueGetDevice(Queue: WDFQUEUE | None) -> WDFDEVICE:
    """The device whose requests it takes.

    Raises:
        BugCheck: not a live queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueGetDevice(queue) is queue.device
    True
    """
    return _queue(Queue).device


def WdfIoQueueStart(Queue: WDFQUEUE | None) -> None:
    """Take requests and present them.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR for a deleted queue; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueStart(queue)
    >>> WDF_IO_QUEUE_READY(WdfIoQueueGetState(queue)[0])
    True
    """
    _operate(Queue, WDFQUEUE.start)


def WdfIoQueueStop(Queue: WDFQUEUE | None, StopComplete: StateEvent, Context: object) -> None:
    """Present no more requests; those that come wait.

    Args:
        Queue: the queue.
        StopComplete: called with the queue and Context when that has come about, or None.
        Context: for it.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR for a deleted queue, and for a callback while another one
            is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfIoQueueStop(queue, lambda queue, context: print(context), "over")
    over
    """
    _operate(Queue, WDFQUEUE.stop, StopComplete, Context)


def WdfIoQueueStopSynchronously(Queue: WDFQUEUE | None) -> None:
    """Present no more requests, and return when none is with the driver.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR in a callback, where waiting would never end, for a deleted
            queue, and while another such operation is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueStopSynchronously(queue)
    >>> WDF_IO_QUEUE_STOPPED(WdfIoQueueGetState(queue)[0])
    True
    """
    _operate(Queue, WDFQUEUE.stop_synchronously)


def WdfIoQueueDrain(Queue: WDFQUEUE | None, DrainComplete: StateEvent, Context: object) -> None:
    """Take no more requests; those that wait are presented.

    Args:
        Queue: the queue.
        DrainComplete: called with the queue and Context when that has come about, or None.
        Context: for it.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR for a deleted queue, and for a callback while another one
            is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfIoQueueDrain(queue, lambda queue, context: print(context), "over")
    over
    """
    _operate(Queue, WDFQUEUE.drain, DrainComplete, Context)


def WdfIoQueueDrainSynchronously(Queue: WDFQUEUE | None) -> None:
    """Take no more requests, and return when none is left.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR in a callback, where waiting would never end, for a deleted
            queue, and while another such operation is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueDrainSynchronously(queue)
    >>> WDF_IO_QUEUE_DRAINED(WdfIoQueueGetState(queue)[0])
    True
    """
    _operate(Queue, WDFQUEUE.drain_synchronously)


def WdfIoQueuePurge(Queue: WDFQUEUE | None, PurgeComplete: StateEvent, Context: object) -> None:
    """Take no more requests; cancel those that wait, and those marked cancelable.

    Args:
        Queue: the queue.
        PurgeComplete: called with the queue and Context when that has come about, or None.
        Context: for it.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR for a deleted queue, and for a callback while another one
            is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfIoQueuePurge(queue, lambda queue, context: print(context), "over")
    over
    """
    _operate(Queue, WDFQUEUE.purge, PurgeComplete, Context)


def WdfIoQueuePurgeSynchronously(Queue: WDFQUEUE | None) -> None:
    """Purge the queue, and return when no request is left.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR in a callback, where waiting would never end, for a deleted
            queue, and while another such operation is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueuePurgeSynchronously(queue)
    >>> WDF_IO_QUEUE_PURGED(WdfIoQueueGetState(queue)[0])
    True
    """
    _operate(Queue, WDFQUEUE.purge_synchronously)


def WdfIoQueueStopAndPurge(
    Queue: WDFQUEUE | None, StopAndPurgeComplete: StateEvent, Context: object
) -> None:
    """Present no more; cancel what waits or is marked cancelable, but keep what comes.

    Args:
        Queue: the queue.
        StopAndPurgeComplete: called with the queue and Context when that has come about, or None.
        Context: for it.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR for a deleted queue, and for a callback while another one
            is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfIoQueueStopAndPurge(queue, lambda queue, context: print(context), "over")
    over
    """
    _operate(Queue, WDFQUEUE.stop_and_purge, StopAndPurgeComplete, Context)


def WdfIoQueueStopAndPurgeSynchronously(Queue: WDFQUEUE | None) -> None:
    """Stop and purge the queue, and return when no request is with the driver.

    Raises:
        BugCheck: WDF_QUEUE_FATAL_ERROR in a callback, where waiting would never end, for a deleted
            queue, and while another such operation is pending; not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueStopAndPurgeSynchronously(queue)
    >>> WDF_IO_QUEUE_STOPPED(WdfIoQueueGetState(queue)[0])
    True
    """
    _operate(Queue, WDFQUEUE.stop_and_purge_synchronously)


# ---- manual queues -------------------------------------------------------------------------------


def WdfIoQueueRetrieveNextRequest(Queue: WDFQUEUE | None) -> tuple[Status, WDFREQUEST | None]:
    """The first waiting request, the driver's from now on.

    Returns:
        NO_MORE_ENTRIES where none waits, WDF_PAUSED for a stopped queue, INVALID_DEVICE_STATE for
        a parallel one.

    Raises:
        BugCheck: not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueRetrieveNextRequest(queue)
    (STATUS_NO_MORE_ENTRIES (0x8000001A), None)
    """
    return _or_no_more(attempt(_queue(Queue).retrieve_next))


def WdfIoQueueRetrieveRequestByFileObject(
    Queue: WDFQUEUE | None, FileObject: WDFFILEOBJECT | None
) -> tuple[Status, WDFREQUEST | None]:
    """The first waiting request of a file object; see WdfIoQueueRetrieveNextRequest.

    Raises:
        BugCheck: not a queue handle, or not a file object handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> handle = queue.device.open()
    >>> WdfIoQueueRetrieveRequestByFileObject(queue, handle.file)
    (STATUS_NO_MORE_ENTRIES (0x8000001A), None)
    """
    queue, file = _queue(Queue), handle(FileObject, WDFFILEOBJECT, "FileObject")
    return _or_no_more(attempt(queue.retrieve_next, file))


def WdfIoQueueFindRequest(
    Queue: WDFQUEUE | None,
    FoundRequest: WDFREQUEST | None,
    FileObject: WDFFILEOBJECT | None,
    Parameters: WDF_REQUEST_PARAMETERS | None,
) -> tuple[Status, WDFREQUEST | None]:
    """Look for the next waiting request of a manual queue; it stays there.

    Args:
        Queue: the queue.
        FoundRequest: what an earlier call found; None begins with the first.
        FileObject: of that file object only; None for any.
        Parameters: filled with what the found request asks for; None where that is of no interest.

    Returns:
        The request, with a reference to be dropped; NO_MORE_ENTRIES at the end, NOT_FOUND where
        FoundRequest is not there any more, INVALID_DEVICE_REQUEST for a queue that is not manual,
        INVALID_PARAMETER_4 for Parameters of another Size.

    Raises:
        BugCheck: not a queue handle, or not a file object handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> status, found = WdfIoQueueFindRequest(queue, None, None, None)
    >>> found.length
    8
    >>> found.dereference()
    >>> pending.cancel()
    True
    """
    queue = _queue(Queue)
    file = None if FileObject is None else handle(FileObject, WDFFILEOBJECT, "FileObject")
    if queue.dispatch != "manual":
        return STATUS_INVALID_DEVICE_REQUEST, None
    if Parameters is not None and Parameters.Size < WDF_REQUEST_PARAMETERS.SIZEOF:
        return STATUS_INVALID_PARAMETER_4, None
    status, found = _or_no_more(attempt(queue.find_request, FoundRequest, file))
    if found is not None and Parameters is not None:
        fill_parameters(Parameters, found)
    return status, found


def WdfIoQueueRetrieveFoundRequest(
    Queue: WDFQUEUE | None, FoundRequest: WDFREQUEST | None
) -> tuple[Status, WDFREQUEST | None]:
    """Take a request that WdfIoQueueFindRequest found; it is the driver's from now on.

    Returns:
        NOT_FOUND where it is not in the queue any more, INVALID_DEVICE_REQUEST for a queue that is
        not manual.

    Raises:
        BugCheck: not a queue handle, or FoundRequest is NULL.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> pending = queue.device.open().start_read(bytearray(8))
    >>> status, found = WdfIoQueueFindRequest(queue, None, None, None)
    >>> status, request = WdfIoQueueRetrieveFoundRequest(queue, found)
    >>> found.dereference()
    >>> request.complete()
    """
    queue, found = _queue(Queue), not_null(FoundRequest, "FoundRequest")
    status = perform(queue.retrieve_found, found)
    return status, found if status == STATUS_SUCCESS else None


def WdfIoQueueReadyNotify(
    Queue: WDFQUEUE | None, QueueReady: StateEvent, Context: object
) -> Status:
    """Have a manual queue tell when a request comes while it has none.

    Args:
        Queue: the queue.
        QueueReady: called with the queue and Context; None takes the callback back.
        Context: for it.

    Returns:
        INVALID_DEVICE_REQUEST for a queue that is not manual, a second callback, one that is taken
        back while there is none or while the queue is not stopped.

    Raises:
        BugCheck: not a queue handle.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueReadyNotify(queue, None, None)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    """
    queue = _queue(Queue)
    return perform(queue.ready_notify, state_event(queue, QueueReady, Context))


def WdfIoQueueAssignForwardProgressPolicy(
    Queue: WDFQUEUE | None, ForwardProgressPolicy: object
) -> Status:
    """Keep requests in reserve for low memory: always NOT_SUPPORTED here.

    Raises:
        BugCheck: not a queue handle, or ForwardProgressPolicy is NULL.

    >>> import membuf
    >>> queue = membuf.Device().queue(dispatch="manual", default=True)
    >>> WdfIoQueueAssignForwardProgressPolicy(queue, object())
    STATUS_NOT_SUPPORTED (0xC00000BB)
    """
    _queue(Queue)
    not_null(ForwardProgressPolicy, "ForwardProgressPolicy")
    return STATUS_NOT_SUPPORTED


# ---- what they have in common --------------------------------------------------------------------


def _queue(candidate: WDFQUEUE | None) -> WDFQUEUE:
    enter()
    return handle(candidate, WDFQUEUE, "Queue")


def _operate(
    candidate: WDFQUEUE | None,
    operation: Callable[..., None],
    function: StateEvent = None,
    context: object = None,
) -> None:
    """A change of state, of a deleted queue too: that has a bug check of its own."""
    enter()
    queue = handle_of_any_age(candidate, WDFQUEUE, "Queue")
    callback = state_event(queue, function, context)
    status = perform(operation, queue, *(() if callback is None else (callback,)))
    if status != STATUS_SUCCESS:
        reason = f"{operation.__name__} of {queue!r} in a callback would wait for itself"
        violation(WDF_QUEUE_FATAL_ERROR, queue, reason=reason, p3=status)
    enter()


def _or_no_more(answer: tuple[Status, Answer | None]) -> tuple[Status, Answer | None]:
    """What the framework answers where the Python face finds none."""
    status, request = answer
    if status == STATUS_SUCCESS and request is None:
        return STATUS_NO_MORE_ENTRIES, None
    return status, request

"""What wdfrequest.h has to make requests and to send them; `wdfrequest` shows it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from membuf.base.errors import BugCheck, MembufError
from membuf.base.status import (
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    STATUS_WDF_REQUEST_INVALID_STATE,
    Status,
)
from membuf.request import ReceivedRequest
from membuf.wdf._arguments import handle, not_null
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import debug_break, ignoring, perform, status_of
from membuf.wdf._create import create_then_dress, parent_of
from membuf.wdf._driver import driver_of, need_driver
from membuf.wdf._request_handle import request_handle
from membuf.wdf._request_options import (
    SET_NEW_IRP,
    WDF_REQUEST_COMPLETION_PARAMS,
    WDF_REQUEST_COMPLETION_PARAMS_INIT,
    WDF_REQUEST_REUSE_PARAMS,
    WDF_REQUEST_SEND_OPTIONS,
    check_options,
    check_reuse,
    fill_completion,
    send_keywords,
)
from membuf.wdf.wdftypes import WDFIOTARGET, WDFREQUEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.request import CompletionParams


def WdfRequestCreate(
    RequestAttributes: WDF_OBJECT_ATTRIBUTES | None, IoTarget: WDFIOTARGET | None
) -> tuple[Status, WDFREQUEST | None]:
    """Create a request of the driver's own.

    Args:
        RequestAttributes: how, or None for the defaults; the default parent is the driver.
        IoTarget: where it is to go, or None.

    Returns:
        The status and the request; INVALID_DEVICE_STATE for a target that is not open.

    Raises:
        BugCheck: no driver, or a handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, request = WdfRequestCreate(None, None)
    ...     WdfRequestGetStatus(request)
    STATUS_SUCCESS (0x00000000)
    """
    driver = need_driver("WdfRequestCreate")
    check_parent_handle(RequestAttributes)
    target = None if IoTarget is None else handle(IoTarget, WDFIOTARGET, "IoTarget")
    status = validate(RequestAttributes)
    if status != STATUS_SUCCESS:
        return status, None
    make = partial(WDFREQUEST, target, parent=parent_of(driver, RequestAttributes))
    return create_then_dress(driver, RequestAttributes, make)


def WdfRequestReuse(
    Request: WDFREQUEST | None, ReuseParams: WDF_REQUEST_REUSE_PARAMS | None
) -> Status:
    """Make a request as new: what it was formatted with is given back.

    Returns:
        INVALID_PARAMETER for another Size or an unknown flag; WDF_REQUEST_INVALID_STATE for
        another packet, after all else was done; INVALID_DEVICE_REQUEST in flight.

    Raises:
        BugCheck: not a request handle, or ReuseParams is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, request = WdfRequestCreate(None, None)
    ...     params = WDF_REQUEST_REUSE_PARAMS()
    ...     membuf.wdf.WDF_REQUEST_REUSE_PARAMS_INIT(params, 0, membuf.wdf.STATUS_CANCELLED)
    ...     status = WdfRequestReuse(request, params)
    ...     WdfRequestGetStatus(request)
    STATUS_CANCELLED (0xC0000120)
    """
    request, params = request_handle(Request), not_null(ReuseParams, "ReuseParams")
    status = check_reuse(params)
    if status == STATUS_SUCCESS:
        status = perform(request.reuse, params.Status)
    if status == STATUS_SUCCESS and params.Flags == SET_NEW_IRP:
        return STATUS_WDF_REQUEST_INVALID_STATE
    return status


def WdfRequestChangeTarget(Request: WDFREQUEST | None, IoTarget: WDFIOTARGET | None) -> Status:
    """Let a request go elsewhere; **what it was formatted with is dropped**, even on failure.

    Raises:
        BugCheck: not a request handle, or not a target handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"), membuf.open_target("file:/dev/null") as target:
    ...     status, request = WdfRequestCreate(None, None)
    ...     WdfRequestChangeTarget(request, target)
    STATUS_SUCCESS (0x00000000)
    """
    request = request_handle(Request)
    return perform(request.change_target, handle(IoTarget, WDFIOTARGET, "IoTarget"))


def WdfRequestFormatRequestUsingCurrentType(Request: WDFREQUEST | None) -> None:
    """Let a received request be sent on as what it is.

    Raises:
        BugCheck: WDF_REQUEST_FATAL_ERROR for one of the driver's own, and where no stack location
            is left; not a request handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, request = WdfRequestCreate(None, None)
    ...     WdfRequestFormatRequestUsingCurrentType(request)
    Traceback (most recent call last):
    ...
    membuf.BugCheck: WDF_VIOLATION (0x10D, 0x6, ...
    """
    request = request_handle(Request)
    ignoring("WdfRequestFormatRequestUsingCurrentType", request.format_current_type)


def WdfRequestSetCompletionRoutine(
    Request: WDFREQUEST | None,
    CompletionRoutine: Callable[..., object] | None,
    CompletionContext: Any,
) -> None:
    """Have a routine told of the next completion, and of that one alone.

    Args:
        Request: the request.
        CompletionRoutine: (request, target, completion parameters, context); None for none.
        CompletionContext: its last argument.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     status, request = WdfRequestCreate(None, None)
    ...     WdfRequestSetCompletionRoutine(request, print, None)
    """
    request = request_handle(Request)
    routine = None if CompletionRoutine is None else _routine(request, CompletionRoutine)
    request.set_completion_routine(routine, CompletionContext)


def _routine(request: WDFREQUEST, function: Callable[..., object]) -> Callable[..., None]:
    driver = driver_of(request.device if isinstance(request, ReceivedRequest) else request)

    def run(request: WDFREQUEST, target: Any, completion: CompletionParams, context: Any) -> None:
        params = WDF_REQUEST_COMPLETION_PARAMS()
        WDF_REQUEST_COMPLETION_PARAMS_INIT(params)
        fill_completion(params, completion)
        with driver.running():
            driver.heard("EvtRequestCompletionRoutine")
            try:
                function(request, target, params, context)
            except BugCheck as error:
                driver.kept.append(error)

    return run


def WdfRequestSend(
    Request: WDFREQUEST | None,
    Target: WDFIOTARGET | None,
    Options: WDF_REQUEST_SEND_OPTIONS | None,
) -> bool:
    """Send a request: delivered, or waiting in its stopped target.

    Returns:
        False where it was not; WdfRequestGetStatus says why, and the driver has it still.

    Raises:
        BugCheck: WDF_REQUEST_FATAL_ERROR for one that is in flight; a handle that is not one.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"), membuf.open_target("file:/dev/null") as target:
    ...     status, request = WdfRequestCreate(None, target)
    ...     WdfRequestSend(request, target, None), WdfRequestGetStatus(request)
    (False, STATUS_REQUEST_NOT_ACCEPTED (0xC00000D0))
    """
    request, target = request_handle(Request), handle(Target, WDFIOTARGET, "Target")
    if check_options(Options) != STATUS_SUCCESS:
        request.refuse_send(STATUS_INVALID_PARAMETER)
        return False
    try:
        request.send(target=target, **send_keywords(Options))
    except MembufError as error:
        status_of(error)
        return False
    return True


def WdfRequestGetStatus(Request: WDFREQUEST | None) -> Status:
    """The last status: of its end, of a send that failed, or as WdfRequestReuse set it.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfRequestGetStatus(WdfRequestCreate(None, None)[1])
    STATUS_SUCCESS (0x00000000)
    """
    return request_handle(Request).status


def WdfRequestCancelSentRequest(Request: WDFREQUEST | None) -> bool:
    """Ask for the early end of a sent request; whether something could be stopped at once.

    Not in flight, the request remembers: its next send fails until it is reused.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfRequestCancelSentRequest(WdfRequestCreate(None, None)[1])
    False
    """
    return request_handle(Request).cancel()


def WdfRequestGetCompletionParams(
    Request: WDFREQUEST | None, Params: WDF_REQUEST_COMPLETION_PARAMS | None
) -> None:
    """Say how a sent request ended; a structure of another Size stays as it is.

    Raises:
        BugCheck: not a request handle, or Params is NULL.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     params = WDF_REQUEST_COMPLETION_PARAMS()
    ...     WDF_REQUEST_COMPLETION_PARAMS_INIT(params)
    ...     WdfRequestGetCompletionParams(WdfRequestCreate(None, None)[1], params)
    ...     params.Type
    255
    """
    request, params = request_handle(Request), not_null(Params, "Params")
    if params.Size != WDF_REQUEST_COMPLETION_PARAMS.SIZEOF:
        debug_break("WdfRequestGetCompletionParams ignored: Size is %s", params.Size)
    else:
        fill_completion(params, request.completion)


def WdfRequestAllocateTimer(Request: WDFREQUEST | None) -> Status:
    """Have what a timeout needs allocated early: nothing is needed here.

    Raises:
        BugCheck: not a request handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     WdfRequestAllocateTimer(WdfRequestCreate(None, None)[1])
    STATUS_SUCCESS (0x00000000)
    """
    request_handle(Request)
    return STATUS_SUCCESS

"""A request's handle, and asking what was received."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf.base.status import STATUS_INVALID_DEVICE_REQUEST, Status
from membuf.request import ReceivedRequest
from membuf.wdf._arguments import handle
from membuf.wdf._bugcheck import Answer, attempt
from membuf.wdf._driver import enter
from membuf.wdf.wdftypes import WDFREQUEST

if TYPE_CHECKING:
    from collections.abc import Callable


def request_handle(candidate: WDFREQUEST | None) -> WDFREQUEST:
    """A request's handle; one that was received answers for itself, complete or not."""
    enter()
    if isinstance(candidate, ReceivedRequest):
        return candidate
    return handle(candidate, WDFREQUEST, "Request")


def ask(
    candidate: WDFREQUEST | None, retrieve: Callable[[ReceivedRequest], Answer]
) -> tuple[Status, Answer | None]:
    """Ask a received request; INVALID_DEVICE_REQUEST for one of the driver's own."""
    request = request_handle(candidate)
    if not isinstance(request, ReceivedRequest):
        return STATUS_INVALID_DEVICE_REQUEST, None
    return attempt(retrieve, request)

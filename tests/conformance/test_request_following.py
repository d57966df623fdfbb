"""A received request on its way to another target: whose it is, and who cancels it."""

from __future__ import annotations

from typing import Any

import pytest

import membuf
from membuf.base.status import STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST
from membuf.bus import local_target
from tests.conformance.cases import case
from tests.receiving import Lab, refused


class Stack(Lab):
    """A lab whose requests go on to a lower device, which holds them too."""

    def __init__(self) -> None:
        self.lower = membuf.Device("following")
        self.below = self.lower.queue("default", dispatch="manual", default=True)
        self.local = local_target(self.lower)
        super().__init__(lower=self.local)
        self.ended: list[tuple[int, int]] = []

    def sent(self, request: Any) -> Any:
        """Send a request and return what the lower device gets of it."""
        request.send(lambda *_: self.ended.append((request.status, request.information)))
        return self.below.retrieve_next()


def cancelled(request: Any) -> None:
    """The lower device's cancel callback."""
    request.complete(STATUS_CANCELLED)


@case("R3.3-sent")
@pytest.mark.parametrize("formatted", [True, False])
def test_an_originators_cancel_reaches_the_lower_device(formatted: bool) -> None:
    own = Stack()
    request, pending, _ = own.read(10)
    if formatted:
        request.format_read(request.output_memory())
    else:
        request.format_current_type()
    lower = own.sent(request)
    lower.mark_cancelable(cancelled)
    assert pending.cancel()
    assert own.ended == [(STATUS_CANCELLED, 0)]
    request.complete(STATUS_CANCELLED)
    assert pending.wait() == (STATUS_CANCELLED, 0)


@case("R3.3-stopped")
@pytest.mark.parametrize("early", [True, False])
def test_an_originators_cancel_takes_a_request_out_of_a_stopped_target(early: bool) -> None:
    own = Stack()
    own.local.stop()
    request, pending, _ = own.read(10)
    if early:
        assert not pending.cancel()
    request.format_read(request.output_memory())
    assert own.sent(request) is None
    assert early or pending.cancel()
    assert own.ended == [(STATUS_CANCELLED, 0)]
    request.complete(STATUS_CANCELLED)
    assert pending.wait() == (STATUS_CANCELLED, 0)


@case("R3.1-owner-sends")
def test_only_its_owner_sends_a_request_and_not_while_it_is_marked() -> None:
    own, other = Stack(), list[Any]()
    waiting = own.device.queue("other", dispatch="manual")
    request, pending, _ = own.read(10)
    request.format_current_type()
    request.mark_cancelable(other.append)
    for options in ({}, {"send_and_forget": True}):
        with refused(STATUS_INVALID_DEVICE_REQUEST):
            request.send(None if options else print, **options)
        assert request.status == STATUS_INVALID_DEVICE_REQUEST
    request.unmark_cancelable()
    request.forward(waiting)
    for options in ({}, {"send_and_forget": True}):
        with refused(STATUS_INVALID_DEVICE_REQUEST):
            request.send(None if options else print, **options)
    assert waiting.retrieve_next() is request
    lower = own.sent(request)
    for mark in (request.mark_cancelable, request.try_mark_cancelable):
        with refused(STATUS_INVALID_DEVICE_REQUEST):
            mark(other.append)
    lower.complete(information=3)
    assert own.ended == [(0, 3)]
    request.complete()
    assert pending.wait() == (0, 3)
    assert other == []

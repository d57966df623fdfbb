"""A driver's requests leak nothing, however they end; nor do devices, collections and locks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

import membuf
from membuf import wdf
from tests.leak.meters import leak_of
from tests.support import without_sanitizer
from tests.wdf_receiving import BUFFERED, Lab, lab, queue_config

# Every small object is a block of malloc's there, and the caches between are never filled.
pytestmark = without_sanitizer

OK, CAN = wdf.STATUS_SUCCESS, wdf.STATUS_CANCELLED


def completed(own: Lab) -> None:
    """Read, write and control, retrieved in every way."""
    for request in (own.read(64)[0], own.write(b"x" * 64)[0], own.ioctl(BUFFERED, 8, 8)[0]):
        for retrieve in (
            wdf.WdfRequestRetrieveInputMemory,
            wdf.WdfRequestRetrieveOutputMemory,
            wdf.WdfRequestRetrieveInputWdmMdl,
            wdf.WdfRequestRetrieveOutputWdmMdl,
        ):
            retrieve(request)
        wdf.WdfRequestProbeAndLockUserBufferForRead(request, bytearray(64), 64)
        wdf.WdfRequestComplete(request, OK)


def cancelled(own: Lab) -> None:
    """Cancelled while it waits, while it is marked, and before it is."""
    own.handle.start_read(bytearray(8)).cancel()
    request, pending, _ = own.read(8)
    wdf.WdfRequestMarkCancelable(request, lambda r: wdf.WdfRequestComplete(r, CAN))
    pending.cancel()
    request, pending, _ = own.read(8)
    pending.cancel()
    wdf.WdfRequestMarkCancelableEx(request, print)
    wdf.WdfRequestComplete(request, CAN)


def passed_on(own: Lab) -> None:
    """Found, retrieved, requeued, refused."""
    own.handle.start_read(bytearray(8))
    _, found = wdf.WdfIoQueueFindRequest(own.queue, None, None, None)
    wdf.WdfIoQueueRetrieveFoundRequest(own.queue, found)
    wdf.WdfObjectDereference(found)
    wdf.WdfRequestRequeue(found)
    request, _ = own.taken(None)
    wdf.WdfRequestForwardToIoQueue(request, own.queue)
    wdf.WdfRequestComplete(request, OK)
    wdf.WdfRequestComplete(request, OK)


def stopped(own: Lab) -> None:
    """A completion that is stopped by a hold, and goes on without it."""
    request, *_ = own.read(8)
    _, memory = wdf.WdfRequestRetrieveOutputMemory(request)
    wdf.WdfObjectReference(memory)
    try:
        wdf.WdfRequestComplete(request, OK)
    except membuf.BugCheck:
        wdf.WdfObjectDereference(memory)
    wdf.WdfRequestComplete(request, OK)


def objects(own: Lab) -> None:
    """Collections and locks, and a lock of a device."""
    _, collection = wdf.WdfCollectionCreate(None)
    wdf.WdfCollectionAdd(collection, own.queue)
    _, lock = wdf.WdfWaitLockCreate(None)
    wdf.WdfWaitLockAcquire(lock, 0)
    wdf.WdfWaitLockRelease(lock)
    wdf.WdfObjectDelete(lock)
    wdf.WdfObjectDelete(collection)
    wdf.WdfObjectAcquireLock(own.device)
    wdf.WdfObjectReleaseLock(own.device)


@pytest.mark.parametrize("work", [completed, cancelled, passed_on, stopped, objects])
def test_requests_leak_nothing(
    work: Callable[[Lab], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("membuf.wdf"), "disabled", True)  # pytest keeps records
    with lab() as own:
        found = leak_of(lambda: work(own))
    assert found is None, found


def test_drivers_and_their_devices_leak_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda args: None)

    def write(queue: Any, request: Any, length: int) -> None:
        wdf.WdfRequestCompleteWithInformation(request, OK, length + 1)

    def live_and_die() -> None:
        try:
            with lab(queue_config(wdf.WdfIoQueueDispatchSequential, EvtIoWrite=write)) as own:
                own.handle.start_write(b"x").wait()
        except membuf.BugCheck:
            return
        raise AssertionError("the bug check was lost")

    found = leak_of(live_and_die)
    assert found is None, found

"""Requests 3.5, 3.9 and 4.4 of the specification: making queues, routing, access (Python face)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.request import ControlCode, RequestType
from tests.conformance.cases import case
from tests.receiving import Lab, refused, status_of

IDR, IDS, CAN = (
    st.STATUS_INVALID_DEVICE_REQUEST,
    st.STATUS_INVALID_DEVICE_STATE,
    st.STATUS_CANCELLED,
)


# ---- codes ---------------------------------------------------------------------------------------


@case("Q139")
def test_codes_are_taken_apart() -> None:
    assert ControlCode.decode(0x222003).method == 3
    assert ControlCode.decode(0x22200A) == ControlCode(0x22, 0x802, 2, 0)
    assert ControlCode(0x22, 0x800).encode() == 0x222000
    assert ControlCode(0x22, 0x800, 3, 3).encode() == 0x22E003
    assert ControlCode(7, 2, 0, 3).encode() == 0x7C008


@case("Q140")
def test_access_is_checked_before_any_driver() -> None:
    device, seen = membuf.Device("access"), []

    @device.on_default
    def default(request: Any) -> None:
        seen.append(request.type)
        request.complete()

    with device.open("read") as handle:
        with pytest.raises(PermissionError):
            handle.ioctl(ControlCode(0x22, 0x800, 0, 2).encode())
        with refused(st.STATUS_ACCESS_DENIED):
            handle.write(b"x")
        assert seen == []
        handle.ioctl(ControlCode(0x22, 0x800, 0, 1).encode())
    assert seen == [RequestType.DEVICE_CONTROL]


# ---- making queues -------------------------------------------------------------------------------


def test_what_is_refused_of_a_new_queue() -> None:
    device, foreign = membuf.Device("making"), membuf.Device("foreign")
    handler = {RequestType.READ: lambda _: None}
    ip = st.STATUS_INVALID_PARAMETER
    for options, status in [
        ({"dispatch": "random"}, ip),
        ({"dispatch": "parallel", "maximum": 0}, ip),
        ({"dispatch": "manual", "maximum": 1}, ip),
        ({"dispatch": "sequential", "maximum": 1}, ip),
        ({"dispatch": "manual", "handlers": handler}, ip),
        ({"dispatch": "parallel", "handlers": {}}, st.STATUS_WDF_NO_CALLBACK),
        ({"parent": foreign}, IDR),
    ]:
        with refused(status):
            device.queue("q", **options)
    device.queue("q", default=True)
    with refused(st.STATUS_UNSUCCESSFUL):
        device.queue("q", default=True)
    device.start()
    with refused(IDS):
        device.queue("q", default=True)
    with refused(IDS):
        device.route(RequestType.READ, device.queue("m", dispatch="manual"))


def test_routes() -> None:
    device, foreign = membuf.Device("routes"), membuf.Device("foreign")
    default = device.queue("default", dispatch="manual", default=True)
    reads = device.queue("reads", handlers={RequestType.READ: lambda r: r.complete()})
    with refused(st.STATUS_INVALID_PARAMETER):
        device.route(RequestType.FLUSH, reads)
    for queue in (default, foreign.queue("m", dispatch="manual")):
        with refused(IDR):
            device.route(RequestType.READ, queue)
    with refused(IDR):
        device.route(RequestType.WRITE, reads)
    with refused(IDR):
        device.route(RequestType.CREATE, reads)
    device.route(RequestType.READ, reads)
    with refused(st.STATUS_WDF_BUSY):
        device.route(RequestType.READ, device.queue("m", dispatch="manual"))
    for queue in (default, reads):
        with refused(st.STATUS_CANNOT_DELETE):
            queue.delete()
    handle = device.open()
    assert handle.start_read(bytearray(8)).done
    assert not handle.start_write(b"x").done
    assert default.waiting == 1
    handle.close()


# ---- in the caller's context ---------------------------------------------------------------------


def test_in_caller_context_comes_first_and_for_every_request() -> None:
    lab, log = Lab(), []

    @lab.device.on_in_caller_context
    def here(request: Any) -> None:
        log.append((request.type.name, threading.get_ident(), request.length))
        if request.type is RequestType.WRITE:
            request.complete(information=request.length)
        else:
            lab.device.enqueue(request)

    me = threading.get_ident()
    assert lab.handle.start_write(b"abc").wait() == (0, 3)
    request, pending, _ = lab.read(0)
    assert log == [("WRITE", me, 3), ("READ", me, 0)]
    with refused(IDR):
        lab.device.enqueue(request)
    request.complete()
    assert pending.done


def test_enqueue_to_a_queue_that_takes_nothing() -> None:
    lab, statuses = Lab(), []
    lab.queue.purge()

    @lab.device.on_in_caller_context
    def here(request: Any) -> None:
        statuses.append(status_of(lambda: lab.device.enqueue(request)))
        statuses.append(request.owned)
        request.complete(st.STATUS_UNSUCCESSFUL)

    assert lab.handle.start_read(bytearray(8)).wait() == (st.STATUS_UNSUCCESSFUL, 0)
    assert statuses == [st.STATUS_WDF_BUSY, True]


def test_enqueue_without_a_queue() -> None:
    device, statuses = membuf.Device("no queue"), []

    @device.on_in_caller_context
    def here(request: Any) -> None:
        statuses.append(status_of(lambda: device.enqueue(request)))
        request.complete()

    assert device.open().start_read(bytearray(8)).wait() == (0, 0)
    assert statuses == [IDR]


def test_what_came_that_way_counts_as_presented() -> None:
    lab, called = Lab(), []
    lab.queue.on_canceled(called.append)
    lab.device.on_in_caller_context(lab.device.enqueue)
    pending = lab.handle.start_read(bytearray(8))
    assert pending.cancel()
    assert len(called) == 1
    called.pop().complete(CAN)
    assert pending.wait() == (CAN, 0)

"""Cases of sending: options, received requests, time, cancelling, and what holds memory."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.bus import local_target
from membuf.request import RequestType
from membuf.request.irp import Irp
from tests.conformance.cases import case
from tests.wdf_sending import CONTROL, OK, Routine, Site, memory, options, site

SYNCHRONOUS = wdf.WDF_REQUEST_SEND_OPTION_SYNCHRONOUS
FORGET = wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET
TIMEOUT = wdf.WDF_REQUEST_SEND_OPTION_TIMEOUT
VERIFIER, ALREADY_SENT = (0x10D, 3), (0x10D, 6, 3)


def received(own: Site, size: int = 8, write: bool = True) -> tuple[Any, Any]:
    """A request that the driver's own device received, and what its originator holds."""
    got: list[Any] = []
    own.device.on_write(got.append)
    own.device.on_read(got.append)
    handle = own.device.open()
    buffer = bytearray(range(size))
    pending = handle.start_write(buffer) if write else handle.start_read(buffer)
    return got.pop(), pending


def refused(request: Any, target: Any, how: Any, status: int) -> None:
    """A send that must answer FALSE, and say why."""
    assert not wdf.WdfRequestSend(request, target, how)
    assert wdf.WdfRequestGetStatus(request) == status


def reuse(request: Any) -> None:
    """Reuse a request."""
    params = wdf.WDF_REQUEST_REUSE_PARAMS()
    wdf.WDF_REQUEST_REUSE_PARAMS_INIT(params, wdf.WDF_REQUEST_REUSE_NO_FLAGS, OK)
    assert wdf.WdfRequestReuse(request, params) == OK


def bug_check(call: Any) -> tuple[int, ...]:
    """The code and first parameters of the bug check that a call ends in."""
    with pytest.raises(membuf.BugCheck) as caught:
        call()
    return caught.value.code, caught.value.p1, caught.value.p2


@case("Q77")
def test_flags_that_do_not_go_together() -> None:
    with site() as own:
        request = own.write(memory())
        for flags in (0x10, FORGET | TIMEOUT, FORGET | SYNCHRONOUS):
            refused(request, own.target, options(flags), wdf.STATUS_INVALID_PARAMETER)


@case("Q79")
def test_a_formatted_request_is_not_forgotten() -> None:
    with site() as own:
        local = wdf.WdfDeviceGetIoTarget(own.device)
        request, pending = received(own, write=False)
        status, output = wdf.WdfRequestRetrieveOutputMemory(request)
        assert status == OK
        wdf.WdfIoTargetFormatRequestForRead(local, request, output, None, None)
        refused(request, local, options(FORGET), wdf.STATUS_INVALID_DEVICE_REQUEST)
        wdf.WdfRequestComplete(request, OK)
        assert pending.done


@case("Q80")
def test_a_forgotten_request_is_gone_before_it_arrives() -> None:
    events: list[str] = []
    with site() as own:
        own.lower.on_write(lambda request: (events.append("lower"), request.complete(0xC000007F)))
        local = wdf.WdfDeviceGetIoTarget(own.device)
        request, pending = received(own)
        request.add_context(dict, on_cleanup=lambda _: events.append("cleanup"))
        data = bytearray(16)
        status, probed = wdf.WdfRequestProbeAndLockUserBufferForRead(request, data, 16)
        assert (status, probed is not None) == (OK, True)
        assert wdf.WdfRequestSend(request, local, options(FORGET))
        assert events == ["cleanup", "lower"]
        assert pending.wait() == (0xC000007F, 0)
        assert probed is not None
        assert bug_check(lambda: wdf.WdfMemoryGetBuffer(probed))[:2] == (0x10D, 5)


@case("Q82", "Q83")
def test_an_own_request_without_a_routine_or_without_a_format() -> None:
    with site() as own:
        request = own.write(memory())
        assert wdf.WdfRequestSend(request, own.target, None)
        own.one().complete(information=8)
        refused(own.request(), own.target, None, wdf.STATUS_REQUEST_NOT_ACCEPTED)
        refused(request, own.target, None, wdf.STATUS_REQUEST_NOT_ACCEPTED)
        refused(request, own.target, options(FORGET), wdf.STATUS_INVALID_DEVICE_STATE)
        above, pending = received(own)
        wdf.WdfRequestFormatRequestUsingCurrentType(above)
        local = wdf.WdfDeviceGetIoTarget(own.device)
        refused(above, local, None, wdf.STATUS_INVALID_DEVICE_REQUEST)
        wdf.WdfRequestComplete(above, OK)
        assert pending.done


@case("Q85")
def test_a_second_send_stops_the_driver() -> None:
    with site() as own:
        request = own.write(memory())
        assert wdf.WdfRequestSend(request, own.target, None)
        assert bug_check(lambda: wdf.WdfRequestSend(request, own.target, None)) == ALREADY_SENT
        own.one().complete(information=8)


@case("Q86")
def test_a_packet_with_too_few_locations() -> None:
    with site() as own:
        middle = membuf.Device(lower=local_target(own.lower), filter=True)
        deep = local_target(membuf.Device(lower=local_target(middle), filter=True))
        got: list[Any] = []
        top = membuf.Device()
        top.on_default(got.append)
        top.submit(Irp(RequestType.FLUSH, stack_count=1))
        kept, shallow = memory(), got.pop()
        for request, status in ((shallow, wdf.STATUS_REQUEST_NOT_ACCEPTED), (own.request(), OK)):
            form = wdf.WdfIoTargetFormatRequestForWrite
            assert form(deep, request, kept, None, None) == status
            assert wdf.WdfRequestChangeTarget(request, deep) == status
        assert kept.reference_count == 1
        shallow.complete()


@case("Q88", "Q89")
def test_a_synchronous_timeout() -> None:
    with site() as own:
        half_a_tenth = options(SYNCHRONOUS, -500_000)
        for cancelable, status in ((True, wdf.STATUS_IO_TIMEOUT), (False, OK)):
            ending = threading.Thread(target=end_slowly, args=(own, cancelable))
            ending.start()
            request, begin = own.write(memory()), time.monotonic()
            assert wdf.WdfRequestSend(request, own.target, half_a_tenth)
            assert wdf.WdfRequestGetStatus(request) == status
            assert time.monotonic() - begin > (0.04 if cancelable else 0.19)
            ending.join()


def end_slowly(own: Site, cancelable: bool) -> None:
    """The lower side: silent and cancelable, or not cancelable and slow."""
    lower = own.one()
    if cancelable:
        lower.mark_cancelable(lambda request: request.complete(wdf.STATUS_CANCELLED))
    else:
        time.sleep(0.2)
        lower.complete(information=8)


@case("Q91")
def test_an_asynchronous_timeout() -> None:
    with site() as own:
        request, routine = own.write(memory()), Routine()
        routine.set(request)
        assert wdf.WdfRequestSend(request, own.target, options(0, -300_000))
        own.one().mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        assert routine.wait() == (wdf.STATUS_IO_TIMEOUT, 0)


@case("Q92")
def test_a_timeout_in_a_stopped_target() -> None:
    with site() as own:
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
        request = own.write(memory())
        wdf.WdfRequestSend(request, own.target, options(SYNCHRONOUS, -200_000))
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_IO_TIMEOUT
        assert own.got == []


@case("Q94", "Q95")
def test_a_cancel_is_remembered_below() -> None:
    with site() as own:
        request = own.write(memory())
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        assert not wdf.WdfRequestCancelSentRequest(request)
        assert not lower.try_mark_cancelable(lambda _: None)
        lower.complete(wdf.STATUS_CANCELLED)
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_CANCELLED
        assert not wdf.WdfRequestCancelSentRequest(request)
        form = wdf.WdfIoTargetFormatRequestForWrite
        assert form(own.target, request, memory(), None, None) == OK
        refused(request, own.target, None, wdf.STATUS_CANCELLED)
        wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIoAndWait)
        refused(request, own.target, None, wdf.STATUS_INVALID_DEVICE_STATE)


@case("Q97")
def test_the_current_type_has_no_parameters() -> None:
    with site() as own:
        request, pending = received(own)
        routine, local = Routine(), wdf.WdfDeviceGetIoTarget(own.device)
        wdf.WdfRequestFormatRequestUsingCurrentType(request)
        routine.set(request)
        assert wdf.WdfRequestSend(request, local, None)
        own.one().complete(information=8)
        assert routine.wait() == (OK, 8)
        assert routine.types == [wdf.WdfRequestTypeNoFormat]
        wdf.WdfRequestCompleteWithInformation(request, OK, 8)
        assert pending.wait() == (OK, 8)


@case("Q98")
def test_a_routine_is_called_once() -> None:
    with site() as own:
        request, routine, kept = own.write(memory()), Routine(), memory()
        routine.set(request)
        for reused in (False, False, True):
            if reused:
                routine.set(request)
                reuse(request)
            wdf.WdfIoTargetFormatRequestForWrite(own.target, request, kept, None, None)
            assert wdf.WdfRequestSend(request, own.target, None)
            own.one().complete(information=8)
        assert routine.ended == [(OK, 8)]
        assert routine.types == [wdf.WdfRequestTypeWrite]


@case("Q100")
def test_a_change_of_target_unformats() -> None:
    with site() as own:
        kept = memory()
        request, other = own.write(kept), own.remote()
        own.open(other)
        assert kept.reference_count == 2
        assert wdf.WdfRequestChangeTarget(request, other) == OK
        assert kept.reference_count == 1
        refused(request, other, None, wdf.STATUS_REQUEST_NOT_ACCEPTED)


@case("Q101")
def test_a_timer_is_allocated_twice() -> None:
    with site() as own:
        request = own.request()
        assert [wdf.WdfRequestAllocateTimer(request) for _ in range(2)] == [OK, OK]


@case("Q103", "Q104", "Q106")
@pytest.mark.parametrize("synchronous", [False, True])
@pytest.mark.parametrize("way", ["reuse", "delete", "reformat"])
def test_an_own_request_holds_a_received_ones_memory(synchronous: bool, way: str) -> None:
    with site() as own:
        if synchronous:
            own.lower.on_write(lambda request: request.complete(information=8))
        request, pending = received(own)
        status, source = wdf.WdfRequestRetrieveInputMemory(request)
        assert status == OK
        sent = own.write(source)
        assert wdf.WdfRequestSend(sent, own.target, options(SYNCHRONOUS if synchronous else 0))
        if not synchronous:
            own.one().complete(information=8)
        assert bug_check(lambda: wdf.WdfRequestComplete(request, OK))[:2] == VERIFIER
        assert not pending.done
        if way == "reuse":
            reuse(sent)
        elif way == "delete":
            wdf.WdfObjectDelete(sent)
        else:
            form = wdf.WdfIoTargetFormatRequestForWrite
            assert form(own.target, sent, memory(), None, None) == OK
        wdf.WdfRequestComplete(request, OK)
        assert pending.done


@case("Q107", "Q109")
@pytest.mark.parametrize("preallocated", [False, True])
def test_memory_deleted_in_flight(preallocated: bool) -> None:
    events: list[str] = []
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtCleanupCallback = lambda _: events.append("cleanup")
    attributes.EvtDestroyCallback = lambda _: events.append("destroy")
    data = bytearray(b"yours.")
    with site() as own:
        if preallocated:
            status, kept = wdf.WdfMemoryCreatePreallocated(attributes, data, 6)
        else:
            status, kept, _ = wdf.WdfMemoryCreate(attributes, wdf.NonPagedPoolNx, 0, 6)
        assert status == OK
        assert kept is not None
        kept.copy_from(b"yours.")
        request = own.write(kept)
        assert wdf.WdfRequestSend(request, own.target, None)
        wdf.WdfObjectDelete(kept)
        assert events == ["cleanup"]
        lower = own.one()
        assert bytes(lower.input_buffer()) == b"yours."
        lower.complete(information=6)
        assert events == ["cleanup"]
        reuse(request)
        assert events == ["cleanup", "destroy"]
        assert data == b"yours."


@case("Q110")
def test_a_thousand_rounds() -> None:
    with site() as own:
        own.lower.on_write(lambda request: request.complete(information=8))
        kept, request, routine = memory(), own.request(), Routine()
        for _ in range(1000):
            reuse(request)
            wdf.WdfIoTargetFormatRequestForWrite(own.target, request, kept, None, None)
            routine.set(request)
            assert wdf.WdfRequestSend(request, own.target, None)
        assert routine.ended == [(OK, 8)] * 1000
        reuse(request)
        assert kept.reference_count == 1


@case("Q112")
def test_one_memory_as_input_and_output() -> None:
    with site() as own:
        kept, request = memory(), own.request()
        status = wdf.WdfIoTargetFormatRequestForIoctl(
            own.target, request, CONTROL, kept, None, kept, None
        )
        assert (status, kept.reference_count) == (OK, 3)
        reuse(request)
        assert kept.reference_count == 1

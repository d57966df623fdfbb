"""Differences between the framework's documents and its source that no numbered case decides."""

from __future__ import annotations

import time

import pytest

import membuf
from membuf import wdf
from tests.conformance.cases import case
from tests.wdf_receiving import lab
from tests.wdf_sending import OK, Routine, memory, options, site


@case("R6.12")
def test_a_target_closed_for_query_remove_takes_nothing() -> None:
    with site() as own:
        request = own.write(memory())
        wdf.WdfIoTargetCloseForQueryRemove(own.target)
        assert not wdf.WdfRequestSend(request, own.target, None)
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_INVALID_DEVICE_STATE
        assert own.got == []


@case("R6.13")
def test_a_stop_that_cancels_leaves_what_waits() -> None:
    with site() as own:
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetLeaveSentIoPending)
        waiting, routine = own.write(memory()), Routine()
        routine.set(waiting)
        assert wdf.WdfRequestSend(waiting, own.target, None)
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
        assert routine.ended == []
        wdf.WdfIoTargetStart(own.target)
        own.one().complete(information=8)
        assert routine.wait() == (OK, 8)
        wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIoAndWait)
        late = own.write(memory())
        assert not wdf.WdfRequestSend(late, own.target, None)
        assert wdf.WdfRequestGetStatus(late) == wdf.STATUS_INVALID_DEVICE_STATE


@case("R6.14")
def test_a_deadline_goes_on_through_a_start() -> None:
    with site() as own:
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
        request, routine = own.write(memory()), Routine()
        routine.set(request)
        assert wdf.WdfRequestAllocateTimer(request) == OK
        timeout = wdf.WDF_REL_TIMEOUT_IN_MS(400)
        start = time.monotonic()
        with_timeout = options(wdf.WDF_REQUEST_SEND_OPTION_TIMEOUT, timeout)
        assert wdf.WdfRequestSend(request, own.target, with_timeout)
        wdf.WdfIoTargetStart(own.target)
        below = own.one()
        assert below.try_mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        assert routine.wait() == (wdf.STATUS_IO_TIMEOUT, 0)
        assert time.monotonic() - start >= 0.39
        del below


@case("R6.19")
def test_a_cancel_that_comes_early_is_remembered_until_the_reuse() -> None:
    with site() as own:
        request = own.write(memory())
        assert not wdf.WdfRequestCancelSentRequest(request)
        assert not wdf.WdfRequestSend(request, own.target, None)
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_CANCELLED
        params = wdf.WDF_REQUEST_REUSE_PARAMS()
        wdf.WDF_REQUEST_REUSE_PARAMS_INIT(params, wdf.WDF_REQUEST_REUSE_NO_FLAGS, OK)
        assert wdf.WdfRequestReuse(request, params) == OK
        format_write = wdf.WdfIoTargetFormatRequestForWrite
        assert format_write(own.target, request, memory(), None, None) == OK
        assert wdf.WdfRequestSend(request, own.target, None)
        own.one().complete(information=8)


@case("R6.8")
def test_a_request_in_flight_is_not_formatted_anew() -> None:
    with site() as own:
        request, kept = own.request(), memory()
        format_write = wdf.WdfIoTargetFormatRequestForWrite
        assert format_write(own.target, request, kept, None, None) == OK
        assert wdf.WdfRequestSend(request, own.target, None)
        denied = wdf.STATUS_INVALID_DEVICE_REQUEST
        assert format_write(own.target, request, memory(), None, None) == denied
        assert wdf.WdfRequestChangeTarget(request, own.target) == denied
        assert kept.reference_count == 2  # what is in flight stays held
        own.one().complete(information=8)


@case("R6.15")
def test_a_failed_read_copies_nothing_back() -> None:
    with site() as own:
        for status, information, wanted in (
            (wdf.STATUS_UNSUCCESSFUL, 8, b"datadata"),
            (wdf.STATUS_BUFFER_OVERFLOW, 4, b"xxxxdata"),
            (OK, 0, b"datadata"),
        ):
            kept, request, routine = memory(8), own.request(), Routine()
            routine.set(request)
            format_read = wdf.WdfIoTargetFormatRequestForRead
            assert format_read(own.target, request, kept, None, None) == OK
            assert wdf.WdfRequestSend(request, own.target, None)
            below = own.one()
            below.output_memory().copy_from(b"xxxxxxxx")
            below.complete(status, information)
            assert routine.wait()[0] == status
            assert bytes(kept) == wanted


@case("R6.24")
def test_a_reused_request_may_be_sent_and_forgotten() -> None:
    with site() as own:
        queue = wdf.WdfDeviceGetDefaultQueue(own.device) or own.device.queue(
            dispatch="manual", default=True
        )
        with own.device.open() as handle:
            pending = handle.start_read(bytearray(8))
            _, request = wdf.WdfIoQueueRetrieveNextRequest(queue)
            _, kept = wdf.WdfRequestRetrieveOutputMemory(request)
            local = wdf.WdfDeviceGetIoTarget(own.device)
            format_read = wdf.WdfIoTargetFormatRequestForRead
            assert format_read(local, request, kept, None, None) == OK
            forget = options(wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET)
            assert not wdf.WdfRequestSend(request, local, forget)
            assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_INVALID_DEVICE_REQUEST
            params = wdf.WDF_REQUEST_REUSE_PARAMS()
            wdf.WDF_REQUEST_REUSE_PARAMS_INIT(params, wdf.WDF_REQUEST_REUSE_NO_FLAGS, OK)
            assert wdf.WdfRequestReuse(request, params) == OK
            assert wdf.WdfRequestSend(request, local, forget)
            own.one().complete(information=8)
            assert pending.wait(30) == (0, 8)


@case("R3.16-10")
@pytest.mark.parametrize("io_type", [wdf.WdfDeviceIoBuffered, wdf.WdfDeviceIoDirect])
def test_the_mdl_of_a_request_goes_at_its_completion(io_type: int) -> None:
    with lab(io_type=io_type) as own:
        request, _ = own.write(b"abcdefgh")
        wdf.WdfObjectReference(request)
        _, mdl = wdf.WdfRequestRetrieveInputWdmMdl(request)
        assert mdl is not None
        assert wdf.MmGetMdlByteCount(mdl) == 8
        wdf.WdfRequestComplete(request, OK)
        again = wdf.WdfRequestRetrieveInputWdmMdl(request)
        assert again == (wdf.STATUS_INTERNAL_ERROR, None)
        with pytest.raises(membuf.ObjectDeletedError):
            wdf.MmGetSystemAddressForMdlSafe(mdl, wdf.NormalPagePriority)
        wdf.WdfObjectDereference(request)


@case("R6.24-by-name")
def test_nothing_is_forgotten_to_a_target_opened_by_name() -> None:
    with site() as own:
        queue = own.device.queue(dispatch="manual", default=True)
        named, params = own.remote(), wdf.WDF_IO_TARGET_OPEN_PARAMS()
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(params, "device:wdf-lower", 3)
        assert wdf.WdfIoTargetOpen(named, params) == OK
        with own.device.open() as handle:
            pending = handle.start_read(bytearray(8))
            _, request = wdf.WdfIoQueueRetrieveNextRequest(queue)
            forget = options(wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET)
            assert not wdf.WdfRequestSend(request, named, forget)
            assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_INVALID_DEVICE_STATE
            wdf.WdfRequestComplete(request, OK)  # it is the driver's still
            assert pending.wait(30) == (0, 0)

"""Requests 113 to 140 of the specification through the framework's names."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import membuf
from membuf import wdf
from tests.conformance.cases import case
from tests.wdf_receiving import BUFFERED, NEITHER, Lab, lab, queue_config

OK, IDR, IDS, CAN, BUSY = (
    wdf.STATUS_SUCCESS,
    wdf.STATUS_INVALID_DEVICE_REQUEST,
    wdf.STATUS_INVALID_DEVICE_STATE,
    wdf.STATUS_CANCELLED,
    wdf.STATUS_WDF_BUSY,
)
SEQUENTIAL, PARALLEL, MANUAL = (
    wdf.WdfIoQueueDispatchSequential,
    wdf.WdfIoQueueDispatchParallel,
    wdf.WdfIoQueueDispatchManual,
)


def violation(call: Any, *arguments: Any) -> tuple[int, int, int]:
    """The code and the first parameters of the bug check that a call must raise."""
    with pytest.raises(membuf.BugCheck) as caught:
        call(*arguments)
    return caught.value.code, caught.value.p1, caught.value.p2


def end(request: Any, status: int = OK) -> None:
    """Complete a request."""
    wdf.WdfRequestComplete(request, status)


# ---- completing ----------------------------------------------------------------------------------


@case("Q113-wdf")
def test_success_with_more_than_was_asked_for() -> None:
    with lab() as own:
        request, pending, _ = own.read(100)
        complete = wdf.WdfRequestCompleteWithInformation
        assert violation(complete, request, OK, 101) == (0x10D, wdf.WDF_REQUEST_FATAL_ERROR, 4)
        assert not pending.done
        complete(request, wdf.STATUS_UNSUCCESSFUL, 101)
        assert pending.wait() == (wdf.STATUS_UNSUCCESSFUL, 101)
        request, pending, _ = own.read(100)
        complete(request, wdf.STATUS_BUFFER_OVERFLOW, 101)
        assert pending.wait() == (wdf.STATUS_BUFFER_OVERFLOW, 101)


@case("Q115-wdf")
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (wdf.STATUS_WDF_BUSY, wdf.STATUS_DEVICE_BUSY),
        (wdf.STATUS_WDF_TOO_FRAGMENTED, IDR),
        (wdf.STATUS_WDF_QUEUED, IDR),
        (wdf.STATUS_WDF_INTERNAL_ERROR, wdf.STATUS_INTERNAL_ERROR),
    ],
)
def test_statuses_of_the_framework_are_translated(given: int, seen: int) -> None:
    with lab() as own:
        request, pending, _ = own.read(8)
        end(request, given)
        assert pending.wait()[0] == seen


@case("Q116-wdf")
def test_only_the_owner_completes_and_once() -> None:
    with lab() as own:
        other = own.make_queue(queue_config())
        request, pending, _ = own.read(8)
        assert wdf.WdfRequestForwardToIoQueue(request, other) == OK
        end(request)
        assert not pending.done
        status, again = wdf.WdfIoQueueRetrieveNextRequest(other)
        assert (status, again is request) == (OK, True)
        wdf.WdfRequestSetInformation(request, 5)
        wdf.WdfRequestCompleteWithPriorityBoost(request, OK, 2)
        end(request, wdf.STATUS_UNSUCCESSFUL)
        assert pending.wait() == (OK, 5)
        assert wdf.WdfRequestGetInformation(request) == 0


# ---- cancelling ----------------------------------------------------------------------------------


@case("Q118-wdf", "Q119-wdf")
def test_marking_and_cancelling() -> None:
    called: list[Any] = []

    def cancel(request: Any) -> None:
        called.append(request)
        end(request, CAN)

    with lab() as own:
        request, pending, _ = own.read(8)
        wdf.WdfRequestMarkCancelable(request, cancel)
        assert not wdf.WdfRequestIsCanceled(request)
        assert pending.cancel()
        assert (called, pending.wait()) == ([request], (CAN, 0))
        request, pending, _ = own.read(8)
        assert not pending.cancel()
        assert wdf.WdfRequestIsCanceled(request)
        wdf.WdfRequestMarkCancelable(request, cancel)
        assert (called[1:], pending.wait()) == ([request], (CAN, 0))
        request, pending, _ = own.read(8)
        pending.cancel()
        assert wdf.WdfRequestMarkCancelableEx(request, cancel) == CAN
        assert len(called) == 2
        end(request, CAN)


@case("Q121-wdf", "Q122-wdf")
def test_unmark_and_its_refusals() -> None:
    with lab() as own:
        request, pending, _ = own.read(8)
        assert wdf.WdfRequestUnmarkCancelable(request) == IDR
        assert wdf.WdfRequestMarkCancelableEx(request, print) == OK
        assert wdf.WdfRequestMarkCancelableEx(request, print) == IDR
        assert not wdf.WdfRequestIsCanceled(request)
        assert wdf.WdfRequestUnmarkCancelable(request) == OK
        end(request)
        request, pending, _ = own.read(8)
        wdf.WdfRequestMarkCancelable(request, lambda _: None)
        pending.cancel()
        assert wdf.WdfRequestUnmarkCancelable(request) == CAN
        end(request, CAN)
        request, *_ = own.read(8)
        answer = violation(wdf.WdfRequestMarkCancelableEx, request, None)
        assert answer[:2] == (0x10D, wdf.WDF_REQUIRED_PARAMETER_IS_NULL)
        end(request)


@case("Q124-wdf")
def test_what_its_driver_has_seen_goes_to_canceled_on_queue() -> None:
    called: list[Any] = []

    def canceled(queue: Any, request: Any) -> None:
        called.append((queue, request))
        end(request, CAN)

    with lab() as own:
        other = own.make_queue(queue_config(EvtIoCanceledOnQueue=canceled))
        request, pending, _ = own.read(8)
        assert wdf.WdfRequestForwardToIoQueue(request, other) == OK
        assert pending.cancel()
        assert (called, pending.wait()) == ([(other, request)], (CAN, 0))


# ---- forwarding and requeueing -------------------------------------------------------------------


@case("Q125-wdf")
def test_where_a_request_cannot_be_forwarded() -> None:
    with lab() as own, lab() as foreign:
        other = own.make_queue(queue_config())
        request, *_ = own.read(8)
        forward = wdf.WdfRequestForwardToIoQueue
        assert [forward(request, queue) for queue in (own.queue, foreign.queue)] == [IDR, IDR]
        wdf.WdfRequestMarkCancelable(request, lambda _: None)
        assert forward(request, other) == IDR
        wdf.WdfRequestUnmarkCancelable(request)
        wdf.WdfIoQueuePurge(other, None, None)
        assert forward(request, other) == BUSY
        end(request)
        assert violation(forward, request, None)[:2] == (0x10D, wdf.WDF_INVALID_HANDLE)


@case("Q127-wdf")
def test_requeueing() -> None:
    with lab() as own:
        request, *_ = own.read(8, 1)
        later = own.handle.start_read(bytearray(8), 2)
        assert wdf.WdfRequestRequeue(request) == OK
        again, _ = own.taken(None)
        assert again is request
        end(request)
        end(own.taken(later)[0])

    def read(queue: Any, request: Any, length: int) -> None:
        answers.append(wdf.WdfRequestRequeue(request))
        end(request)

    for dispatch in (SEQUENTIAL, PARALLEL):
        answers: list[int] = []
        with lab(queue_config(dispatch, EvtIoRead=read)) as own:
            own.handle.read(1)
        assert answers == [IDR]


# ---- presenting ----------------------------------------------------------------------------------


@case("Q128-wdf")
def test_a_sequential_queue_never_nests() -> None:
    log: list[str] = []

    def write(queue: Any, request: Any, length: int) -> None:
        _, _, owned = wdf.WdfIoQueueGetState(queue)
        log.append(f"in {request.offset} {owned}")
        if request.offset == 0:
            for offset in (1, 2):
                own.handle.start_write(b"x", offset)
        end(request)
        log.append(f"out {request.offset}")

    with lab(queue_config(SEQUENTIAL, EvtIoWrite=write)) as own:
        own.handle.write(b"x", 0)
        assert log == ["in 0 1", "out 0", "in 1 1", "out 1", "in 2 1", "out 2"]


@case("Q130-wdf", "Q131-wdf")
def test_transfers_of_nothing_and_types_without_a_callback() -> None:
    seen: list[Any] = []

    def control(queue: Any, request: Any, *lengths_and_code: int) -> None:
        seen.append(lengths_and_code)
        end(request)

    def read(queue: Any, request: Any, length: int) -> None:
        seen.append(length)
        end(request)

    with lab(queue_config(PARALLEL, EvtIoDeviceControl=control, EvtIoRead=read)) as own:
        assert own.handle.start_read(bytearray(0)).wait() == (OK, 0)
        assert own.handle.start_ioctl(BUFFERED).wait() == (OK, 0)
        assert own.handle.start_ioctl(BUFFERED, b"1234", bytearray(8)).wait() == (OK, 0)
        assert seen == [(0, 0, BUFFERED), (8, 4, BUFFERED)]
        for size in (8, 0):
            assert own.handle.start_write(bytes(size)).wait() == (IDR, 0)


def test_default_and_internal_callbacks() -> None:
    log: list[str] = []

    def internal(queue: Any, request: Any, output: int, size: int, code: int) -> None:
        log.append(f"internal {code & 3}")
        end(request)

    def default(queue: Any, request: Any) -> None:
        log.append(request.type.name)
        end(request)

    config = queue_config(PARALLEL, EvtIoInternalDeviceControl=internal, EvtIoDefault=default)
    with lab(config) as own:
        own.handle.start_internal_ioctl(NEITHER, b"x").wait()
        own.handle.write(b"x")
        own.handle.ioctl(BUFFERED)
    assert log == ["internal 3", "WRITE", "DEVICE_CONTROL"]


# ---- states --------------------------------------------------------------------------------------


@case("Q133-wdf", "Q134-wdf")
def test_purge_and_stop_and_purge() -> None:
    over: list[Any] = []
    with lab() as own:
        request, one, _ = own.read(8)
        others = [own.handle.start_read(bytearray(8)) for _ in range(2)]
        marked: list[Any] = []
        wdf.WdfRequestMarkCancelable(request, marked.append)
        wdf.WdfIoQueuePurge(own.queue, lambda queue, context: over.append(context), "purged")
        assert [pending.wait() for pending in others] == [(CAN, 0)] * 2
        assert (marked, over) == ([request], [])
        end(request, CAN)
        assert (one.wait(), over) == ((CAN, 0), ["purged"])
        assert wdf.WDF_IO_QUEUE_PURGED(wdf.WdfIoQueueGetState(own.queue)[0])
        assert own.handle.start_read(bytearray(8)).wait() == (IDS, 0)
        wdf.WdfIoQueueStart(own.queue)
        request, *_ = own.read(8)
        present = own.handle.start_read(bytearray(8))
        wdf.WdfIoQueueStopAndPurge(own.queue, lambda *_: over.append("stopped"), None)
        arrival = own.handle.start_read(bytearray(8))
        assert (present.wait(), arrival.done, over) == ((CAN, 0), False, ["purged"])
        end(request)
        assert over == ["purged", "stopped"]
        assert wdf.WdfIoQueueGetState(own.queue)[1:] == (1, 0)
        wdf.WdfIoQueueStart(own.queue)
        end(own.taken(arrival)[0])


def test_stop_drain_and_what_is_pending() -> None:
    log: list[str] = []
    with lab() as own:
        request, *_ = own.read(8)
        wdf.WdfIoQueueStop(own.queue, lambda *_: log.append("stopped"), None)
        stop = (wdf.WdfIoQueueStopAndPurge, own.queue, print, None)
        assert violation(*stop)[:2] == (0x10D, wdf.WDF_QUEUE_FATAL_ERROR)
        wdf.WdfIoQueueDrain(own.queue, lambda *_: log.append("drained"), None)
        drain = (wdf.WdfIoQueueDrain, own.queue, print, None)
        assert violation(*drain)[:2] == (0x10D, wdf.WDF_QUEUE_FATAL_ERROR)
        end(request)
        assert log == ["stopped", "drained"]
        spare = own.make_queue(queue_config())
        wdf.WdfObjectDelete(spare)
        found = violation(wdf.WdfIoQueueStop, spare, None, None)
        assert found[:2] == (0x10D, wdf.WDF_QUEUE_FATAL_ERROR)


def test_the_forms_that_wait() -> None:
    kept: list[Any] = []

    def write(queue: Any, request: Any, length: int) -> None:
        kept.append(request)
        with pytest.raises(membuf.BugCheck):
            wdf.WdfIoQueueStopSynchronously(queue)

    with lab(queue_config(PARALLEL, EvtIoWrite=write)) as own:
        pending = own.handle.start_write(b"x")
        timer = threading.Timer(0.05, kept[0].complete)
        timer.start()
        wdf.WdfIoQueueStopSynchronously(own.queue)
        assert pending.done
        timer.join()
        for operate in (
            wdf.WdfIoQueueDrainSynchronously,
            wdf.WdfIoQueuePurgeSynchronously,
            wdf.WdfIoQueueStopAndPurgeSynchronously,
        ):
            operate(own.queue)
        assert wdf.WDF_IO_QUEUE_STOPPED(wdf.WdfIoQueueGetState(own.queue)[0])


# ---- retrieval -----------------------------------------------------------------------------------


@case("Q136-wdf")
def test_retrieval_by_state() -> None:
    nothing = (wdf.STATUS_NO_MORE_ENTRIES, None)
    with lab() as own:
        retrieve = wdf.WdfIoQueueRetrieveNextRequest
        assert retrieve(own.queue) == nothing
        assert wdf.WdfIoQueueRetrieveRequestByFileObject(own.queue, own.handle.file) == nothing
        assert wdf.WdfIoQueueFindRequest(own.queue, None, None, None) == nothing
        parallel = own.make_queue(queue_config(PARALLEL, EvtIoDefault=print))
        assert retrieve(parallel) == (IDS, None)
        assert wdf.WdfIoQueueFindRequest(parallel, None, None, None) == (IDR, None)
        assert wdf.WdfIoQueueReadyNotify(parallel, print, None) == IDR
        wdf.WdfIoQueueStop(own.queue, None, None)
        assert retrieve(own.queue) == (wdf.STATUS_WDF_PAUSED, None)


def test_requests_are_found_and_then_retrieved() -> None:
    with lab() as own, own.device.open() as other:
        for handle in (own.handle, other):
            handle.start_read(bytearray(8))
        find = wdf.WdfIoQueueFindRequest
        parameters = wdf.WDF_REQUEST_PARAMETERS()
        refused = find(own.queue, None, None, parameters)
        assert refused == (wdf.STATUS_INVALID_PARAMETER_4, None)
        wdf.WDF_REQUEST_PARAMETERS_INIT(parameters)
        status, found = find(own.queue, None, other.file, parameters)
        assert (status, parameters.Parameters.Read.Length) == (OK, 8)
        assert wdf.WdfRequestGetFileObject(found) is other.file
        assert wdf.WdfIoQueueRetrieveFoundRequest(own.queue, found) == (OK, found)
        gone = (wdf.STATUS_NOT_FOUND, None)
        assert wdf.WdfIoQueueRetrieveFoundRequest(own.queue, found) == gone
        assert find(own.queue, found, None, None) == gone
        wdf.WdfObjectDereference(found)
        end(found)
        end(own.taken(None)[0])


def test_ready_is_told_when_the_first_comes() -> None:
    log: list[Any] = []
    with lab() as own:
        notify = wdf.WdfIoQueueReadyNotify
        assert notify(own.queue, lambda queue, context: log.append((queue, context)), 7) == OK
        assert notify(own.queue, print, None) == IDR
        pendings = [own.handle.start_read(bytearray(8)) for _ in range(2)]
        assert log == [(own.queue, 7)]
        assert notify(own.queue, None, None) == IDR
        wdf.WdfIoQueueStop(own.queue, None, None)
        assert notify(own.queue, None, None) == OK
        assert [pending.cancel() for pending in pendings] == [True, True]


@case("Q137-wdf")
def test_cleanup_of_a_file_cancels_what_waits_of_it() -> None:
    with lab() as own:
        request, owned, _ = own.read(8)
        waiting = own.handle.start_read(bytearray(8))
        own.handle.close()
        assert (waiting.wait(), owned.done) == ((CAN, 0), False)
        end(request)
        assert owned.wait() == (OK, 0)


@case("Q139-wdf", "Q140-wdf")
def test_codes_and_the_access_they_need() -> None:
    assert wdf.METHOD_FROM_CTL_CODE(0x222003) == wdf.METHOD_NEITHER
    assert wdf.CTL_CODE(0x22, 0x802, wdf.METHOD_OUT_DIRECT, wdf.FILE_ANY_ACCESS) == 0x22200A
    seen: list[Any] = []

    def control(queue: Any, request: Any, *rest: int) -> None:
        seen.append(rest)
        end(request)

    code = wdf.CTL_CODE(0x22, 0x800, wdf.METHOD_BUFFERED, wdf.FILE_WRITE_ACCESS)
    with (
        lab(queue_config(PARALLEL, EvtIoDeviceControl=control)) as own,
        own.device.open("read") as reader,
    ):
        with pytest.raises(PermissionError):
            reader.ioctl(code)
        assert seen == []
        own.handle.ioctl(code)
        assert seen == [(0, 0, code)]


# ---- making devices and queues -------------------------------------------------------------------


def test_what_is_refused_of_a_new_queue() -> None:
    ip = wdf.STATUS_INVALID_PARAMETER
    with wdf.driver("Sample") as driver, lab() as foreign:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        _, device = wdf.WdfDeviceCreate(init, None)
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = foreign.device
        numbered = queue_config(SEQUENTIAL, EvtIoRead=print)
        numbered.Settings.Parallel.NumberOfPresentedRequests = 1
        unnumbered = queue_config(PARALLEL, EvtIoRead=print)
        unnumbered.Settings.Parallel.NumberOfPresentedRequests = 0
        for config, given, status in [
            (queue_config(Size=95), None, wdf.STATUS_INFO_LENGTH_MISMATCH),
            (queue_config(0), None, ip),
            (queue_config(4), None, ip),
            (queue_config(SEQUENTIAL), None, wdf.STATUS_WDF_NO_CALLBACK),
            (queue_config(MANUAL, EvtIoRead=print), None, ip),
            (numbered, None, ip),
            (unnumbered, None, ip),
            (queue_config(), attributes, IDR),
        ]:
            assert wdf.WdfIoQueueCreate(device, config, given) == (status, None)
        status, first = wdf.WdfIoQueueCreate(device, queue_config(default=True), None)
        assert (status, wdf.WdfDeviceGetDefaultQueue(device)) == (OK, first)
        second = wdf.WdfIoQueueCreate(device, queue_config(default=True), None)
        assert second == (wdf.STATUS_UNSUCCESSFUL, None)
        wdf.WdfControlFinishInitializing(device)
        second = wdf.WdfIoQueueCreate(device, queue_config(default=True), None)
        assert second == (IDS, None)
        assert violation(wdf.WdfIoQueueCreate, device, None, None)[1] == 4
        assert violation(wdf.WdfIoQueueCreate, None, queue_config(), None)[1] == 5


def test_routes() -> None:
    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        _, device = wdf.WdfDeviceCreate(init, None)
        _, default = wdf.WdfIoQueueCreate(device, queue_config(default=True), None)
        _, manual = wdf.WdfIoQueueCreate(device, queue_config(), None)
        reads_only = queue_config(PARALLEL, EvtIoRead=print)
        _, reads = wdf.WdfIoQueueCreate(device, reads_only, None)
        route = wdf.WdfDeviceConfigureRequestDispatching
        invalid = wdf.STATUS_INVALID_PARAMETER
        for queue, kind, status in [
            (reads, wdf.WdfRequestTypeCleanup, invalid),
            (reads, 77, invalid),
            (default, wdf.WdfRequestTypeRead, IDR),
            (reads, wdf.WdfRequestTypeWrite, IDR),
            (reads, wdf.WdfRequestTypeCreate, IDR),
            (reads, wdf.WdfRequestTypeRead, OK),
            (manual, wdf.WdfRequestTypeRead, BUSY),
        ]:
            assert route(device, queue, kind) == status
        for queue in (default, reads):
            with pytest.raises(membuf.MembufError, match="cannot be deleted"):
                wdf.WdfObjectDelete(queue)


@case("C28-device")
def test_a_device_that_was_added_is_not_its_drivers_to_delete() -> None:
    with wdf.driver("Sample") as driver:
        driver.on_device_add = lambda driver, init: wdf.WdfDeviceCreate(init, None)[0]
        device = driver.add_device()
        with pytest.raises(membuf.MembufError) as caught:
            wdf.WdfObjectDelete(device)
        assert caught.value.status == wdf.STATUS_CANNOT_DELETE
        assert not device.deleted
        control = Lab(driver).device
        wdf.WdfObjectDelete(control)
        assert control.deleted


# ---- in the caller's context ---------------------------------------------------------------------


def test_in_caller_context_comes_first() -> None:
    log: list[Any] = []

    def show(device: Any, request: Any) -> None:
        log.append((request.type.name, threading.get_ident(), device))
        if request.type == wdf.WdfRequestTypeWrite:
            wdf.WdfRequestCompleteWithInformation(request, OK, request.length)
        else:
            assert wdf.WdfDeviceEnqueueRequest(device, request) == OK

    setup = lambda init: wdf.WdfDeviceInitSetIoInCallerContextCallback(init, show)  # noqa: E731
    with lab(setup=setup) as own:
        me = threading.get_ident()
        assert own.handle.start_write(b"abc").wait() == (OK, 3)
        request, *_ = own.read(8)
        assert log == [("WRITE", me, own.device), ("READ", me, own.device)]
        assert wdf.WdfDeviceEnqueueRequest(own.device, request) == IDR
        end(request)


def test_enqueue_to_a_queue_that_takes_nothing() -> None:
    answers: list[int] = []

    def show(device: Any, request: Any) -> None:
        answers.append(wdf.WdfDeviceEnqueueRequest(device, request))
        end(request, wdf.STATUS_UNSUCCESSFUL)

    with lab(setup=lambda i: wdf.WdfDeviceInitSetIoInCallerContextCallback(i, show)) as own:
        wdf.WdfIoQueuePurge(own.queue, None, None)
        assert own.handle.start_write(b"x").wait() == (wdf.STATUS_UNSUCCESSFUL, 0)
        assert answers == [BUSY]


def test_a_lab_is_one_of_its_driver() -> None:
    with wdf.driver("Sample") as driver:
        own = Lab(driver)
        assert own.device.parent is driver

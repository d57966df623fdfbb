"""Requests sent by the framework's names: options, completion routines, reuse, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.bus.device import local_target
from tests.wdf_receiving import Lab, lab, queue_config

OK = wdf.STATUS_SUCCESS
PARALLEL = wdf.WdfIoQueueDispatchParallel


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Any]:
    """A driver, and an open file target of 4096 bytes that count up."""
    (tmp_path / "disk").write_bytes(bytes(range(256)) * 16)
    with (
        wdf.driver("Sample"),
        membuf.open_target(f"file:{tmp_path / 'disk'}") as target,
    ):
        yield target


def made(target: Any) -> Any:
    """A request of the driver's own."""
    status, request = wdf.WdfRequestCreate(None, target)
    assert status == OK
    return request


def options(flags: int, timeout: int | None = None, size: int = 16) -> Any:
    """Options of a send."""
    given = wdf.WDF_REQUEST_SEND_OPTIONS()
    wdf.WDF_REQUEST_SEND_OPTIONS_INIT(given, flags)
    if timeout is not None:
        wdf.WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(given, timeout)
    given.Size = size
    return given


SYNCHRONOUS = wdf.WDF_REQUEST_SEND_OPTION_SYNCHRONOUS


def test_a_request_is_formatted_sent_and_reused(own: Any) -> None:
    request, log = made(own), list[Any]()
    memory = membuf.Memory(8)
    request.format_read(memory, 4)

    def routine(request: Any, target: Any, params: Any, context: Any) -> None:
        read = params.Parameters.Read
        log.append((target, params.Type, params.IoStatus.Status, read.Buffer, read.Length, context))

    wdf.WdfRequestSetCompletionRoutine(request, routine, "mine")
    assert wdf.WdfRequestSend(request, own, options(SYNCHRONOUS))
    assert log == [(own, wdf.WdfRequestTypeRead, OK, memory, 8, "mine")]
    assert (wdf.WdfRequestGetStatus(request), wdf.WdfRequestGetInformation(request)) == (OK, 8)
    params = wdf.WDF_REQUEST_COMPLETION_PARAMS()
    wdf.WdfRequestGetCompletionParams(request, params)
    assert params.Type == 0
    wdf.WDF_REQUEST_COMPLETION_PARAMS_INIT(params)
    wdf.WdfRequestGetCompletionParams(request, params)
    assert (params.Type, params.IoStatus.Information) == (wdf.WdfRequestTypeRead, 8)
    assert memory.reference_count == 2
    reuse = wdf.WDF_REQUEST_REUSE_PARAMS()
    assert wdf.WdfRequestReuse(request, reuse) == wdf.STATUS_INVALID_PARAMETER
    wdf.WDF_REQUEST_REUSE_PARAMS_INIT(reuse, 4, OK)
    assert wdf.WdfRequestReuse(request, reuse) == wdf.STATUS_INVALID_PARAMETER
    wdf.WDF_REQUEST_REUSE_PARAMS_INIT(reuse, 0, wdf.STATUS_NOT_SUPPORTED)
    assert wdf.WdfRequestReuse(request, reuse) == OK
    assert memory.reference_count == 1
    assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_NOT_SUPPORTED
    wdf.WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP(reuse, object())
    assert wdf.WdfRequestReuse(request, reuse) == wdf.STATUS_WDF_REQUEST_INVALID_STATE


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (options(0, size=8), wdf.STATUS_INVALID_PARAMETER),
        (options(0x10), wdf.STATUS_INVALID_PARAMETER),
        (options(wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET, -1), wdf.STATUS_INVALID_PARAMETER),
        (options(wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET), wdf.STATUS_INVALID_DEVICE_STATE),
        (options(SYNCHRONOUS), wdf.STATUS_REQUEST_NOT_ACCEPTED),
        (None, wdf.STATUS_REQUEST_NOT_ACCEPTED),
    ],
)
def test_a_send_that_is_refused(own: Any, given: Any, status: int) -> None:
    request = made(own)
    assert not wdf.WdfRequestSend(request, own, given)
    assert wdf.WdfRequestGetStatus(request) == status


def test_what_was_cancelled_is_not_sent_until_it_is_reused(own: Any) -> None:
    request = made(own)
    request.format_read(membuf.Memory(8))
    assert not wdf.WdfRequestCancelSentRequest(request)
    assert not wdf.WdfRequestSend(request, own, options(SYNCHRONOUS))
    assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_CANCELLED


def test_a_closed_target_and_a_change_of_target(own: Any) -> None:
    request, memory = made(own), membuf.Memory(8)
    request.format_read(memory)
    assert wdf.WdfRequestChangeTarget(request, own) == OK
    assert memory.reference_count == 1
    assert wdf.WdfRequestAllocateTimer(request) == wdf.WdfRequestAllocateTimer(request) == OK
    own.close()
    closed = wdf.STATUS_INVALID_DEVICE_STATE
    assert wdf.WdfRequestChangeTarget(request, own) == closed
    assert wdf.WdfRequestCreate(None, own) == (closed, None)


def test_a_stopped_target_and_its_timeout(own: Any) -> None:
    own.stop()
    request = made(own)
    request.format_read(membuf.Memory(8))
    assert wdf.WdfRequestSend(request, own, options(SYNCHRONOUS, wdf.WDF_REL_TIMEOUT_IN_MS(20)))
    assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_IO_TIMEOUT


def test_a_bug_check_in_a_routine_is_kept(own: Any) -> None:
    request = made(own)
    request.format_read(bytearray(8))
    wdf.WdfRequestSetCompletionRoutine(request, lambda *_: wdf.WdfObjectDelete(None), None)
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.WdfRequestSend(request, own, options(SYNCHRONOUS))
        wdf.WdfRequestGetStatus(request)
    assert caught.value.p1 == wdf.WDF_INVALID_HANDLE


def test_attributes_of_a_request() -> None:
    log: list[str] = []
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtCleanupCallback = lambda _: log.append("c")
    attributes.EvtDestroyCallback = lambda _: log.append("d")
    with wdf.driver("Sample") as driver:
        _, request = wdf.WdfRequestCreate(attributes, None)
        assert request is not None
        assert request.parent is driver
        wdf.WdfObjectDelete(request)
        assert log == ["c", "d"]


def test_a_received_request_needs_a_routine_to_be_sent() -> None:
    with lab() as upper:
        request, *_ = upper.read(8)
        lower = Lab(wdf.WdfGetDriver())
        with membuf.open_target("file:/dev/zero", access="read") as target:
            assert not wdf.WdfRequestSend(request, target, None)
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_INVALID_DEVICE_REQUEST
        wdf.WdfRequestComplete(request, OK)
        assert lower.device.started


# ---- a filter over another driver ----------------------------------------------------------------


def stack(write: Any) -> Any:
    """A device whose writes are taken, and a filter device with `write` over it."""
    lower = Lab(wdf.WdfGetDriver(), queue_config(PARALLEL, EvtIoWrite=taken))

    def setup(init: Any) -> None:
        wdf.WdfFdoInitSetFilter(init)
        init.lower = local_target(lower.device)

    return Lab(wdf.WdfGetDriver(), queue_config(PARALLEL, EvtIoWrite=write), setup)


def taken(queue: Any, request: Any, length: int) -> None:
    wdf.WdfRequestCompleteWithInformation(request, OK, length)


def test_a_filter_sends_on_what_it_received_and_completes_it() -> None:
    told: list[Any] = []

    def done(request: Any, target: Any, params: Any, context: Any) -> None:
        told.append((params.Type, params.IoStatus.Status, params.IoStatus.Information, context))
        wdf.WdfRequestCompleteWithInformation(
            request, params.IoStatus.Status, params.IoStatus.Information
        )

    def write(queue: Any, request: Any, length: int) -> None:
        target = wdf.WdfDeviceGetIoTarget(wdf.WdfIoQueueGetDevice(queue))
        wdf.WdfRequestFormatRequestUsingCurrentType(request)
        wdf.WdfRequestSetCompletionRoutine(request, done, "mine")
        if not wdf.WdfRequestSend(request, target, None):
            wdf.WdfRequestComplete(request, wdf.WdfRequestGetStatus(request))

    with wdf.driver("Sample"):
        upper = stack(write)
        assert upper.handle.start_write(b"hello").wait() == (OK, 5)
    assert told == [(wdf.WdfRequestTypeNoFormat, OK, 5, "mine")]


def test_a_filter_forgets_what_it_sends_on() -> None:
    def write(queue: Any, request: Any, length: int) -> None:
        target = wdf.WdfDeviceGetIoTarget(wdf.WdfIoQueueGetDevice(queue))
        forget = options(wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET)
        answers.append(wdf.WdfRequestSend(request, target, forget))
        wdf.WdfRequestComplete(request, wdf.STATUS_UNSUCCESSFUL)

    answers: list[bool] = []
    with wdf.driver("Sample"):
        upper = stack(write)
        assert upper.handle.start_write(b"hello").wait() == (OK, 5)
        assert upper.handle.start_read(bytearray(8)).wait()[0] == wdf.STATUS_INVALID_DEVICE_REQUEST
    assert answers == [True]


def test_ones_own_request_has_no_current_type() -> None:
    with wdf.driver("Sample"):
        request = made(None)
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.WdfRequestFormatRequestUsingCurrentType(request)
        assert caught.value.p1 == wdf.WDF_REQUEST_FATAL_ERROR

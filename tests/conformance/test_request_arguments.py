"""Rules of received requests that no published case states: what the calls are given."""

from __future__ import annotations

from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.base.status import STATUS_INVALID_PARAMETER
from tests.conformance.cases import case
from tests.receiving import Lab, refused
from tests.wdf_receiving import lab, queue_config


@case("R2.6-information")
def test_the_information_that_was_set_is_told_until_the_request_is_completed() -> None:
    with lab() as own:
        request, pending, _ = own.read(10)
        wdf.WdfRequestSetInformation(request, 4)
        assert wdf.WdfRequestGetInformation(request) == 4
        wdf.WdfObjectReference(request)
        wdf.WdfRequestComplete(request, wdf.STATUS_SUCCESS)
        assert pending.wait() == (0, 4)
        assert wdf.WdfRequestGetInformation(request) == 0
        wdf.WdfObjectDereference(request)


@case("R1.4-parent")
def test_what_is_made_under_the_memory_of_a_request_belongs_to_the_request() -> None:
    own, log = Lab(), list[str]()
    request, _, _ = own.read(10)
    child = membuf.Object(
        parent=request.output_memory(),
        on_cleanup=lambda _: log.append("cleanup"),
        on_destroy=lambda _: log.append("destroy"),
    )
    assert child.parent is request
    request.complete()
    assert child.deleted
    assert log == ["cleanup", "destroy"]


@case("R3.5-type-number")
def test_a_type_is_routed_by_its_number() -> None:
    with lab() as own:
        init = wdf.WdfControlDeviceInitAllocate(wdf.WdfGetDriver(), None)
        _, device = wdf.WdfDeviceCreate(init, None)
        _, queue = wdf.WdfIoQueueCreate(device, queue_config(), None)
        config = queue_config(wdf.WdfIoQueueDispatchParallel, EvtIoWrite=lambda *_: None)
        _, writes = wdf.WdfIoQueueCreate(device, config, None)
        route = wdf.WdfDeviceConfigureRequestDispatching
        assert route(device, writes, 0) == wdf.STATUS_INVALID_DEVICE_REQUEST
        assert route(device, writes, 3) == wdf.STATUS_INVALID_DEVICE_REQUEST
        assert route(device, own.queue, 3) == wdf.STATUS_INVALID_DEVICE_REQUEST
        assert route(device, writes, 2) == wdf.STATUS_INVALID_PARAMETER
        assert route(device, queue, 3) == wdf.STATUS_SUCCESS
        assert route(device, queue, 3) == wdf.STATUS_WDF_BUSY


@case("R3.7-second-callback")
def test_a_second_pending_callback_is_a_bug_check_that_tells_the_status() -> None:
    with lab() as own:
        request, _, _ = own.read(1)
        wdf.WdfIoQueuePurge(own.queue, lambda *_: None, None)
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.WdfIoQueueDrain(own.queue, lambda *_: None, None)
        assert (caught.value.code, caught.value.p1) == (0x10D, 0xA)
        assert caught.value.p2 == wdf.STATUS_INVALID_DEVICE_REQUEST
        wdf.WdfRequestComplete(request, wdf.STATUS_SUCCESS)


@case("R3.2-information-type")
@pytest.mark.parametrize("information", [2.7, True, "1"])
def test_information_is_a_count_and_a_wrong_one_changes_nothing(information: Any) -> None:
    request, pending, _ = Lab().read(10)
    for call in (request.complete, request.set_information):
        with pytest.raises(TypeError, match="information must be an integer"):
            call(information=information)
    with pytest.raises(TypeError):
        request.complete(status="x")
    with refused(STATUS_INVALID_PARAMETER):
        request.complete(information=-1)
    assert not pending.done
    request.complete(information=1)
    assert pending.wait() == (0, 1)


@case("R3.10-offset")
def test_an_offset_on_a_device_has_63_bits() -> None:
    handle = Lab().handle
    with refused(STATUS_INVALID_PARAMETER):
        handle.start_read(bytearray(1), -1)
    for offset in (2**63, 2**64):
        with refused(wdf.STATUS_INTEGER_OVERFLOW):
            handle.start_read(bytearray(1), offset)
    with pytest.raises(TypeError, match="MDLs only"):
        membuf.Mdl(bytearray(1)).chain(bytearray(1))  # type: ignore[arg-type]


@case("R3.6-types")
def test_a_transaction_says_what_it_takes() -> None:
    device = membuf.Device()
    transaction = membuf.dma.Enabler(device).transaction()
    nothing: Any = print
    with pytest.raises(TypeError, match="mdl must be an MDL"):
        transaction.initialize(nothing, 1, bytearray(10))  # type: ignore[arg-type]
    for thing in (None, 5, membuf.Request()):
        with refused(wdf.STATUS_INVALID_DEVICE_REQUEST):
            transaction.initialize_using_request(thing, nothing, 1)

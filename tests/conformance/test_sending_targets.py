"""Cases of I/O targets: opening, states, and what a lower device gets of a format."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.mdl import Mdl
from tests.conformance.cases import case
from tests.wdf_sending import (
    CONTROL,
    OK,
    Routine,
    buffer_descriptor,
    memory,
    options,
    site,
)

STOP_WAIT = wdf.WdfIoTargetWaitForSentIoToComplete


@case("Q46")
def test_a_local_target_is_started() -> None:
    with site() as own:
        local = wdf.WdfDeviceGetIoTarget(own.device)
        assert wdf.WdfIoTargetGetState(local) == wdf.WdfIoTargetStarted


@case("Q47")
def test_a_target_never_opened_takes_nothing() -> None:
    with site() as own:
        target = own.remote()
        assert wdf.WdfIoTargetGetState(target) == wdf.WdfIoTargetClosed
        assert wdf.WdfRequestCreate(None, target) == (wdf.STATUS_INVALID_DEVICE_STATE, None)
        status = wdf.WdfIoTargetFormatRequestForRead(target, own.request(), memory(), None, None)
        assert status == wdf.STATUS_INVALID_DEVICE_STATE
        assert wdf.WdfIoTargetStart(target) == wdf.STATUS_INVALID_DEVICE_STATE
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = wdf.WdfGetDriver()
        made = wdf.WdfIoTargetCreate(own.device, attributes)
        assert made == (wdf.STATUS_INVALID_DEVICE_REQUEST, None)


@case("Q49")
def test_only_a_name_can_be_reopened() -> None:
    with site() as own:
        again, by_name = wdf.WDF_IO_TARGET_OPEN_PARAMS(), wdf.WDF_IO_TARGET_OPEN_PARAMS()
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(again)
        assert wdf.WdfIoTargetOpen(own.target, again) == wdf.STATUS_INVALID_DEVICE_STATE
        wdf.WdfIoTargetClose(own.target)
        assert wdf.WdfIoTargetOpen(own.target, again) == wdf.STATUS_INVALID_DEVICE_REQUEST
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(by_name, "device:wdf-lower", 3)
        assert wdf.WdfIoTargetOpen(own.target, by_name) == OK
        wdf.WdfIoTargetCloseForQueryRemove(own.target)
        state = wdf.WdfIoTargetGetState(own.target)
        assert state == wdf.WdfIoTargetClosedForQueryRemove
        assert wdf.WdfIoTargetOpen(own.target, again) == OK
        wdf.WdfIoTargetClose(own.target)
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(by_name, "device:wdf-nobody", 3)
        assert not wdf.NT_SUCCESS(wdf.WdfIoTargetOpen(own.target, by_name))
        assert wdf.WdfIoTargetGetState(own.target) == wdf.WdfIoTargetClosed


@case("Q50")
def test_open_checks_its_parameters() -> None:
    with site() as own:
        target, params = own.remote(), wdf.WDF_IO_TARGET_OPEN_PARAMS()
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, own.lower)
        params.Size = 8
        assert wdf.WdfIoTargetOpen(target, params) == wdf.STATUS_INFO_LENGTH_MISMATCH
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, None)
        assert wdf.WdfIoTargetOpen(target, params) == wdf.STATUS_INVALID_PARAMETER
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, own.lower)
        params.EvtIoTargetQueryRemove = lambda _: 0
        assert wdf.WdfIoTargetOpen(target, params) == wdf.STATUS_INVALID_PARAMETER
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(params, None, 3)
        assert wdf.WdfIoTargetOpen(target, params) == wdf.STATUS_INVALID_PARAMETER
        params.Type = 9
        assert wdf.WdfIoTargetOpen(target, params) == wdf.STATUS_INVALID_PARAMETER
        assert wdf.WdfIoTargetGetState(target) == wdf.WdfIoTargetClosed


@case("Q52")
def test_what_waits_is_sent_in_its_order() -> None:
    with site() as own:
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetLeaveSentIoPending)
        requests = [own.write(memory(1, name)) for name in (b"A", b"B", b"C")]
        assert all(wdf.WdfRequestSend(request, own.target, None) for request in requests)
        assert own.got == []
        assert wdf.WdfIoTargetStart(own.target) == OK
        seen = [own.one() for _ in requests]
        assert b"".join(bytes(request.input_buffer()) for request in seen) == b"ABC"
        for request in seen:
            request.complete(information=1)


@case("Q53")
def test_ignoring_the_state_delivers_at_once() -> None:
    with site() as own:
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
        request = own.write(memory())
        ignoring = options(wdf.WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE)
        assert wdf.WdfRequestSend(request, own.target, ignoring)
        own.one().complete(information=8)
        assert wdf.WdfRequestGetStatus(request) == OK


@case("Q55", "Q56")
def test_what_waits_ends_by_a_purge_or_a_cancel() -> None:
    with site() as own:
        ends = []
        for end in ("purge", "cancel"):
            wdf.WdfIoTargetStart(own.target)
            wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
            request, routine = own.write(memory()), Routine()
            routine.set(request)
            assert wdf.WdfRequestSend(request, own.target, None)
            if end == "purge":
                wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIo)
                assert wdf.WdfIoTargetGetState(own.target) == wdf.WdfIoTargetPurged
            else:
                assert wdf.WdfRequestCancelSentRequest(request)
            ends.append(routine.wait())
        assert ends == [(wdf.STATUS_WDF_DEVICE_REMOVED_NOT_SENT, 0), (wdf.STATUS_CANCELLED, 0)]
        assert own.got == []


@case("Q58", "Q59")
def test_stop_waits_or_leaves() -> None:
    with site() as own:
        request = own.write(memory())
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetLeaveSentIoPending)
        stopping = threading.Thread(target=wdf.WdfIoTargetStop, args=(own.target, STOP_WAIT))
        stopping.start()
        time.sleep(0.02)
        assert stopping.is_alive()
        lower.complete(information=8)
        stopping.join(30)
        assert not stopping.is_alive()
        assert wdf.WdfRequestGetStatus(request) == OK
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetSentIoUndefined)
        wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIoUndefined)
        assert wdf.WdfIoTargetGetState(own.target) == wdf.WdfIoTargetStopped


@case("Q61")
def test_close_cancels_all_and_waits() -> None:
    with site() as own:
        requests = [own.write(memory()) for _ in range(3)]
        ignoring = options(wdf.WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE)
        assert wdf.WdfRequestSend(requests[0], own.target, None)
        assert wdf.WdfRequestSend(requests[1], own.target, ignoring)
        for _ in range(2):
            own.one().mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        wdf.WdfIoTargetClose(own.target)
        assert [wdf.WdfRequestGetStatus(r) for r in requests[:2]] == [wdf.STATUS_CANCELLED] * 2
        for sent_with in (None, ignoring):
            assert not wdf.WdfRequestSend(requests[2], own.target, sent_with)
            assert wdf.WdfRequestGetStatus(requests[2]) == wdf.STATUS_INVALID_DEVICE_STATE


@case("Q62")
def test_a_deletion_cleans_up_then_cancels() -> None:
    events: list[str] = []
    with site() as own:
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.EvtCleanupCallback = lambda _: events.append("cleanup")
        status, target = wdf.WdfIoTargetCreate(own.device, attributes)
        assert status == OK
        own.open(target)
        request = own.write(memory(), target=target)
        wdf.WdfRequestSetCompletionRoutine(request, lambda *_: events.append("ended"), None)
        assert wdf.WdfRequestSend(request, target, None)
        own.one().mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        assert target is not None
        wdf.WdfObjectDelete(target)
        assert events == ["cleanup", "ended"]


@case("Q64")
def test_the_lengths_that_offsets_make() -> None:
    with site() as own:
        lengths = []
        for offsets in ((40, 0), (0, 0), (100, 0), (40, 60), ()):
            request = own.write(memory(100), *offsets)
            assert wdf.WdfRequestSend(request, own.target, None)
            lower = own.one() if offsets != (100, 0) else None
            lengths.append(0 if lower is None else lower.length)
            if lower is not None:
                lower.complete(information=0)
        assert lengths == [60, 100, 0, 60, 100]
        request, kept = own.write(memory()), memory(100)
        for offset, length in ((101, 0), (40, 61), (2**64 - 1, 2)):
            part = wdf.WDFMEMORY_OFFSET(offset, length)
            status = wdf.WdfIoTargetFormatRequestForWrite(own.target, request, kept, part, 0)
            assert status == wdf.STATUS_INTEGER_OVERFLOW
        assert kept.reference_count == 1


@case("Q65")
def test_a_buffered_write_is_as_it_was_formatted() -> None:
    with site() as own:
        kept = memory(8, b"earlier!")
        request = own.write(kept)
        kept.copy_from(b"later...")
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        assert bytes(lower.input_buffer()) == b"earlier!"
        lower.complete(information=8)


@case("Q67")
def test_a_direct_target_gets_the_pages() -> None:
    with site(membuf.DIRECT) as own:
        kept = memory(8192)
        request = own.write(kept, 4096, 100)
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        mdl = lower.input_mdl()
        assert (mdl.byte_count, mdl.address) == (100, kept.address + 4096)
        lower.complete(information=100)


@case("Q68", "Q31-wdf")
def test_a_part_of_memory_with_an_mdl_is_a_partial_one() -> None:
    with site(membuf.DIRECT) as own:
        received: list[Any] = []
        own.device.on_default(received.append)
        pending = own.device.open().start_read(bytearray(4096))
        request = received.pop()
        status, output = wdf.WdfRequestRetrieveOutputMemory(request)
        assert status == OK
        assert output is not None
        address, local = output.address, wdf.WdfDeviceGetIoTarget(own.device)
        part = wdf.WDFMEMORY_OFFSET(512, 1024)
        status = wdf.WdfIoTargetFormatRequestForRead(local, request, output, part, None)
        assert status == OK
        wdf.WdfRequestSetCompletionRoutine(request, lambda *_: None, None)
        assert wdf.WdfRequestSend(request, local, None)
        lower = own.one()
        mdl = lower.output_mdl()
        assert (mdl.kind, mdl.byte_count, mdl.address) == ("partial", 1024, address + 512)
        lower.complete(information=1024)
        other = memory(16)
        status = wdf.WdfIoTargetFormatRequestForIoctl(
            local, request, CONTROL | 2, None, None, other, None
        )
        assert (status, output.address, output.size) == (OK, address, 4096)
        wdf.WdfRequestComplete(request, OK)
        assert pending.wait()[0] == OK


@case("Q70")
def test_a_neither_target_gets_the_pointer() -> None:
    with site(membuf.NEITHER) as own:
        kept = memory(16)
        request = own.write(kept, 8, 4)
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        assert lower.input_memory().address == kept.address + 8
        lower.complete(information=4)


@case("Q71")
def test_an_in_direct_control_request() -> None:
    with site() as own:
        first, second, request = memory(), memory(16), own.request()
        status = wdf.WdfIoTargetFormatRequestForInternalIoctl(
            own.target, request, CONTROL | 1, first, None, second, None
        )
        assert status == OK
        assert wdf.WdfRequestSend(request, own.target, None)
        lower = own.one()
        assert lower.input_memory().address == first.address
        assert (lower.output_mdl().address, lower.output_mdl().byte_count) == (second.address, 16)
        lower.complete(information=0)


@case("Q73")
@pytest.mark.parametrize("io_type", [membuf.BUFFERED, membuf.DIRECT])
def test_three_descriptors_bring_the_same_bytes(io_type: Any) -> None:
    data = bytearray(b"the same")
    mdl = Mdl(data)
    mdl.lock()
    seen: list[bytes] = []
    with site(io_type) as own:

        def write(request: Any) -> None:
            seen.append(bytes(request.input_buffer()))
            request.complete(information=request.length)

        own.lower.on_write(write)
        by_mdl, by_handle = wdf.WDF_MEMORY_DESCRIPTOR(), wdf.WDF_MEMORY_DESCRIPTOR()
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_MDL(by_mdl, mdl, 8)
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(by_handle, memory(8, data), None)
        for descriptor in (buffer_descriptor(data), by_mdl, by_handle):
            answer = wdf.WdfIoTargetSendWriteSynchronously(own.target, None, descriptor, None, None)
            assert answer == (OK, 8)
    assert seen == [b"the same"] * 3
    mdl.unlock()


@case("Q74")
def test_descriptors_with_nothing_inside() -> None:
    with site() as own:
        for kind in (0, 1, 2, 3, 4):
            descriptor = wdf.WDF_MEMORY_DESCRIPTOR()
            descriptor.Type = kind
            for length in (0, 4):
                descriptor.u.BufferType.Length = length
                answer = wdf.WdfIoTargetSendReadSynchronously(
                    own.target, None, descriptor, None, None
                )
                assert answer == (wdf.STATUS_INVALID_PARAMETER, 0)
        assert own.got == []


@case("Q76")
def test_options_of_another_size() -> None:
    with site() as own:
        wrong = options()
        wrong.Size = 8
        ioctl = wdf.WdfIoTargetSendIoctlSynchronously
        assert ioctl(own.target, None, CONTROL, None, None, wrong) == (
            wdf.STATUS_INFO_LENGTH_MISMATCH,
            0,
        )
        request = own.write(memory())
        assert not wdf.WdfRequestSend(request, own.target, wrong)
        assert wdf.WdfRequestGetStatus(request) == wdf.STATUS_INVALID_PARAMETER


@case("Q73-ioctl")
def test_control_requests_sent_and_waited_for() -> None:
    with site() as own:

        def answer(request: Any) -> None:
            request.output_buffer()[:3] = bytes(request.input_buffer()[:3])
            request.complete(wdf.STATUS_BUFFER_OVERFLOW, 3)

        own.lower.on_ioctl(answer)
        own.lower.on_internal_ioctl(lambda request: request.complete(information=5))
        out = bytearray(8)
        source, output = buffer_descriptor(bytearray(b"abc")), buffer_descriptor(out)
        send = wdf.WdfIoTargetSendIoctlSynchronously
        assert send(own.target, None, CONTROL, source, output, None) == (
            wdf.STATUS_BUFFER_OVERFLOW,
            3,
        )
        assert out == b"abc\0\0\0\0\0"
        kept, request = memory(), own.request()
        by_handle = wdf.WDF_MEMORY_DESCRIPTOR()
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(by_handle, kept, None)
        internal = wdf.WdfIoTargetSendInternalIoctlSynchronously
        assert internal(own.target, request, CONTROL, by_handle, None, None) == (OK, 5)
        others = wdf.WdfIoTargetSendInternalIoctlOthersSynchronously
        assert others(own.target, request, 7, by_handle, None, None, None) == (OK, 5)
        assert kept.reference_count == 1
        params = wdf.WDF_REQUEST_COMPLETION_PARAMS()
        wdf.WDF_REQUEST_COMPLETION_PARAMS_INIT(params)
        wdf.WdfRequestGetCompletionParams(request, params)
        assert params.Type == wdf.WdfRequestTypeNoFormat


@case("Q71-others")
def test_others_end_as_others() -> None:
    with site() as own:
        request, routine, kept = own.request(), Routine(), memory()
        status = wdf.WdfIoTargetFormatRequestForInternalIoctlOthers(
            own.target, request, 7, kept, wdf.WDFMEMORY_OFFSET(4, 0), None, None, kept, None
        )
        assert (status, kept.reference_count) == (OK, 3)
        routine.set(request)
        assert wdf.WdfRequestSend(request, own.target, None)
        own.one().complete()
        assert routine.wait() == (OK, 0)
        assert routine.types == [wdf.WdfRequestTypeOther]

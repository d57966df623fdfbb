"""Rules of sending that no published case tells, and the first two life cycles of memory."""

from __future__ import annotations

import time
from typing import Any

import pytest

import membuf
from membuf import wdf
from tests.conformance.cases import case
from tests.conformance.test_sending_requests import bug_check, received, refused
from tests.wdf_sending import (
    CONTROL,
    OK,
    Routine,
    buffer_descriptor,
    memory,
    options,
    site,
)

_1601 = 11_644_473_600


@case("R2.7-S1")
def test_s1_handled_and_completed() -> None:
    with site() as own:
        request, pending = received(own, write=False)
        status, output = wdf.WdfRequestRetrieveOutputMemory(request)
        assert status == OK
        assert output is not None
        pointer, _ = wdf.WdfMemoryGetBuffer(output)
        view = memoryview(pointer)
        view[:4] = b"done"
        wdf.WdfRequestCompleteWithInformation(request, OK, 4)
        assert pending.wait() == (OK, 4)
        assert bug_check(lambda: wdf.WdfMemoryGetBuffer(output))[:2] == (0x10D, 5)
        view[:4] = b"late"  # its own bytes still: nobody else's request ever sees them
        other, again = received(own, write=False)
        assert bytes(other.output_buffer()[:4]) != b"late"
        other.complete(OK, 0)
        assert again.done
        view.release()


@case("R2.7-S2")
def test_s2_forwarded_with_its_own_memory() -> None:
    with site() as own:
        request, pending = received(own, write=False)
        local, seen = wdf.WdfDeviceGetIoTarget(own.device), list[Any]()
        _, output = wdf.WdfRequestRetrieveOutputMemory(request)
        assert output is not None

        def routine(done: Any, _target: Any, params: Any, _context: Any) -> None:
            seen.append((output.reference_count, wdf.WdfMemoryGetBuffer(output)[1]))
            wdf.WdfRequestCompleteWithInformation(done, OK, params.IoStatus.Information)

        form = wdf.WdfIoTargetFormatRequestForRead
        assert form(local, request, output, None, None) == OK
        wdf.WdfRequestSetCompletionRoutine(request, routine, None)
        assert wdf.WdfRequestSend(request, local, None)
        lower = own.one()
        lower.output_buffer()[:] = b"from low"
        lower.complete(information=8)
        assert seen == [(2, 8)]
        assert pending.wait() == (OK, 8)


@case("R2.7-S2-held")
def test_s2_with_a_reference_in_the_wrong_place() -> None:
    with site() as own:
        request, pending = received(own, write=False)
        local = wdf.WdfDeviceGetIoTarget(own.device)
        _, output = wdf.WdfRequestRetrieveOutputMemory(request)
        assert output is not None
        wdf.WdfIoTargetFormatRequestForRead(local, request, output, None, None)
        wdf.WdfRequestSetCompletionRoutine(request, lambda *_: None, None)
        wdf.WdfObjectReference(output)
        assert wdf.WdfRequestSend(request, local, None)
        own.one().complete(information=8)
        assert bug_check(lambda: wdf.WdfRequestComplete(request, OK))[:2] == (0x10D, 3)
        assert not pending.done
        wdf.WdfObjectDereference(output)
        wdf.WdfRequestComplete(request, OK)
        assert pending.done


@case("R2.1-open")
def test_an_open_target_is_not_opened_again() -> None:
    with site() as own:
        params = wdf.WDF_IO_TARGET_OPEN_PARAMS()
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(params, own.lower)
        wdf.WdfIoTargetStop(own.target, wdf.WdfIoTargetCancelSentIo)
        assert wdf.WdfIoTargetOpen(own.target, params) == wdf.STATUS_INVALID_DEVICE_STATE
        wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(params, "device:nobody-there", 3)
        assert wdf.WdfIoTargetOpen(own.remote(), params) == wdf.STATUS_NO_SUCH_DEVICE


@case("R2.2-purged")
def test_a_purged_target_refuses_unless_told() -> None:
    with site() as own:
        wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIoAndWait)
        request, routine = own.write(memory()), Routine()
        routine.set(request)
        refused(request, own.target, None, wdf.STATUS_INVALID_DEVICE_STATE)
        assert routine.ended == []
        ignoring = options(wdf.WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE)
        assert wdf.WdfRequestSend(request, own.target, ignoring)
        own.one().complete(information=8)
        assert routine.wait() == (OK, 8)


@case("R2.2-forget")
@pytest.mark.parametrize("state", ["stopped", "purged"])
def test_a_forgotten_request_passes_a_target_at_rest(state: str) -> None:
    with site() as own:
        local = wdf.WdfDeviceGetIoTarget(own.device)
        if state == "stopped":
            wdf.WdfIoTargetStop(local, wdf.WdfIoTargetCancelSentIo)
        else:
            wdf.WdfIoTargetPurge(local, wdf.WdfIoTargetPurgeIo)
        request, pending = received(own)
        assert wdf.WdfRequestSend(request, local, options(0x8))
        own.one().complete(information=8)
        assert pending.wait() == (OK, 8)


@case("R2.4-offsets")
def test_descriptors_of_handles_are_checked() -> None:
    with site() as own:
        send, kept = wdf.WdfIoTargetSendReadSynchronously, memory(100)
        descriptor = wdf.WDF_MEMORY_DESCRIPTOR()
        for offset, length in ((101, 0), (60, 41), (2**64 - 8, 8)):
            part = wdf.WDFMEMORY_OFFSET(offset, length)
            wdf.WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(descriptor, kept, part)
            answer = send(own.target, None, descriptor, None, None)
            assert answer == (wdf.STATUS_INTEGER_OVERFLOW, 0)
        assert send(own.target, None, None, None, None) == (OK, 0)
        flags = options(0x10)
        answer = send(own.target, None, None, None, flags)
        assert answer == (wdf.STATUS_INVALID_PARAMETER, 0)
        assert kept.reference_count == 1


@case("R2.5-absolute")
def test_a_timeout_at_a_time_of_day() -> None:
    with site() as own:
        request, routine = own.write(memory()), Routine()
        routine.set(request)
        moment = int((time.time() + _1601 + 0.05) * 10_000_000)
        begin = time.monotonic()
        assert wdf.WdfRequestSend(request, own.target, options(0, moment))
        own.one().mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        assert routine.wait()[0] == wdf.STATUS_IO_TIMEOUT
        assert 0.03 < time.monotonic() - begin < 10
        other = own.write(memory())
        assert wdf.WdfRequestSend(other, own.target, options(0x1, 0))  # 0: no timeout
        lower = own.one()
        time.sleep(0.02)
        lower.complete(information=8)
        assert wdf.WdfRequestGetStatus(other) == OK


@case("R2.5-sync")
def test_a_synchronous_send_that_fails_counts_what_there_was() -> None:
    with site() as own:
        own.lower.on_ioctl(lambda r: r.complete(wdf.STATUS_BUFFER_OVERFLOW, 5))
        out = bytearray(8)
        answer = wdf.WdfIoTargetSendIoctlSynchronously(
            own.target, None, CONTROL, None, buffer_descriptor(out), None
        )
        assert answer == (wdf.STATUS_BUFFER_OVERFLOW, 5)
        wdf.WdfIoTargetPurge(own.target, wdf.WdfIoTargetPurgeIo)
        answer = wdf.WdfIoTargetSendReadSynchronously(own.target, None, None, None, None)
        assert answer == (wdf.STATUS_INVALID_DEVICE_STATE, 0)


@case("R2.7-change")
def test_a_change_of_target_gives_back_received_memory() -> None:
    with site() as own:
        request, pending = received(own)
        _, source = wdf.WdfRequestRetrieveInputMemory(request)
        sent, closed = own.write(source), own.remote()
        change = wdf.WdfRequestChangeTarget
        assert change(sent, closed) == wdf.STATUS_INVALID_DEVICE_STATE
        wdf.WdfRequestComplete(request, OK)
        assert pending.done


@case("R2.1-parent")
def test_a_target_goes_with_its_device() -> None:
    with site() as own:
        upper = membuf.Device()
        status, target = wdf.WdfIoTargetCreate(upper, None)
        assert status == OK
        own.open(target)
        request, routine = own.write(memory(), target=target), Routine()
        routine.set(request)
        assert wdf.WdfRequestSend(request, target, None)
        own.one().mark_cancelable(lambda r: r.complete(wdf.STATUS_CANCELLED))
        upper.delete()
        assert routine.wait()[0] == wdf.STATUS_CANCELLED
        assert bug_check(lambda: wdf.WdfIoTargetGetState(target))[:2] == (0x10D, 5)

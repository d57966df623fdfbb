"""Requests 1 to 44 of the specification through the framework's names."""

from __future__ import annotations

import mmap
import threading
from typing import Any

import pytest

import membuf
from membuf import wdf
from tests.conformance.cases import case
from tests.wdf_receiving import BUFFERED, IN_DIRECT, NEITHER, OUT_DIRECT, Lab, lab

OK, IDR, BTS, IER = (
    wdf.STATUS_SUCCESS,
    wdf.STATUS_INVALID_DEVICE_REQUEST,
    wdf.STATUS_BUFFER_TOO_SMALL,
    wdf.STATUS_INTERNAL_ERROR,
)
RETRIEVALS: tuple[Any, ...] = (
    wdf.WdfRequestRetrieveInputMemory,
    lambda request: wdf.WdfRequestRetrieveInputBuffer(request, 0),
    wdf.WdfRequestRetrieveInputWdmMdl,
    wdf.WdfRequestRetrieveOutputMemory,
    lambda request: wdf.WdfRequestRetrieveOutputBuffer(request, 0),
    wdf.WdfRequestRetrieveOutputWdmMdl,
)
ENDS: Any = wdf.WdfRequestComplete


def retrievals(request: Any) -> list[int]:
    """What each retrieval answers: input memory, buffer, MDL; output memory, buffer, MDL."""
    answers = [retrieve(request) for retrieve in RETRIEVALS]
    for status, *values in answers:
        assert (status == OK) or values in ([None], [None, 0])
    return [answer[0] for answer in answers]


def found(answer: tuple[Any, Any]) -> Any:
    """What a retrieval must give."""
    assert answer[0] == OK
    return answer[1]


@case("Q1-wdf", "Q2-wdf")
def test_a_read_has_output_and_no_input() -> None:
    with lab() as own:
        request, pending, _ = own.read(4096)
        memory = found(wdf.WdfRequestRetrieveOutputMemory(request))
        assert memory is found(wdf.WdfRequestRetrieveOutputMemory(request))
        assert wdf.WdfMemoryGetBuffer(memory)[1] == 4096
        assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"x", 1) == OK
        assert retrievals(request) == [IDR, IDR, IDR, OK, OK, OK]
        ENDS(request, OK)
        assert pending.wait() == (0, 0)


@case("Q4-wdf", "C82-wdf", "C83-wdf", "C85-wdf")
def test_a_write_brings_memory_that_is_read_only() -> None:
    with lab() as own:
        request, _ = own.write(b"abcd")
        memory = found(wdf.WdfRequestRetrieveInputMemory(request))
        assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"x", 1) == wdf.STATUS_ACCESS_VIOLATION
        assert wdf.WdfMemoryCopyFromBuffer(memory, 9, b"x", 1) == wdf.STATUS_ACCESS_VIOLATION
        out = bytearray(4)
        assert wdf.WdfMemoryCopyToBuffer(memory, 0, out, 4) == OK
        assert out == b"abcd"
        assert retrievals(request) == [OK, OK, OK, IDR, IDR, IDR]
        ENDS(request, OK)


@case("Q5-wdf")
def test_a_buffered_write_is_as_it_was_submitted() -> None:
    with lab() as own:
        data = bytearray(b"old bytes")
        request, _ = own.write(data)
        data[:] = b"new bytes"
        _, buffer, length = wdf.WdfRequestRetrieveInputBuffer(request, 9)
        assert buffer is not None
        assert (bytes(buffer), length) == (b"old bytes", 9)
        ENDS(request, OK)


@case("Q7-wdf")
def test_a_direct_read_lands_at_once() -> None:
    with lab(io_type=wdf.WdfDeviceIoDirect) as own:
        request, _, buffer = own.read(8192)
        memory = found(wdf.WdfRequestRetrieveOutputMemory(request))
        assert wdf.WdfMemoryCopyFromBuffer(memory, 4096, b"direct", 6) == OK
        assert buffer[4096:4102] == b"direct"
        ENDS(request, OK)


@case("Q8-wdf", "Q10-wdf")
def test_as_much_is_copied_back_as_was_said() -> None:
    with lab() as own:
        request, pending, buffer = own.read(100)
        _, pointer, _ = wdf.WdfRequestRetrieveOutputBuffer(request, 100)
        assert pointer is not None
        pointer[0:100] = b"r" * 100
        wdf.WdfRequestCompleteWithInformation(request, OK, 10)
        assert pending.wait() == (0, 10)
        assert buffer == b"r" * 10 + b"\xee" * 90
        request, pending, _, out = own.ioctl(BUFFERED, 4, 16)
        _, pointer, _ = wdf.WdfRequestRetrieveOutputBuffer(request, 16)
        assert pointer is not None
        pointer[0:16] = b"w" * 16
        wdf.WdfRequestCompleteWithInformation(request, wdf.STATUS_BUFFER_OVERFLOW, 16)
        assert pending.wait() == (wdf.STATUS_BUFFER_OVERFLOW, 16)
        assert out == b"w" * 16


@case("Q11-wdf", "Q22-wdf", "Q28-wdf")
def test_a_buffered_ioctl_has_one_buffer_twice() -> None:
    with lab() as own:
        request, _, source, _ = own.ioctl(BUFFERED, 8, 64)
        _, one, length = wdf.WdfRequestRetrieveInputBuffer(request, 8)
        _, two, out = wdf.WdfRequestRetrieveOutputBuffer(request, 0)
        assert one is not None
        assert two is not None
        assert (one.address, length, out, bytes(one)) == (two.address, 8, 64, bytes(source))
        handles = {
            id(found(retrieve(request)))
            for retrieve in (wdf.WdfRequestRetrieveInputMemory, wdf.WdfRequestRetrieveOutputMemory)
        }
        assert len(handles) == 2
        assert wdf.WdfRequestRetrieveInputBuffer(request, 9) == (BTS, None, 0)
        first = found(wdf.WdfRequestRetrieveInputWdmMdl(request))
        second = found(wdf.WdfRequestRetrieveOutputWdmMdl(request))
        assert (first.byte_count, second.byte_count) == (8, 64)
        ENDS(request, OK)


@case("Q28-strict")
def test_a_strict_driver_gets_the_first_mdl_again() -> None:
    with lab(strict=True) as own:
        request, *_ = own.ioctl(BUFFERED, 8, 64)
        first = found(wdf.WdfRequestRetrieveInputWdmMdl(request))
        second = found(wdf.WdfRequestRetrieveOutputWdmMdl(request))
        assert second is first
        assert second.byte_count == 8
        ENDS(request, OK)


@case("Q13-wdf", "Q14-wdf")
def test_halves_that_are_empty() -> None:
    with lab() as own:
        request, *_ = own.ioctl(BUFFERED, 0, 8)
        assert retrievals(request) == [BTS, BTS, BTS, OK, OK, OK]
        ENDS(request, OK)
        request, pending, *_ = own.ioctl(BUFFERED, 8, 0)
        wdf.WdfRequestCompleteWithInformation(request, OK, 3)
        assert pending.wait() == (0, 3)


@case("Q16-wdf")
@pytest.mark.parametrize(("code", "readonly"), [(IN_DIRECT, True), (OUT_DIRECT, False)])
def test_a_direct_ioctl_copies_its_input_and_maps_its_output(code: int, readonly: bool) -> None:
    with lab() as own:
        request, _, _, out = own.ioctl(code, 8, 64)
        one = found(wdf.WdfRequestRetrieveInputMemory(request))
        two = found(wdf.WdfRequestRetrieveOutputMemory(request))
        denied = wdf.STATUS_ACCESS_VIOLATION
        assert wdf.WdfMemoryCopyFromBuffer(one, 0, b"x", 1) == denied
        answer = wdf.WdfMemoryCopyFromBuffer(two, 0, b"at once", 7)
        assert (answer, out[:7] == b"at once") == ((denied, False) if readonly else (OK, True))
        ENDS(request, OK)


@case("Q17-wdf", "Q19-wdf", "Q20-wdf")
@pytest.mark.parametrize(
    ("mode", "internal", "answers"),
    [
        ("user", False, [IDR] * 6),
        ("kernel", False, [OK, OK, IDR, OK, OK, IDR]),
        ("user", True, [OK, OK, IDR, OK, OK, IDR]),
    ],
)
def test_a_neither_ioctl(mode: str, internal: bool, answers: list[int]) -> None:
    with lab(mode=mode) as own:
        request, _, source, _ = own.ioctl(NEITHER, 8, 8, internal)
        assert retrievals(request) == answers
        if answers[0] == OK:
            memory = found(wdf.WdfRequestRetrieveInputMemory(request))
            assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"in", 2) == OK
            assert source[:2] == b"in"
        wanted = wdf.UserMode if mode == "user" else wdf.KernelMode
        assert wdf.WdfRequestGetRequestorMode(request) == wanted
        ENDS(request, OK)


@case("Q23-wdf")
def test_a_read_of_nothing_is_too_small() -> None:
    with lab() as own:
        request, *_ = own.read(0)
        assert wdf.WdfRequestRetrieveOutputBuffer(request, 0) == (BTS, None, 0)
        ENDS(request, OK)


@case("Q25-wdf")
def test_memory_and_request_after_completion() -> None:
    with lab() as own:
        request, *_ = own.read(64)
        memory = found(wdf.WdfRequestRetrieveOutputMemory(request))
        wdf.WdfObjectReference(request)
        ENDS(request, OK)
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.WdfMemoryGetBuffer(memory)
        assert (caught.value.code, caught.value.p1) == (0x10D, wdf.WDF_INVALID_HANDLE)
        assert retrievals(request) == [IDR, IDR, IDR, IER, IER, IER]
        wdf.WdfObjectDereference(request)


@case("Q26-wdf")
def test_the_mdl_of_a_buffered_write_is_built_once() -> None:
    with lab() as own:
        request, _ = own.write(bytes(5000))
        mdl = found(wdf.WdfRequestRetrieveInputWdmMdl(request))
        assert wdf.WdfRequestRetrieveInputWdmMdl(request) == (OK, mdl)
        assert mdl.byte_count == 5000
        ENDS(request, OK)


@case("Q29-wdf")
def test_a_neither_read_of_a_user() -> None:
    with lab(io_type=wdf.WdfDeviceIoNeither) as own:
        request, *_ = own.read(8)
        assert retrievals(request) == [IDR] * 6
        ENDS(request, OK)


@case("Q32-wdf", "C53-wdf", "C70-wdf")
def test_request_memory_is_not_its_drivers() -> None:
    with lab() as own:
        request, *_ = own.read(8)
        memory = found(wdf.WdfRequestRetrieveOutputMemory(request))
        with pytest.raises(membuf.MembufError) as caught:
            wdf.WdfObjectDelete(memory)
        assert caught.value.status == wdf.STATUS_CANNOT_DELETE
        with pytest.raises(membuf.BugCheck) as stopped:
            wdf.WdfMemoryAssignBuffer(memory, bytearray(8), 8)
        assert stopped.value.p1 == wdf.WDF_INVALID_HANDLE
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=8)
        wdf.WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, info)
        answer = wdf.WdfObjectAllocateContext(memory, attributes)
        assert answer == (wdf.STATUS_OBJECT_PATH_INVALID, None)
        ENDS(request, OK)


@case("Q34-wdf", "Q35-wdf", "Q37-wdf")
def test_unsafe_buffers() -> None:
    seen: list[Any] = []

    def look(device: Any, request: Any) -> None:
        status, pointer, length = wdf.WdfRequestRetrieveUnsafeUserInputBuffer(request, 4)
        assert pointer is not None
        seen.append((status, bytes(pointer), length))
        seen.append(wdf.WdfRequestRetrieveUnsafeUserInputBuffer(request, 8))
        status, pointer, length = wdf.WdfRequestRetrieveUnsafeUserOutputBuffer(request, 0)
        seen.append((status, length))
        assert wdf.WdfDeviceEnqueueRequest(device, request) == OK

    with lab(setup=caller_context(look)) as own:
        request, _ = own.taken(own.handle.start_ioctl(NEITHER, b"four", bytearray(8)))
        assert seen == [(OK, b"four", 4), (BTS, None, 0), (OK, 8)]
        answers = (
            wdf.WdfRequestRetrieveUnsafeUserInputBuffer(request, 0),
            wdf.WdfRequestRetrieveUnsafeUserOutputBuffer(request, 0),
        )
        assert answers == ((IDR, None, 0), (IDR, None, 0))
        ENDS(request, OK)


def caller_context(look: Any) -> Any:
    """A setup with an in-caller-context callback."""
    return lambda init: wdf.WdfDeviceInitSetIoInCallerContextCallback(init, look)


@case("Q38-wdf", "Q41-wdf")
def test_what_cannot_be_locked() -> None:
    with lab() as own:
        request, *_ = own.read(8)
        for lock in (
            wdf.WdfRequestProbeAndLockUserBufferForRead,
            wdf.WdfRequestProbeAndLockUserBufferForWrite,
        ):
            assert lock(request, bytearray(8), 0) == (wdf.STATUS_INVALID_USER_BUFFER, None)
            assert lock(request, None, 0) == (wdf.STATUS_INVALID_USER_BUFFER, None)
            assert lock(request, None, 8) == (wdf.STATUS_ACCESS_VIOLATION, None)
            with pytest.raises(ValueError, match="Length is 9"):
                lock(request, bytearray(8), 9)
        with mmap.mmap(-1, 4096, prot=mmap.PROT_READ) as pages:
            answer = wdf.WdfRequestProbeAndLockUserBufferForWrite(request, pages, 4096)
        assert answer == (wdf.STATUS_ACCESS_VIOLATION, None)
        assert request.children == ()
        ENDS(request, OK)


@case("Q40-wdf")
def test_locked_memory_is_usable_from_any_thread() -> None:
    data, locked = bytearray(b"user"), list[Any]()

    def look(device: Any, request: Any) -> None:
        locked.append(wdf.WdfRequestProbeAndLockUserBufferForRead(request, data, 4))
        wdf.WdfDeviceEnqueueRequest(device, request)

    with lab(setup=caller_context(look)) as own:
        request, _ = own.taken(own.handle.start_ioctl(NEITHER, data))
        memory = found(locked.pop())
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(bytes(memory.buffer)))
        thread.start()
        thread.join()
        assert (seen, memory.parent) == ([b"user"], request)
        assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"x", 1) == wdf.STATUS_ACCESS_VIOLATION
        ENDS(request, OK)


@case("Q43-wdf", "Q44-wdf", "C91-wdf")
def test_holds_and_completion() -> None:
    with lab() as own:
        request, pending, buffer = own.read(8)
        _, memory = wdf.WdfRequestProbeAndLockUserBufferForWrite(request, buffer, 8)
        check_hold(request, pending, memory)
        buffer.extend(b"no view is left")
        request, pending, _ = own.read(8)
        _, memory = wdf.WdfRequestRetrieveOutputMemory(request)
        check_hold(request, pending, memory)


def check_hold(request: Any, pending: Any, memory: Any) -> None:
    """A reference on a request's memory stops its completion; without it, it goes on."""
    wdf.WdfObjectReference(memory)
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.WdfRequestComplete(request, OK)
    assert (caught.value.code, caught.value.p1) == (0x10D, wdf.WDF_VERIFIER_FATAL_ERROR)
    assert not pending.done
    wdf.WdfObjectDereference(memory)
    wdf.WdfRequestComplete(request, OK)
    assert pending.wait() == (0, 0)


@case("C64-wdf")
def test_memory_of_a_request_goes_before_its_originator_knows() -> None:
    log: list[str] = []
    with lab() as own:
        request, pending, _ = own.read(8)
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = request
        attributes.EvtCleanupCallback = lambda _: log.append("c")
        attributes.EvtDestroyCallback = lambda _: log.append("d")
        status, *_ = wdf.WdfMemoryCreate(attributes, wdf.NonPagedPoolNx, 0, 100)
        assert status == OK
        pending.tell(lambda: log.append("told"))
        ENDS(request, OK)
        assert log == ["c", "d", "told"]


@case("C86-wdf")
@pytest.mark.parametrize(
    ("code", "mode", "input_is_read_only", "output_is_read_only"),
    [
        (BUFFERED, "user", False, False),
        (IN_DIRECT, "user", True, True),
        (OUT_DIRECT, "user", True, False),
        (NEITHER, "kernel", False, False),
    ],
)
def test_what_control_requests_let_be_written(
    code: int, mode: str, input_is_read_only: bool, output_is_read_only: bool
) -> None:
    with lab(mode=mode) as own:
        request, *_ = own.ioctl(code, 8, 8)
        for retrieve, read_only in (
            (wdf.WdfRequestRetrieveInputMemory, input_is_read_only),
            (wdf.WdfRequestRetrieveOutputMemory, output_is_read_only),
        ):
            wanted = wdf.STATUS_ACCESS_VIOLATION if read_only else OK
            assert wdf.WdfMemoryCopyFromBuffer(found(retrieve(request)), 0, b"x", 1) == wanted
        ENDS(request, OK)


@case("C86-wdf-others")
def test_what_other_memory_lets_be_written() -> None:
    with lab() as own:
        request, *_ = own.read(8)
        _, pages = wdf.WdfLookasideListCreate(None, 64, wdf.PagedPool, None, 0)
        denied = wdf.STATUS_ACCESS_VIOLATION
        for memory, wanted in (
            (wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 8)[1], OK),
            (wdf.WdfMemoryCreatePreallocated(None, bytearray(8), 8)[1], OK),
            (wdf.WdfMemoryCreateFromLookaside(pages)[1], OK),
            (wdf.WdfRequestRetrieveOutputMemory(request)[1], OK),
            (wdf.WdfRequestProbeAndLockUserBufferForRead(request, bytearray(8), 8)[1], denied),
            (wdf.WdfRequestProbeAndLockUserBufferForWrite(request, bytearray(8), 8)[1], OK),
        ):
            assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"x", 1) == wanted
        ENDS(request, OK)


def test_a_request_of_ones_own_has_nothing_to_retrieve() -> None:
    with wdf.driver("Sample"):
        own = membuf.Request()
        assert retrievals(own) == [IDR] * 6
        assert wdf.WdfRequestMarkCancelableEx(own, print) == IDR
        assert wdf.WdfRequestUnmarkCancelable(own) == IDR
        assert wdf.WdfRequestRequeue(own) == IDR
        assert not wdf.WdfRequestIsCanceled(own)
        wdf.WdfRequestComplete(own, OK)
        assert (wdf.WdfRequestGetIoQueue(own), wdf.WdfRequestGetFileObject(own)) == (None, None)


@pytest.mark.parametrize("retrieve", RETRIEVALS)
def test_what_is_no_request(retrieve: Any) -> None:
    with wdf.driver("Sample") as driver:
        for wrong in (None, driver, 3):
            with pytest.raises(membuf.BugCheck) as caught:
                retrieve(wrong)
            assert caught.value.p1 == wdf.WDF_INVALID_HANDLE


def test_parameters_of_each_type() -> None:
    with lab() as own:
        for member, request in (
            ("Read", own.read(8, 100)[0]),
            ("Write", own.write(b"x" * 8, 100)[0]),
        ):
            part = getattr(parameters_of(request).Parameters, member)
            assert (part.Length, part.Key, part.DeviceOffset) == (8, 0, 100)
            ENDS(request, OK)
        request, *_ = own.ioctl(BUFFERED, 8, 16)
        parameters = parameters_of(request)
        control = parameters.Parameters.DeviceIoControl
        assert parameters.Type == wdf.WdfRequestTypeDeviceControl
        assert (control.InputBufferLength, control.OutputBufferLength) == (8, 16)
        assert control.IoControlCode == BUFFERED
        untouched = wdf.WDF_REQUEST_PARAMETERS()
        wdf.WdfRequestGetParameters(request, untouched)
        assert untouched.Parameters.DeviceIoControl.IoControlCode == 0
        with pytest.raises(membuf.BugCheck):
            wdf.WdfRequestGetParameters(request, None)
        ENDS(request, OK)


def parameters_of(request: Any) -> wdf.WDF_REQUEST_PARAMETERS:
    parameters = wdf.WDF_REQUEST_PARAMETERS()
    wdf.WDF_REQUEST_PARAMETERS_INIT(parameters)
    wdf.WdfRequestGetParameters(request, parameters)
    return parameters


def test_labs_of_two_drivers_do_not_meet() -> None:
    with wdf.driver("One") as one, wdf.driver("Two") as two:
        first, second = Lab(one), Lab(two)
        assert wdf.WdfDeviceGetDriver(first.device) is one
        assert wdf.WdfDeviceGetDriver(second.device) is two

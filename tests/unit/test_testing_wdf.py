"""The bench for drivers: what it says of good ones, and that it sees each defect planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.testing import wdf as kit

OK = wdf.STATUS_SUCCESS


def completes(queue: Any, request: Any, length: int) -> None:
    """A good EvtIoWrite."""
    wdf.WdfRequestCompleteWithInformation(request, OK, length)


def answers(queue: Any, request: Any, length: int) -> None:
    """A good EvtIoRead."""
    _, memory = wdf.WdfRequestRetrieveOutputMemory(request)
    wdf.WdfMemoryCopyFromBuffer(memory, 0, b"hello", 5)
    wdf.WdfRequestCompleteWithInformation(request, OK, 5)


def attributes(**fields: Any) -> wdf.WDF_OBJECT_ATTRIBUTES:
    """Attributes with some fields set."""
    made = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(made)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# ---- good drivers --------------------------------------------------------------------------------


def test_requests_end_as_the_driver_says() -> None:
    def control(queue: Any, request: Any, output: int, size: int, code: int) -> None:
        _, source, _ = wdf.WdfRequestRetrieveInputBuffer(request, size)
        _, target, _ = wdf.WdfRequestRetrieveOutputBuffer(request, output)
        assert source is not None
        assert target is not None
        target[0:3] = bytes(source[0:3])
        wdf.WdfRequestCompleteWithInformation(request, OK, 3)

    with kit.driver("WdfGood") as bench:
        device = bench.device(
            EvtIoRead=answers,
            EvtIoWrite=completes,
            EvtIoDeviceControl=control,
            EvtIoInternalDeviceControl=control,
        )
        read = bench.read(device, 8, offset=512)
        assert (read.status, read.information, read.data) == (OK, 5, b"hello")
        assert read.buffer == b"hello" + b"\xee" * 3
        written = bench.write(device, b"abc")
        assert (written.information, written.data) == (3, b"")
        for send in (bench.ioctl, bench.internal_ioctl):
            assert send(device, 0x222000, b"abc", 8).data == b"abc"
        bench.expect("EvtIoRead", "EvtIoWrite", "EvtIoDeviceControl", "EvtIoInternalDeviceControl")
        assert bench.calls == []


def test_an_error_brings_no_data() -> None:
    def read(queue: Any, request: Any, length: int) -> None:
        wdf.WdfRequestCompleteWithInformation(request, wdf.STATUS_IO_DEVICE_ERROR, length)

    with kit.driver("WdfGood") as bench:
        result = bench.read(bench.device(EvtIoRead=read), 8)
        assert (result.status, result.data) == (wdf.STATUS_IO_DEVICE_ERROR, b"")


def test_the_order_of_callbacks_is_written_down() -> None:
    def write(queue: Any, request: Any, length: int) -> None:
        wdf.WdfRequestMarkCancelable(request, lambda r: wdf.WdfRequestComplete(r, OK))

    log = attributes(EvtCleanupCallback=lambda _: None, EvtDestroyCallback=lambda _: None)
    with kit.driver("WdfGood") as bench:
        device = bench.device(
            EvtIoWrite=write,
            in_caller_context=wdf.WdfDeviceEnqueueRequest,
            request_attributes=log,
        )
        io = bench.start_write(device, b"x")
        assert not io.done
        assert io.cancel()
        assert io.result().status == OK
        ends = ["EvtCleanupCallback", "EvtDestroyCallback"]
        begins = ["EvtIoInCallerContext", "EvtIoWrite", "EvtRequestCancel"]
        assert [name for name in bench.calls if name not in ends] == begins
        assert bench.calls[-2:] == ends


def test_a_driver_adds_its_own_device() -> None:
    def device_add(driver: Any, init: Any) -> int:
        _, device = wdf.WdfDeviceCreate(init, None)
        config = wdf.WDF_IO_QUEUE_CONFIG()
        wdf.WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(config, wdf.WdfIoQueueDispatchSequential)
        config.EvtIoRead = answers
        return int(wdf.WdfIoQueueCreate(device, config, None)[0])

    with kit.driver("WdfGood") as bench:
        device = bench.add(device_add)
        assert bench.read(device, 5).data == b"hello"
        bench.expect("EvtDriverDeviceAdd", "EvtIoRead")
        with pytest.raises(membuf.InsufficientResourcesError):
            bench.add(lambda driver, init: wdf.STATUS_INSUFFICIENT_RESOURCES)


def test_what_waits_in_a_queue_at_the_end_is_no_defect() -> None:
    with kit.driver("WdfGood") as bench:
        io = bench.start_read(bench.device(dispatch=wdf.WdfIoQueueDispatchManual), 8)
    assert io.result().status == wdf.STATUS_CANCELLED


def test_what_is_made_before_the_first_request_may_stay() -> None:
    with kit.driver("WdfGood") as bench:
        device = bench.device(EvtIoWrite=completes)
        wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, 0, 100)
        bench.write(device, b"x")


def test_memory_of_the_request_is_no_defect() -> None:
    def write(queue: Any, request: Any, length: int) -> None:
        given = attributes(ParentObject=request)
        wdf.WdfMemoryCreate(given, wdf.NonPagedPoolNx, 0, 100)
        completes(queue, request, length)

    with kit.driver("WdfGood") as bench:
        bench.write(bench.device(EvtIoWrite=write), b"x")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, membuf.MembufError),
        ({"EvtIoRead": print, "dispatch": 3}, membuf.InvalidParameterError),
        ({"EvtIoRead": print, "io_type": 0}, membuf.InvalidParameterError),
        ({"EvtIoRaed": print}, AttributeError),
    ],
)
def test_a_device_that_cannot_be_made(options: dict[str, Any], kind: type[Exception]) -> None:
    with kit.driver("WdfGood") as bench, pytest.raises(kind):
        bench.device(**options)


# ---- planted defects -----------------------------------------------------------------------------


def leaves_memory(queue: Any, request: Any, length: int) -> None:
    wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, b"Left", 100)
    completes(queue, request, length)


def leaves_an_object(queue: Any, request: Any, length: int) -> None:
    given = attributes(ParentObject=queue)
    wdf.WdfCollectionCreate(given)
    completes(queue, request, length)


def leaves_pool(queue: Any, request: Any, length: int) -> None:
    wdf.ExAllocatePool2(wdf.POOL_FLAG_NON_PAGED, 100, b"Pool")
    completes(queue, request, length)


def leaves_a_reference(queue: Any, request: Any, length: int) -> None:
    _, memory, _ = wdf.WdfMemoryCreate(None, wdf.PagedPool, b"Held", 100)
    wdf.WdfObjectReference(memory)
    wdf.WdfObjectDelete(memory)
    completes(queue, request, length)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (leaves_memory, "was made while requests were served"),
        (leaves_an_object, "membuf.Collection"),
        (leaves_pool, "tag 'Pool'"),
        (leaves_a_reference, "tag 'Held'"),
    ],
)
def test_what_is_left_is_reported(write: Callable[..., None], words: str) -> None:
    with pytest.raises(kit.DriverDefectError) as caught, kit.driver("WdfBad") as bench:
        assert bench.write(bench.device(EvtIoWrite=write), b"x").status == OK
    (defect,) = caught.value.defects
    assert words in defect


def test_a_request_that_is_never_completed_is_reported() -> None:
    kept: list[Any] = []
    with (
        pytest.raises(kit.DriverDefectError) as caught,
        kit.driver("WdfBad", timeout=0.05) as bench,
    ):
        device = bench.device(EvtIoWrite=lambda queue, request, length: kept.append(request))
        bench.start_write(device, b"abc", 7)
    (defect,) = caught.value.defects
    assert "a write of 3 bytes at 7 was never completed" in defect
    assert "1 with the driver" in defect
    kept.pop().complete()


def test_a_request_that_is_dropped_is_reported() -> None:
    with pytest.raises(kit.DriverDefectError) as caught, kit.driver("WdfBad") as bench:
        device = bench.device(EvtIoWrite=lambda queue, request, length: None)
        assert bench.write(device, b"abc").status == wdf.STATUS_INTERNAL_ERROR
    (defect,) = caught.value.defects
    assert "dropped by its driver without being completed" in defect


def test_a_callback_that_raises_is_reported() -> None:
    def write(queue: Any, request: Any, length: int) -> None:
        raise KeyError("planted")

    bad = kit.driver("WdfBad")
    with pytest.raises(kit.DriverDefectError, match="KeyError: 'planted'"), bad as bench:
        device = bench.device(EvtIoWrite=write)
        assert bench.write(device, b"abc").status == wdf.STATUS_UNSUCCESSFUL


def test_a_wait_for_it_ends() -> None:
    kept: list[Any] = []
    with kit.driver("WdfBad", timeout=0.05) as bench:
        device = bench.device(EvtIoRead=lambda queue, request, length: kept.append(request))
        with pytest.raises(kit.DriverDefectError, match="a read of 8 bytes at 0 was never"):
            bench.read(device, 8)
        kept.pop().complete()


def test_the_wrong_order_is_reported() -> None:
    with kit.driver("WdfBad") as bench:
        device = bench.device(EvtIoWrite=completes, EvtIoRead=answers)
        bench.write(device, b"x")
        bench.read(device, 5)
        with pytest.raises(kit.DriverDefectError, match=r"expected .*EvtIoRead.*came .*EvtIoWrite"):
            bench.expect("EvtIoRead", "EvtIoWrite")


def test_several_defects_are_reported_together() -> None:
    bad = kit.driver("WdfBad")
    with pytest.raises(kit.DriverDefectError, match=r"3 defect\(s\)") as caught, bad as bench:
        device = bench.device(EvtIoWrite=leaves_memory, EvtIoDefault=leaves_pool_too)
        bench.write(device, b"x")
        bench.write(device, b"x")
        bench.ioctl(device, 0x222000)
    assert len(caught.value.defects) == 3


def leaves_pool_too(queue: Any, request: Any) -> None:
    leaves_pool(queue, request, 0)


def test_a_bug_check_that_was_kept_is_raised_with_what_else_is_wrong() -> None:
    def write(queue: Any, request: Any, length: int) -> None:
        wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, 0, 100)
        wdf.ExAllocatePool2(wdf.POOL_FLAG_NON_PAGED, 100, b"Pool")
        wdf.WdfRequestCompleteWithInformation(request, OK, length + 1)

    with pytest.raises(membuf.BugCheck) as caught, kit.driver("WdfBad") as bench:
        result = bench.write(bench.device(EvtIoWrite=write), b"x")
        assert result.status == wdf.STATUS_UNSUCCESSFUL
    assert caught.value.p1 == wdf.WDF_REQUEST_FATAL_ERROR
    assert "was made while requests were served" in caught.value.__notes__[0]


def test_what_the_body_raises_comes_first() -> None:
    with pytest.raises(KeyError), kit.driver("WdfBad") as bench:
        bench.write(bench.device(EvtIoWrite=leaves_memory), b"x")
        raise KeyError

"""Devices as targets: what they get of a request, and how it comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import DeviceTarget, local_target
from membuf.mdl import Mdl
from membuf.request import Request, RequestType
from membuf.request.irp import Irp
from membuf.target import StopAction, TargetState
from membuf.testing import check_target
from membuf.testing.expecting import Told
from tests.lower import Lower, ended, formatted, memory_disk

IO_TYPES = [membuf.BUFFERED, membuf.DIRECT, membuf.NEITHER]


@pytest.fixture(params=IO_TYPES, ids=lambda kind: kind.name)
def io_type(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def lower() -> Iterator[Lower]:
    yield from ended(Lower())


# ---- the kit ------------------------------------------------------------------------------------


def test_a_device_is_a_target_like_any_other(io_type: Any) -> None:
    devices: list[membuf.Device] = []

    def factory() -> DeviceTarget:
        devices.append(memory_disk(io_type))
        return DeviceTarget(devices[-1])

    check_target(factory)
    for device in devices:
        device.delete()


def test_a_filter_over_a_device_is_too() -> None:
    device = memory_disk(membuf.BUFFERED, "kit-device")
    check_target(lambda: membuf.open_target("log+stats+device:kit-device"))
    device.delete()


# ---- what it gets -------------------------------------------------------------------------------


def test_a_buffered_write_is_copied_when_it_is_formatted(lower: Lower) -> None:
    memory = membuf.Memory(8)
    memory.copy_from(b"earlier!")
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory)
        memory.copy_from(b"later...")
        request.send()
        received = lower.one()
        assert bytes(received.input_buffer()) == b"earlier!"
        assert (received.mode, received.length) == ("kernel", 8)
        received.complete(information=8)
        request.reuse()


def test_a_buffered_read_comes_back_before_the_routine(lower: Lower) -> None:
    memory, seen = membuf.Memory(100), list[bytes]()
    memory.copy_from(b"-" * 100)
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory, "format_read")
        request.send(lambda *_: seen.append(bytes(memory)[:12]))
        received = lower.one()
        received.output_memory().copy_from(b"x" * 100)
        received.complete(information=10)
        assert seen == [b"x" * 10 + b"--"]
        assert request.information == 10
        request.reuse()


def test_an_error_copies_nothing_back(lower: Lower) -> None:
    memory = membuf.Memory(8)
    memory.copy_from(b"--------")
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory, "format_read")
        request.send()
        received = lower.one()
        received.output_memory().copy_from(b"xxxxxxxx")
        received.complete(st.STATUS_UNSUCCESSFUL, 200)
        assert bytes(memory) == b"--------"
        assert (request.status, request.information) == (st.STATUS_UNSUCCESSFUL, 200)
        request.reuse()


def test_a_warning_copies_and_is_no_success(lower: Lower) -> None:
    output = bytearray(8)
    with DeviceTarget(lower.device) as target:
        request = Request(target)
        request.format_ioctl(0x222000, None, output)
        request.send()
        received = lower.one()
        received.output_buffer()[:4] = b"some"
        received.complete(st.STATUS_BUFFER_OVERFLOW, 4)
        assert output == b"some\0\0\0\0"
        assert (request.status, request.information) == (st.STATUS_BUFFER_OVERFLOW, 4)
        request.reuse()


def test_a_success_that_says_more_is_told(lower: Lower) -> None:
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        request.send()
        lower.one().complete(st.STATUS_MORE_ENTRIES, 1)
        assert request.status == st.STATUS_MORE_ENTRIES
        assert request.result() == 1


def test_direct_pages_are_those_of_the_memory() -> None:
    (lower,) = [Lower(membuf.DIRECT)]
    memory = membuf.Memory(8192, alignment=4096)
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory, memory_offset=4096, memory_length=100)
        request.send()
        received = lower.one()
        mdl = received.input_mdl()
        assert (mdl.byte_count, mdl.address) == (100, memory.address + 4096)
        received.complete(information=100)
        request.reuse()
    lower.device.delete()


def test_a_raw_mdl_arrives_itself() -> None:
    lower, mdl = Lower(membuf.DIRECT), Mdl(bytearray(100))
    mdl.lock()
    with DeviceTarget(lower.device) as target:
        for given in (mdl, membuf.MemoryDescriptor.mdl(mdl)):
            request = formatted(target, given, "format_read")
            request.send()
            received = lower.one()
            assert received.output_mdl() is mdl
            received.complete(information=100)
            request.reuse()
    assert mdl.locked
    mdl.unlock()
    lower.device.delete()


def test_a_part_of_a_direct_requests_memory_is_a_partial_mdl() -> None:
    lower = Lower(membuf.DIRECT)
    upper = Lower(membuf.DIRECT, lower=local_target(lower.device))
    data = bytearray(4096)
    handle = upper.device.open()
    pending = handle.start_read(data)
    above = upper.one()
    memory = above.output_memory()
    above.format_read(memory, memory_offset=512, memory_length=1024)
    above.send(lambda request, *_: request.complete(information=1024))
    below = lower.one()
    mdl = below.output_mdl()
    assert (mdl.kind, mdl.byte_count) == ("partial", 1024)
    assert mdl.address == above.output_mdl().address + 512
    below.output_buffer()[:] = b"p" * 1024
    below.complete(information=1024)
    assert pending.wait() == (st.STATUS_SUCCESS, 1024)
    assert data[511:514] == b"\0pp"
    handle.close()
    for device in (upper.device, lower.device):
        device.delete()


def test_the_whole_memory_of_a_direct_request_is_its_mdl() -> None:
    lower = Lower(membuf.DIRECT)
    upper = Lower(membuf.DIRECT, lower=local_target(lower.device))
    with upper.device.open() as handle:
        pending = handle.start_write(b"w" * 64)
        above = upper.one()
        above.format_write(above.input_memory())
        above.send(lambda request, *_: request.complete(information=64))
        below = lower.one()
        assert below.input_mdl() is above.input_mdl()
        below.complete(information=64)
        assert pending.wait()[1] == 64
    for device in (upper.device, lower.device):
        device.delete()


def test_a_neither_device_gets_the_pointer() -> None:
    lower, memory = Lower(membuf.NEITHER), membuf.Memory(64)
    memory.copy_from(bytes(range(64)))
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory, memory_offset=8, memory_length=4)
        request.send()
        received = lower.one()
        assert received.input_memory().address == memory.address + 8
        assert bytes(received.input_buffer()) == bytes(range(8, 12))
        received.complete(information=4)
        request.reuse()
    lower.device.delete()


@pytest.mark.parametrize("method", [1, 2])
def test_a_direct_control_request_passes_input_and_pages(lower: Lower, method: int) -> None:
    first, second = membuf.Memory(16), membuf.Memory(32)
    with DeviceTarget(lower.device) as target:
        request = Request(target)
        request.format_ioctl(0x222000 | method, first, second)
        assert (first.reference_count, second.reference_count) == (2, 2)
        request.send()
        received = lower.one()
        assert received.input_memory().address == first.address
        assert received.output_mdl().address == second.address
        assert received.output_memory().readonly == (method == 1)
        received.complete(information=0)
        request.reuse()
        assert (first.reference_count, second.reference_count) == (1, 1)


def test_a_neither_control_request_passes_both_pointers(lower: Lower) -> None:
    first, second = membuf.Memory(16), membuf.Memory(32)
    with DeviceTarget(lower.device) as target:
        request = Request(target)
        request.format_ioctl(0x222003, first, second, input_offset=4)
        request.send()
        received = lower.one()
        assert received.input_memory().address == first.address + 4
        assert received.output_memory().address == second.address
        received.complete(information=0)
        request.reuse()


def test_others_arrive_as_three_pointers(lower: Lower) -> None:
    memories = [membuf.Memory(16) for _ in range(2)]
    with DeviceTarget(lower.device) as target:
        request = Request(target)
        request.format_internal_ioctl_others(7, memories[0], None, memories[1], offsets=(4, 0, 8))
        request.send()
        received = lower.one()
        first, second, fourth = received.irp.arguments
        assert (len(first), second, len(fourth)) == (12, None, 8)
        assert received.type is RequestType.INTERNAL_DEVICE_CONTROL
        received.complete()
        assert request.completion.type is RequestType.OTHER
        del first, fourth
        request.reuse()


def test_the_three_forms_of_memory_bring_the_same_bytes(io_type: Any) -> None:
    lower, data = Lower(io_type), bytearray(b"the same bytes")
    memory, mdl = membuf.Memory(len(data)), Mdl(data)
    memory.copy_from(data)
    mdl.lock()
    forms = [
        membuf.MemoryDescriptor.buffer(data),
        membuf.MemoryDescriptor.mdl(mdl),
        membuf.MemoryDescriptor.handle(memory),
    ]
    seen = []
    with DeviceTarget(lower.device) as target:
        for form in forms:
            request = formatted(target, form)
            request.send()
            received = lower.one()
            seen.append(bytes(received.input_buffer()))
            received.complete(information=len(data))
            request.reuse()
    assert seen == [b"the same bytes"] * 3
    mdl.unlock()
    lower.device.delete()


# ---- files and depth ----------------------------------------------------------------------------


def test_a_local_target_keeps_the_file_and_a_remote_one_has_its_own(lower: Lower) -> None:
    upper = Lower(lower=local_target(lower.device))
    remote = DeviceTarget(lower.device)
    with upper.device.open() as handle:
        for target, expected in ((upper.device.target, handle.file), (remote, remote._handle.file)):
            pending = handle.start_write(b"x")
            above = upper.one()
            above.change_target(target)
            above.format_write(above.input_memory())
            above.send(lambda request, *_: request.complete(information=1))
            below = lower.one()
            assert below.file is expected
            below.complete(information=1)
            assert pending.wait()[0] == st.STATUS_SUCCESS
    own = formatted(upper.device.target, b"x")
    own.send()
    below = lower.one()
    assert below.file is None
    below.complete(information=1)
    remote.close()
    upper.device.delete()


def test_a_packet_too_short_for_the_stack_is_refused(lower: Lower) -> None:
    middle = membuf.Device(lower=local_target(lower.device), filter=True)
    target = local_target(membuf.Device(lower=local_target(middle), filter=True))
    assert target.stack_depth == 3
    received: list[Any] = []
    top = membuf.Device()
    top.on_default(received.append)
    top.submit(Irp(RequestType.FLUSH, stack_count=1))
    memory = membuf.Memory(4)
    with pytest.raises(membuf.MembufError) as caught:
        received[0].change_target(target)
    assert caught.value.status == st.STATUS_REQUEST_NOT_ACCEPTED
    own = formatted(target, memory)
    own.send()
    below = lower.one()
    below.complete(information=4)
    assert own.result() == 4
    received.pop().complete()
    own.reuse()


# ---- cancelling and time ------------------------------------------------------------------------


def test_a_request_below_that_is_cancelable_is_cancelled(lower: Lower) -> None:
    told = Told()
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        request.send(told)
        received = lower.one()
        received.mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))
        assert request.cancel()
        assert told.one()[2].status == st.STATUS_CANCELLED
        assert request.cancel() is False


def test_a_request_below_that_is_not_finds_the_wish_later(lower: Lower) -> None:
    told = Told()
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        request.send(told)
        received = lower.one()
        assert request.cancel() is False
        assert received.canceled
        assert not received.try_mark_cancelable(lambda r: None)
        received.complete(st.STATUS_CANCELLED)
        assert told.one()[2].status == st.STATUS_CANCELLED


def test_a_synchronous_timeout_cancels_and_waits(lower: Lower) -> None:
    def cancel_soon() -> None:
        lower.one().mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))

    thread = threading.Thread(target=cancel_soon)
    thread.start()
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        begin = time.monotonic()
        request.send(synchronous=True, timeout=0.05)
        assert 0.04 < time.monotonic() - begin < 10
        assert request.status == st.STATUS_IO_TIMEOUT
        thread.join()


def test_a_synchronous_timeout_keeps_what_the_lower_side_says(lower: Lower) -> None:
    def complete_late() -> None:
        received = lower.one()
        time.sleep(0.1)
        received.complete(information=1)

    thread = threading.Thread(target=complete_late)
    thread.start()
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        begin = time.monotonic()
        request.send(synchronous=True, timeout=0.02)
        assert time.monotonic() - begin > 0.09
        assert request.status == st.STATUS_SUCCESS
        thread.join()


def test_an_asynchronous_timeout_is_told(lower: Lower) -> None:
    told = Told()
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        request.send(told, timeout=0.05)
        lower.one().mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED, 5))
        params = told.one()[2]
        assert (params.status, params.information) == (st.STATUS_IO_TIMEOUT, 5)


def test_a_stopped_target_times_out_without_calling_the_device(lower: Lower) -> None:
    with DeviceTarget(lower.device) as target:
        target.stop()
        request = formatted(target, b"x")
        request.send(synchronous=True, timeout=0.02)
        assert request.status == st.STATUS_IO_TIMEOUT
        assert lower.got == []


def test_stopping_waits_for_the_device(lower: Lower) -> None:
    with DeviceTarget(lower.device) as target:
        request = formatted(target, b"x")
        request.send()
        received = lower.one()
        target.stop(StopAction.LEAVE)
        stopping = threading.Thread(target=target.stop, args=(StopAction.WAIT,))
        stopping.start()
        time.sleep(0.02)
        assert stopping.is_alive()
        received.complete(information=1)
        stopping.join(30)
        assert not stopping.is_alive()
        assert request.status == st.STATUS_SUCCESS


def test_closing_cancels_all_and_waits(lower: Lower) -> None:
    target = DeviceTarget(lower.device)
    requests = [formatted(target, b"x") for _ in range(2)]
    requests[0].send()
    requests[1].send(ignore_target_state=True)
    for _ in requests:
        lower.one().mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))
    target.close()
    assert [request.status for request in requests] == [st.STATUS_CANCELLED] * 2
    with pytest.raises(membuf.InvalidDeviceStateError):
        formatted(target, b"x")


def test_a_parents_deletion_cancels_and_waits(lower: Lower) -> None:
    events: list[str] = []
    parent = membuf.Object()
    target = DeviceTarget(lower.device, parent=parent)
    request = formatted(target, b"x")
    request.send(lambda *_: events.append("ended"))
    lower.one().mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))
    parent.delete()
    assert events == ["ended"]
    assert target.state is TargetState.DELETED

"""Devices over devices: what a filter passes down, and what ends here though its packet goes on."""

from __future__ import annotations

from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.request import RequestType
from tests.receiving import BUFFERED, Lab, refused


class Below:
    """As little of a target as passing down needs."""

    def __init__(self, device: membuf.Device) -> None:
        self.device = device
        self.open = True

    @property
    def stack_depth(self) -> int:
        return self.device.stack_depth

    def forward(self, irp: Any) -> None:
        self.check_accepts(ignore_state=True)
        self.device.submit(irp)

    def check_forwards(self) -> None:
        """It takes them all."""

    def check_accepts(self, *, ignore_state: bool) -> None:
        if not self.open:
            raise membuf.InvalidDeviceStateError("closed")


def stack(depth: int, bottom: membuf.Device) -> membuf.Device:
    """Filters without a handler over a device."""
    device = bottom
    for n in range(depth):
        device = membuf.Device(f"filter {n}", lower=Below(device), filter=True)
    return device


def test_a_filter_passes_down_what_it_has_no_handler_for() -> None:
    lab, log = Lab(), []
    lab.device.on_create(lambda request: (log.append("create"), request.complete()))
    lab.device.on_cleanup(lambda file: log.append("cleanup"))
    lab.device.on_close(lambda file: log.append("close"))
    top = stack(3, lab.device)
    assert (top.stack_depth, lab.device.stack_depth) == (4, 1)
    handle = top.open()
    buffer = bytearray(8)
    request, pending = lab.taken(handle.start_read(buffer))
    assert (request.file, request.irp.location, request.irp.stack_count) == (handle.file, 4, 4)
    request.output_buffer()[:] = b"the read"
    request.complete(information=8)
    assert (pending.wait(), buffer) == ((0, 8), b"the read")
    assert pending.irp.location == 5
    waiting = handle.start_read(buffer)
    handle.close()
    assert waiting.wait() == (st.STATUS_CANCELLED, 0)
    assert log == ["create", "cleanup", "close"]


def test_a_filter_handles_what_it_has_a_handler_for() -> None:
    lab = Lab()
    top = stack(1, lab.device)
    top.on_write(lambda request: request.complete(information=1))
    handle = top.open()
    assert handle.write(b"abc") == 1
    request, pending = lab.taken(handle.start_ioctl(BUFFERED, b"in"))
    assert bytes(request.input_buffer()) == b"in"
    request.complete()
    assert pending.done
    assert top.statistics().queues[0].owned == 0


def test_a_device_that_is_no_filter_does_not_pass_down() -> None:
    device = membuf.Device("function", lower=Below(Lab().device))
    device.on_read(lambda request: request.complete())
    assert device.open().start_write(b"x").wait() == (st.STATUS_INVALID_DEVICE_REQUEST, 0)


def test_a_filter_over_a_closed_target_says_so() -> None:
    top = stack(1, Lab().device)
    handle = top.open()
    top.target.open = False
    assert handle.start_read(bytearray(1)).wait() == (st.STATUS_INVALID_DEVICE_STATE, 0)


def test_send_and_forget_ends_the_request_here() -> None:
    lab, log = Lab(), []
    top = stack(1, lab.device)
    top.queue("q", dispatch="sequential")
    kept: list[Any] = []

    @top.on_read
    def read(request: Any) -> None:
        buffer = bytearray(8)
        locked = request.probe_and_lock_for_write(buffer)
        locked.add_context(list, on_destroy=lambda _: log.append("child"))
        request.add_context(list, on_cleanup=lambda _: log.append("cleanup"))
        kept.extend([request, request.output_memory()])
        request.send(send_and_forget=True, target=top.target)
        log.append("sent")
        with refused(st.STATUS_INVALID_DEVICE_REQUEST):
            request.complete()

    handle = top.open()
    first, second = (handle.start_read(bytearray(8), n) for n in range(2))
    assert log == ["cleanup", "child", "sent"] * 2
    with pytest.raises(membuf.ObjectDeletedError):
        _ = kept[1].buffer
    for pending, status in ((first, 0), (second, st.STATUS_END_OF_FILE)):
        request, _ = lab.taken(pending)
        assert request.type is RequestType.READ
        request.complete(status)
        assert pending.wait() == (status, 0)


def test_send_and_forget_that_is_refused_leaves_it_here() -> None:
    lab = Lab()
    request, pending, _ = lab.read(8)
    below = Below(stack(1, Lab().device))
    with refused(st.STATUS_REQUEST_NOT_ACCEPTED):
        request.send(send_and_forget=True, target=below)
    with refused(st.STATUS_INVALID_PARAMETER):
        request.send(send_and_forget=True, target=below, timeout=1)
    assert request.owned
    request.complete()
    assert pending.done


def test_where_the_youngest_device_of_a_name_is_found() -> None:
    old = membuf.Device("one name")
    new = membuf.Device("one name")
    assert membuf.request.find_device("one name") is new
    new.delete()
    with pytest.raises(FileNotFoundError):
        membuf.request.find_device("one name")
    assert not old.deleted


def test_what_is_sent_on_for_good_keeps_its_order() -> None:
    """The next request of a sequential queue comes when this one is with the device below."""
    lab, kept = Lab(), list[Any]()
    top = stack(1, lab.device)
    top.queue("q", dispatch="sequential")

    @top.on_write
    def write(request: Any) -> None:
        if request.offset == 0:
            kept.append(request)
        else:
            request.send(send_and_forget=True, target=top.target)

    handle = top.open()
    for offset in range(3):
        handle.start_write(b"x", offset)
    kept.pop().send(send_and_forget=True, target=top.target)
    order = [lab.queue.retrieve_next() for _ in range(3)]
    assert [request.offset for request in order] == [0, 1, 2]
    for request in order:
        request.complete()


def test_a_target_that_closes_in_between_ends_the_request() -> None:
    lab = Lab()
    top = stack(1, lab.device)

    @top.on_write
    def write(request: Any) -> None:
        request.add_context(list, on_cleanup=lambda _: setattr(top.target, "open", False))
        request.send(send_and_forget=True, target=top.target)

    assert top.open().start_write(b"x").wait() == (st.STATUS_INVALID_DEVICE_STATE, 0)
    assert top.statistics().queues[0].owned == 0


def test_a_file_object_is_the_frameworks() -> None:
    with refused(st.STATUS_CANNOT_DELETE):
        Lab().handle.file.delete()


def test_a_file_ends_with_the_last_request_of_it_that_a_driver_has() -> None:
    lab, log = Lab(), []
    lab.device.on_cleanup(lambda file: log.append("cleanup"))
    lab.device.on_close(lambda file: log.append("close"))
    requests = [lab.read(8)[0] for _ in range(2)]
    lab.handle.close()
    lab.handle.close()
    assert log == ["cleanup"]
    requests.pop().complete()
    assert log == ["cleanup"]
    requests.pop().complete()
    assert log == ["cleanup", "close"]
    with refused(st.STATUS_INVALID_HANDLE):
        lab.handle.read(1)

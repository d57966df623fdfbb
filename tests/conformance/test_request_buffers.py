"""Requests 1 to 44 of the specification: the buffers of received requests, at the Python face."""

from __future__ import annotations

import mmap
import threading
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.device import local_target
from tests.conformance.cases import case
from tests.receiving import BUFFERED, IN_DIRECT, NEITHER, OUT_DIRECT, Lab, refused, status_of

IDR, BTS, IER = (
    st.STATUS_INVALID_DEVICE_REQUEST,
    st.STATUS_BUFFER_TOO_SMALL,
    st.STATUS_INTERNAL_ERROR,
)


def retrievals(request: Any) -> list[int]:
    """What each retrieval answers: input memory, buffer, MDL; output memory, buffer, MDL."""
    calls = ("input_memory", "input_buffer", "input_mdl")
    calls += ("output_memory", "output_buffer", "output_mdl")
    return [status_of(getattr(request, call)) for call in calls]


@case("Q1", "Q2")
def test_a_read_has_output_and_no_input() -> None:
    request, pending, _ = Lab().read(4096)
    memory = request.output_memory()
    assert memory is request.output_memory()
    assert (memory.size, memory.readonly, memory.source) == (4096, False, "request")
    assert retrievals(request) == [IDR, IDR, IDR, 0, 0, 0]
    request.complete()
    assert pending.wait() == (0, 0)


@case("Q4", "C82-request", "C83-request", "C85-request")
def test_a_write_brings_memory_that_is_read_only() -> None:
    request, _ = Lab().write(b"abcd")
    memory = request.input_memory()
    with refused(st.STATUS_ACCESS_VIOLATION):
        memory.copy_from(b"x")
    with refused(st.STATUS_ACCESS_VIOLATION):
        memory.copy_from(b"too long", 4)
    out = bytearray(4)
    memory.copy_to(out)
    assert (bytes(memory.buffer), out, memory.buffer.readonly) == (b"abcd", b"abcd", True)
    assert retrievals(request) == [0, 0, 0, IDR, IDR, IDR]
    request.complete()


@case("Q5")
def test_a_buffered_write_is_as_it_was_submitted() -> None:
    data = bytearray(b"old bytes")
    request, _ = Lab().write(data)
    data[:] = b"new bytes"
    assert bytes(request.input_buffer()) == b"old bytes"
    request.complete()


@case("Q7")
def test_a_direct_read_lands_at_once() -> None:
    request, _, buffer = Lab(membuf.DIRECT).read(8192)
    request.output_memory().copy_from(b"direct", 4096)
    assert buffer[4096:4102] == b"direct"
    mdl = request.output_mdl()
    assert mdl is request.output_mdl()
    assert (mdl.byte_count, mdl.address) == (8192, request.output_memory().address)
    with refused(IDR):
        mdl.unlock()
    request.complete()
    assert mdl.freed


def test_a_direct_write_is_as_it_is_now() -> None:
    data = bytearray(b"old")
    request, _ = Lab(membuf.DIRECT).write(data)
    data[:] = b"new"
    assert bytes(request.input_buffer()) == b"new"
    assert (request.input_memory().readonly, request.input_mdl().buffer.readonly) == (True, True)
    request.complete()
    data.extend(b"its originator's again")


def test_a_direct_read_of_nothing_has_no_pages() -> None:
    request, _, _ = Lab(membuf.DIRECT).read(0)
    assert request.irp.mdl is None
    assert retrievals(request) == [IDR, IDR, IDR, BTS, BTS, BTS]
    request.complete()


@case("Q8")
def test_as_much_is_copied_back_as_was_read() -> None:
    request, pending, buffer = Lab().read(100)
    request.output_buffer()[:] = b"r" * 100
    request.complete(information=10)
    assert pending.wait() == (0, 10)
    assert buffer == b"r" * 10 + b"\xee" * 90


@case("Q10")
def test_a_warning_copies_back() -> None:
    request, pending, _, out = Lab().ioctl(BUFFERED, 4, 16)
    request.output_buffer()[:] = b"w" * 16
    request.complete(st.STATUS_BUFFER_OVERFLOW, 16)
    assert pending.wait() == (st.STATUS_BUFFER_OVERFLOW, 16)
    assert out == b"w" * 16
    with refused(st.STATUS_BUFFER_OVERFLOW) as caught:
        pending.result()
    assert caught.value.output == b"w" * 16


def test_an_error_copies_nothing_back() -> None:
    request, pending, buffer = Lab().read(16)
    request.output_buffer()[:] = b"w" * 16
    request.complete(st.STATUS_UNSUCCESSFUL, 16)
    assert pending.wait() == (st.STATUS_UNSUCCESSFUL, 16)
    assert buffer == b"\xee" * 16


@case("Q11", "Q22", "Q28")
def test_a_buffered_ioctl_has_one_buffer_twice() -> None:
    request, _, source, _ = Lab().ioctl(BUFFERED, 8, 64)
    one, two = request.input_memory(), request.output_memory()
    assert one is not two
    assert (one.address, one.size, two.size) == (two.address, 8, 64)
    assert (one.readonly, two.readonly) == (False, False)
    assert bytes(one.buffer) == source
    assert len(request.input_buffer(8)) == len(request.input_buffer(0)) == 8
    with refused(BTS):
        request.input_buffer(9)
    first, second = request.input_mdl(), request.output_mdl()
    assert (first.byte_count, second.byte_count) == (8, 64)
    assert first.address == second.address == one.address
    request.complete()
    assert (first.freed, second.freed) == (True, True)


def test_with_one_slot_the_second_mdl_is_the_first() -> None:
    request, *_ = Lab().ioctl(BUFFERED, 8, 64)
    assert request.output_mdl(one_slot=True) is request.input_mdl(one_slot=True)
    assert request.input_mdl(one_slot=True).byte_count == 64
    request.complete()


@case("Q13")
def test_an_empty_half_is_too_small() -> None:
    request, *_ = Lab().ioctl(BUFFERED, 0, 8)
    assert retrievals(request) == [BTS, BTS, BTS, 0, 0, 0]
    assert request.output_memory().size == 8
    request.complete()


@case("Q14")
def test_information_without_output_is_not_looked_at() -> None:
    request, pending, source, _ = Lab().ioctl(BUFFERED, 8, 0)
    request.complete(information=3)
    assert pending.wait() == (0, 3)
    assert source == bytearray(range(8))


@case("Q16", "C86")
@pytest.mark.parametrize(("code", "readonly"), [(IN_DIRECT, True), (OUT_DIRECT, False)])
def test_a_direct_ioctl_copies_its_input_and_maps_its_output(code: int, readonly: bool) -> None:
    request, _, source, out = Lab().ioctl(code, 8, 64)
    one, two = request.input_memory(), request.output_memory()
    assert (one.readonly, two.readonly) == (True, readonly)
    source[:] = bytes(8)
    assert bytes(one.buffer) == bytes(range(8))
    if readonly:
        with refused(st.STATUS_ACCESS_VIOLATION):
            two.copy_from(b"x")
    else:
        two.copy_from(b"at once")
        assert out[:7] == b"at once"
    assert request.output_mdl().address == two.address
    assert request.output_mdl() is not request.input_mdl()
    request.complete()


@case("Q17")
def test_a_neither_ioctl_of_a_user_has_nothing_to_retrieve() -> None:
    request, *_ = Lab().ioctl(NEITHER, 8, 8)
    assert retrievals(request) == [IDR] * 6
    request.complete()
    request, *_ = Lab().ioctl(NEITHER, 0, 0)
    assert retrievals(request) == [BTS, BTS, IDR, BTS, BTS, IDR]
    request.complete()


@case("Q19", "Q20")
@pytest.mark.parametrize(("mode", "internal"), [("kernel", False), ("user", True)])
def test_a_neither_ioctl_of_a_driver_brings_its_pointers(mode: str, internal: bool) -> None:
    request, _, source, out = Lab(mode=mode).ioctl(NEITHER, 8, 16, internal)
    one, two = request.input_memory(), request.output_memory()
    assert (one.size, one.readonly, two.size, two.readonly) == (8, False, 16, False)
    one.copy_from(b"in")
    two.copy_from(b"out")
    assert (source[:2], out[:3]) == (b"in", b"out")
    assert [status_of(request.input_mdl), status_of(request.output_mdl)] == [IDR, IDR]
    request.complete()


@case("Q23")
def test_a_read_of_nothing_is_too_small() -> None:
    request, *_ = Lab().read(0)
    assert retrievals(request) == [IDR, IDR, IDR, BTS, BTS, BTS]
    request.complete()


@case("Q25")
def test_memory_is_gone_with_its_request_and_its_views_are_not() -> None:
    lab = Lab()
    request, *_ = lab.read(64)
    memory, view = request.output_memory(), request.output_buffer()
    view[:] = b"1" * 64
    request.complete()
    with pytest.raises(membuf.ObjectDeletedError):
        _ = memory.buffer
    again, *_ = lab.read(64)
    again.output_buffer()[:] = b"2" * 64
    again.complete()
    assert bytes(view) == b"1" * 64


def test_retrieval_after_completion_is_an_internal_error() -> None:
    request, *_ = Lab().read(64)
    request.reference()
    request.complete()
    assert retrievals(request) == [IDR, IDR, IDR, IER, IER, IER]
    request.dereference()


@case("Q26")
def test_the_mdl_of_a_buffered_write_is_built_once() -> None:
    request, _ = Lab().write(bytes(5000))
    mdl = request.input_mdl()
    assert mdl is request.input_mdl()
    assert (mdl.byte_count, mdl.kind) == (5000, "nonpaged")
    assert mdl.address == request.input_memory().address
    request.complete()


@case("Q29")
def test_a_neither_read_of_a_user() -> None:
    lab = Lab(membuf.NEITHER)
    request, *_ = lab.read(8)
    assert retrievals(request) == [IDR] * 6
    request.complete()
    request, *_ = lab.read(0)
    assert retrievals(request) == [IDR, IDR, IDR, BTS, BTS, IDR]
    request.complete()
    request, _, buffer = Lab(membuf.NEITHER, "kernel").read(8)
    request.output_memory().copy_from(b"kernel")
    assert buffer[:6] == b"kernel"
    assert status_of(request.output_mdl) == IDR
    request.complete()


@case("Q31")
def test_formatting_for_a_lower_device_changes_no_memory_of_its_own() -> None:
    lower, other = Lab(), membuf.Memory(64)
    with local_target(lower.device) as target:
        request, pending, buffer = Lab(membuf.DIRECT, lower=target).read(4096)
        memory = request.output_memory()
        address = memory.address
        request.format_ioctl(OUT_DIRECT, None, other)
        assert request.output_memory() is memory
        assert (memory.address, memory.size) == (address, 4096)
        memory.copy_from(b"still the originator's")
        request.reuse()
        request.complete()
    assert pending.done
    assert buffer.startswith(b"still")


@case("Q32", "C53", "C70-request")
def test_request_memory_is_not_its_drivers_to_delete() -> None:
    request, *_ = Lab().read(8)
    memory = request.output_memory()
    with refused(st.STATUS_CANNOT_DELETE):
        memory.delete()
    with refused(st.STATUS_CANNOT_DELETE):
        request.delete()
    with refused(IDR, (0x10D, 5)):
        memory.assign_buffer(bytearray(8))
    with refused(st.STATUS_OBJECT_PATH_INVALID):
        memory.add_context(list)
    assert (memory.parent, memory.size) == (request, 8)
    request.complete()


@pytest.mark.parametrize(
    ("io_type", "status"),
    [
        (membuf.BUFFERED, st.STATUS_INVALID_PARAMETER),
        (membuf.DIRECT, BTS),
        (membuf.NEITHER, IDR),
    ],
)
def test_types_without_data(io_type: Any, status: int) -> None:
    device = membuf.Device("flush", io_type)
    seen = []

    @device.on_default
    def take(request: Any) -> None:
        seen.extend(retrievals(request))
        request.complete()

    device.open().flush()
    assert seen == [IDR, IDR, status, IDR, IDR, status]


# ---- unsafe buffers, and those probed and locked -------------------------------------------------


def in_caller(io_type: Any, look: Any, act: Any, mode: Any = "user") -> Lab:
    """A lab whose in-caller-context callback looks at each request, before it is enqueued."""
    lab = Lab(io_type)
    raised: list[BaseException] = []

    @lab.device.on_in_caller_context
    def here(request: Any) -> None:
        try:
            look(request)
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            raised.append(error)
        lab.device.enqueue(request)

    act(lab)
    if raised:
        raise raised[0]
    return lab


@case("Q34", "Q35", "Q37")
def test_unsafe_buffers_of_a_neither_ioctl() -> None:
    source, out = bytearray(b"four"), bytearray(8)

    def look(request: Any) -> None:
        view = request.unsafe_input_buffer()
        assert bytes(view) == b"four"
        source[0:1] = b"F"
        assert bytes(view) == b"Four"
        assert len(request.unsafe_output_buffer(8)) == 8
        with refused(BTS):
            request.unsafe_input_buffer(8)

    def act(lab: Lab) -> None:
        pending = lab.handle.start_ioctl(NEITHER, source, out)
        request, pending = lab.taken(pending)
        for call in (request.unsafe_input_buffer, request.unsafe_output_buffer):
            with refused(IDR):
                call()
        request.complete()

    in_caller(membuf.BUFFERED, look, act)


def test_unsafe_buffers_of_nothing_and_of_others() -> None:
    def look(request: Any) -> None:
        if request.type.name == "DEVICE_CONTROL" and request.code & 3 == 3:
            assert request.unsafe_input_buffer(0) is None
            with refused(BTS):
                request.unsafe_input_buffer(1)
        else:
            for call in (request.unsafe_input_buffer, request.unsafe_output_buffer):
                with refused(IDR):
                    call()

    def act(lab: Lab) -> None:
        lab.ioctl(NEITHER, 0, 8)[0].complete()
        lab.ioctl(BUFFERED, 8, 8)[0].complete()
        lab.ioctl(NEITHER, 8, 8, internal=True)[0].complete()
        lab.read(8)[0].complete()

    in_caller(membuf.BUFFERED, look, act)


def test_unsafe_buffers_of_a_neither_device() -> None:
    def look(request: Any) -> None:
        fits, not_ = request.unsafe_output_buffer, request.unsafe_input_buffer
        if request.type.name == "WRITE":
            fits, not_ = not_, fits
        assert len(fits(4)) == 4
        with refused(IDR):
            not_()

    def act(lab: Lab) -> None:
        lab.read(4)[0].complete()
        lab.write(b"data")[0].complete()

    in_caller(membuf.NEITHER, look, act)


@case("Q38")
def test_nothing_cannot_be_locked() -> None:
    request, *_ = Lab().read(8)
    for lock in (request.probe_and_lock_for_read, request.probe_and_lock_for_write):
        with refused(st.STATUS_INVALID_USER_BUFFER):
            lock(bytearray(8), 0)
    request.complete()
    with refused(IDR):
        request.probe_and_lock_for_read(bytearray(8))


def test_another_thread_must_not_lock_a_users_buffer() -> None:
    request, _, buffer = Lab(membuf.NEITHER).read(8)
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(status_of(lambda: request.probe_and_lock_for_write(buffer)))
    )
    thread.start()
    thread.join()
    assert statuses == [st.STATUS_ACCESS_VIOLATION]
    request.complete()


@case("Q40")
def test_locked_memory_is_usable_from_any_thread() -> None:
    data, locked = bytearray(b"user"), []

    def look(request: Any) -> None:
        locked.append(request.probe_and_lock_for_read(data, 4))

    def act(lab: Lab) -> None:
        request, _ = lab.taken(lab.handle.start_ioctl(NEITHER, data))
        memory, seen = locked.pop(), []
        thread = threading.Thread(target=lambda: seen.append(bytes(memory.buffer)))
        thread.start()
        thread.join()
        assert seen == [b"user"]
        assert (memory.readonly, memory.size, memory.parent) == (True, 4, request)
        with refused(st.STATUS_ACCESS_VIOLATION):
            memory.copy_from(b"x")
        request.complete()

    in_caller(membuf.BUFFERED, look, act)


@case("Q41")
def test_pages_that_cannot_be_written() -> None:
    request, *_ = Lab().read(8)
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ) as pages:
        with refused(st.STATUS_ACCESS_VIOLATION):
            request.probe_and_lock_for_write(pages, 4096)
        assert request.children == ()
        memory = request.probe_and_lock_for_read(pages, 4096)
        assert request.children == (memory,)
        request.complete()


@case("Q43")
def test_locked_memory_is_unlocked_before_the_originator_knows() -> None:
    lab, log = Lab(), []
    request, pending, buffer = lab.read(8)
    memory = request.probe_and_lock_for_write(buffer)
    memory.add_context(list, on_destroy=lambda _: log.append("destroyed"))
    pending.tell(lambda: log.append("told"))
    request.complete()
    assert log == ["destroyed", "told"]
    buffer.extend(b"no view is left")


@case("C64")
def test_memory_of_a_requests_is_gone_before_the_originator_knows() -> None:
    log: list[str] = []
    request, pending, _ = Lab().read(8)
    membuf.Memory(
        8,
        parent=request,
        on_cleanup=lambda _: log.append("c:M"),
        on_destroy=lambda _: log.append("d:M"),
    )
    pending.tell(lambda: log.append("told"))
    request.complete()
    assert log == ["c:M", "d:M", "told"]


def test_a_child_of_request_memory_is_the_requests() -> None:
    request, _, _ = Lab().read(8)
    memory = request.output_memory()
    child = membuf.Memory(8, parent=memory)
    assert (child.parent, request.children, memory.children) == (request, (memory, child), ())
    request.complete()
    assert child.deleted


@case("C91")
def test_a_reference_on_request_memory_stops_the_completion() -> None:
    request, pending, _ = Lab().read(8)
    memory = request.output_memory()
    memory.reference("held")
    with refused(st.STATUS_INVALID_DEVICE_STATE, (0x10D, 3)):
        request.complete()
    assert (pending.done, request.owned, memory.size) == (False, True, 8)
    memory.dereference("held")
    request.complete()
    assert pending.done


@case("Q44")
def test_a_reference_on_locked_memory_stops_the_completion() -> None:
    request, pending, buffer = Lab().read(8)
    memory = request.probe_and_lock_for_write(buffer)
    memory.reference()
    with refused(st.STATUS_INVALID_DEVICE_STATE, (0x10D, 3)):
        request.complete()
    assert (pending.done, memory.size, request.owned) == (False, 8, True)
    memory.dereference()
    request.complete()
    assert pending.done


def test_locked_memory_may_be_deleted_before_its_request() -> None:
    request, pending, _ = Lab().read(8)
    buffer = bytearray(8)
    memory = request.probe_and_lock_for_write(buffer)
    memory.delete()
    assert request.children == ()
    buffer.extend(b"unlocked")
    request.complete()
    assert pending.done


def test_a_cleanup_callback_may_drop_the_last_reference() -> None:
    request, pending, buffer = Lab().read(8)
    memory = request.probe_and_lock_for_write(buffer)
    memory.reference()
    request.add_context(list, on_cleanup=lambda _: memory.dereference())
    request.complete()
    assert pending.wait() == (0, 0)

"""Requests 113 to 140 of the specification: completion, cancelling, queues (Python face)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.request import QueueState, RequestType
from tests.conformance.cases import case
from tests.receiving import BUFFERED, Lab, refused, status_of

IDR, IDS, CAN = (
    st.STATUS_INVALID_DEVICE_REQUEST,
    st.STATUS_INVALID_DEVICE_STATE,
    st.STATUS_CANCELLED,
)
QUEUE_FATAL_ERROR = (0x10D, 0xA)


# ---- completing ----------------------------------------------------------------------------------


@case("Q113")
def test_success_with_more_than_was_asked_for() -> None:
    request, pending, _ = Lab().read(100)
    with refused(st.STATUS_INVALID_PARAMETER, (0x10D, 6, 4)):
        request.complete(information=101)
    assert request.owned
    request.complete(st.STATUS_UNSUCCESSFUL, 101)
    assert pending.wait() == (st.STATUS_UNSUCCESSFUL, 101)
    request, pending, buffer = Lab().read(100)
    request.complete(st.STATUS_BUFFER_OVERFLOW, 101)
    assert (pending.wait(), len(buffer)) == ((st.STATUS_BUFFER_OVERFLOW, 101), 100)
    request, pending, *_ = Lab().ioctl(BUFFERED, 4, 8, internal=True)
    request.complete(information=9)
    assert pending.wait() == (0, 9)


@case("Q115")
@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (st.STATUS_WDF_BUSY, st.STATUS_DEVICE_BUSY),
        (st.STATUS_WDF_PAUSED, st.STATUS_DEVICE_BUSY),
        (st.STATUS_WDF_INTERNAL_ERROR, st.STATUS_INTERNAL_ERROR),
        (st.STATUS_WDF_TOO_FRAGMENTED, IDR),
        (st.STATUS_WDF_TOO_MANY_TRANSFERS, IDR),
        (st.STATUS_WDF_QUEUED, IDR),
        (st.STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS, st.STATUS_INSUFFICIENT_RESOURCES),
        (st.STATUS_NO_MORE_ENTRIES, st.STATUS_NO_MORE_ENTRIES),
    ],
)
def test_statuses_of_the_framework_are_translated(given: int, seen: int) -> None:
    request, pending, _ = Lab().read(8)
    request.complete(given)
    assert pending.wait()[0] == seen


@case("Q116")
def test_only_the_owner_completes_and_once() -> None:
    lab = Lab()
    other = lab.device.queue("other", dispatch="manual")
    request, pending, _ = lab.read(8)
    request.forward(other)
    with refused(IDR):
        request.complete()
    assert not pending.done
    assert other.retrieve_next() is request
    request.complete()
    with refused(IDR):
        request.complete()
    assert pending.wait() == (0, 0)


def test_set_information_stands_until_complete() -> None:
    request, pending, _ = Lab().read(8)
    request.set_information(5)
    request.complete()
    assert pending.wait() == (0, 5)
    assert request.information == 0


# ---- cancelling ----------------------------------------------------------------------------------


def test_what_waits_is_completed_and_its_driver_not_told() -> None:
    lab = Lab()
    pending = lab.handle.start_read(bytearray(8))
    assert pending.cancel()
    assert pending.wait() == (CAN, 0)
    assert lab.queue.retrieve_next() is None


@case("Q118")
def test_what_is_marked_is_called_back_once() -> None:
    called: list[Any] = []
    request, pending, _ = Lab().read(8)
    request.mark_cancelable(called.append)
    assert not request.canceled
    assert pending.cancel()
    assert not pending.cancel()
    assert called == [request]
    assert request.canceled
    request.complete(CAN)
    assert pending.wait() == (CAN, 0)


@case("Q119")
def test_what_was_cancelled_before_it_was_marked() -> None:
    called: list[Any] = []
    lab = Lab()
    request, pending, _ = lab.read(8)
    assert not pending.cancel()
    assert request.canceled
    request.mark_cancelable(called.append)
    assert called == [request]
    request.complete(CAN)
    request, pending, _ = lab.read(8)
    pending.cancel()
    assert not request.try_mark_cancelable(called.append)
    assert len(called) == 1
    with refused(IDR):
        request.unmark_cancelable()
    request.complete(CAN)


def test_inside_a_handler_the_callback_waits_for_its_return() -> None:
    device, log, box = membuf.Device("deferred"), [], []

    @device.on_read
    def read(request: Any) -> None:
        box[0].cancel()
        request.mark_cancelable(lambda request: (log.append("callback"), request.complete(CAN)))
        log.append("returns")

    handle = device.open()

    @device.on_arrival
    def arrive(request: Any) -> None:
        box.append(request.irp)

    assert handle.start_read(bytearray(8)).wait() == (CAN, 0)
    assert log == ["returns", "callback"]


@case("Q121", "Q122")
def test_unmark_and_its_refusals() -> None:
    called: list[Any] = []
    lab = Lab()
    request, pending, _ = lab.read(8)
    with refused(IDR):
        request.unmark_cancelable()
    assert request.try_mark_cancelable(called.append)
    assert not request.canceled
    with refused(IDR):
        request.try_mark_cancelable(called.append)
    with refused(IDR):
        request.mark_cancelable(called.append)
    with refused(IDR):
        request.complete()
    request.unmark_cancelable()
    assert not pending.cancel()
    assert called == []
    request.complete(CAN)
    with refused(IDR):
        request.unmark_cancelable()
    request, pending, _ = lab.read(8)
    request.mark_cancelable(called.append)
    pending.cancel()
    with refused(CAN):
        request.unmark_cancelable()
    request.complete(CAN)


@case("Q124")
def test_what_its_driver_has_seen_goes_to_canceled_on_queue() -> None:
    lab, called = Lab(), []
    other = lab.device.queue("other", dispatch="manual")
    other.on_canceled(called.append)
    request, pending, _ = lab.read(8)
    request.forward(other)
    assert pending.cancel()
    assert (called, request.owned, pending.done) == ([request], True, False)
    request.complete(CAN)
    assert pending.wait() == (CAN, 0)


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_cancelled_already_is_forwarded_all_the_same(wanted: bool) -> None:
    lab, called = Lab(), []
    other = lab.device.queue("other", dispatch="manual")
    if wanted:
        other.on_canceled(called.append)
    request, pending, _ = lab.read(8)
    pending.cancel()
    request.forward(other)
    assert (called, pending.done) == ([request] if wanted else [], not wanted)
    if wanted:
        request.complete(CAN)
    assert pending.wait() == (CAN, 0)
    assert lab.queue.idle
    assert other.idle


def test_what_was_unmarked_is_only_flagged() -> None:
    called: list[Any] = []
    request, pending, _ = Lab().read(8)
    request.mark_cancelable(called.append)
    request.unmark_cancelable()
    assert not pending.cancel()
    assert (request.canceled, called) == (True, [])
    request.complete()


def test_without_canceled_on_queue_it_is_completed() -> None:
    lab = Lab()
    request, pending, _ = lab.read(8)
    request.requeue()
    assert pending.cancel()
    assert pending.wait() == (CAN, 0)
    assert lab.queue.idle


def test_cleanup_of_a_file_gives_back_what_its_driver_has_seen() -> None:
    lab, called = Lab(), []
    lab.queue.on_canceled(called.append)
    request, pending, _ = lab.read(8)
    request.requeue()
    lab.handle.close()
    assert (called, request.canceled) == ([request], True)
    request.complete(CAN)
    assert pending.wait() == (CAN, 0)


# ---- forwarding and requeueing -------------------------------------------------------------------


@case("Q125")
def test_where_a_request_cannot_be_forwarded() -> None:
    lab, foreign = Lab(), Lab()
    other = lab.device.queue("other", dispatch="manual")
    request, _, _ = lab.read(8)
    for queue in (lab.queue, foreign.queue):
        with refused(IDR):
            request.forward(queue)
    request.mark_cancelable(lambda _: None)
    with refused(IDR):
        request.forward(other)
    request.unmark_cancelable()
    other.purge()
    with refused(st.STATUS_WDF_BUSY):
        request.forward(other)
    assert request.owned
    request.complete()


@case("Q127")
def test_a_requeued_request_is_the_first_again() -> None:
    lab = Lab()
    a, b = (lab.handle.start_read(bytearray(8), offset) for offset in (1, 2))
    first = lab.queue.retrieve_next()
    assert first is not None
    first.requeue()
    again, second = lab.queue.retrieve_next(), lab.queue.retrieve_next()
    assert (again, second.offset) == (first, 2)
    for request in (again, second):
        request.complete()
    assert a.done
    assert b.done


@pytest.mark.parametrize("dispatch", ["sequential", "parallel"])
def test_only_a_manual_queue_takes_a_request_back(dispatch: Any) -> None:
    device, statuses = membuf.Device("requeue"), []
    queue = device.queue("q", dispatch=dispatch)

    @device.on_read
    def read(request: Any) -> None:
        assert request.queue is queue
        statuses.append(status_of(request.requeue))
        request.complete()

    device.open().read(1)
    assert statuses == [IDR]


def test_requeue_while_the_queue_is_purged_cancels() -> None:
    lab, over = Lab(), []
    request, pending, _ = lab.read(8)
    lab.queue.purge(lambda queue: over.append(queue.purged))
    assert not request.try_mark_cancelable(lambda _: None)
    request.requeue()
    assert pending.wait() == (CAN, 0)
    assert over == [True]


# ---- presenting ----------------------------------------------------------------------------------


@case("Q128")
def test_a_sequential_queue_never_nests() -> None:
    device, log = membuf.Device("sequential"), []
    queue = device.queue("q", dispatch="sequential")

    @device.on_write
    def write(request: Any) -> None:
        log.append(f"in {request.offset}")
        assert queue.owned == 1
        if request.offset == 0:
            for offset in (1, 2):
                handle.start_write(b"x", offset)
        request.complete(information=1)
        log.append(f"out {request.offset}")

    handle = device.open()
    handle.write(b"x", 0)
    assert log == ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]


def test_a_sequential_queue_waits_for_completion() -> None:
    device, kept = membuf.Device("sequential"), []
    device.queue("q", dispatch="sequential")
    device.on_write(kept.append)
    handle = device.open()
    pending = [handle.start_write(b"x", offset) for offset in range(3)]
    assert [request.offset for request in kept] == [0]
    kept[0].complete()
    assert [request.offset for request in kept] == [0, 1]
    kept[1].complete()
    kept[2].complete()
    assert all(p.done for p in pending)


def test_a_parallel_queue_presents_its_maximum() -> None:
    device, kept = membuf.Device("parallel"), []
    queue = device.queue("q", dispatch="parallel", maximum=2)
    device.on_write(kept.append)
    handle = device.open()
    for offset in range(4):
        handle.start_write(b"x", offset)
    assert ([request.offset for request in kept], queue.waiting) == ([0, 1], 2)
    kept[1].complete()
    assert [request.offset for request in kept] == [0, 1, 2]
    for request in kept:
        if request.owned:
            request.complete()
    assert queue.owned == 0


@case("Q130")
@pytest.mark.parametrize("size", [0, 1])
def test_a_transfer_of_nothing_is_not_presented(size: int) -> None:
    device, seen = membuf.Device("empty"), []

    @device.on_default
    def default(request: Any) -> None:
        seen.append(request.type)
        request.complete()

    handle = device.open()
    assert handle.start_read(bytearray(size)).wait() == (0, 0)
    assert handle.start_ioctl(BUFFERED).wait() == (0, 0)
    assert seen == [RequestType.READ] * size + [RequestType.DEVICE_CONTROL]


def test_a_transfer_of_nothing_ends_as_it_is_retrieved() -> None:
    device = membuf.Device("empty")
    queue = device.queue("q", dispatch="manual", default=True)
    handle = device.open()
    empty, full = handle.start_write(b""), handle.start_write(b"x")
    assert not empty.done
    request = queue.retrieve_next()
    assert (empty.wait(), request.length) == ((0, 0), 1)
    request.complete()
    assert full.done


@case("Q131")
def test_a_type_without_a_handler_is_refused() -> None:
    device = membuf.Device("write-only")
    device.on_write(lambda request: request.complete())
    handle = device.open()
    for size in (8, 0):
        assert handle.start_read(bytearray(size)).wait() == (IDR, 0)


def test_a_device_without_a_queue_refuses() -> None:
    assert membuf.Device("none").open().start_read(bytearray(8)).wait() == (IDR, 0)


# ---- states --------------------------------------------------------------------------------------


@case("Q133")
def test_purge_cancels_what_waits_and_what_is_marked() -> None:
    lab, over, called = Lab(), [], []
    one = lab.handle.start_read(bytearray(8))
    request = lab.queue.retrieve_next()
    assert request is not None
    two, three = (lab.handle.start_read(bytearray(8)) for _ in range(2))
    request.mark_cancelable(called.append)
    lab.queue.purge(over.append)
    assert (two.wait(), three.wait()) == ((CAN, 0), (CAN, 0))
    assert (called, over) == ([request], [])
    request.complete(CAN)
    assert (one.wait(), over) == ((CAN, 0), [lab.queue])
    assert lab.queue.purged
    assert lab.handle.start_read(bytearray(8)).wait() == (IDS, 0)
    lab.queue.start()
    assert lab.queue.ready


@case("Q134")
def test_what_comes_during_stop_and_purge_waits() -> None:
    lab, over = Lab(), []
    request, pending, _ = lab.read(8)
    present = lab.handle.start_read(bytearray(8))
    lab.queue.stop_and_purge(over.append)
    arrival = lab.handle.start_read(bytearray(8))
    assert (present.wait(), arrival.done, over) == ((CAN, 0), False, [])
    request.complete()
    assert (pending.done, arrival.done, over) == (True, False, [lab.queue])
    assert lab.queue.stopped
    lab.queue.start()
    lab.taken(arrival)[0].complete()


def test_stop_keeps_what_waits_and_drain_presents_it() -> None:
    device, kept, over = membuf.Device("states"), [], []
    queue = device.queue("q", dispatch="sequential")
    device.on_write(kept.append)
    handle = device.open()
    first, second = (handle.start_write(b"x", n) for n in range(2))
    queue.stop(lambda _: over.append("stopped"))
    assert queue.state == QueueState.ACCEPT
    kept.pop().complete()
    assert (kept, over, queue.state) == (
        [],
        ["stopped"],
        QueueState.ACCEPT | QueueState.DRIVER_NO_REQUESTS,
    )
    queue.start()
    queue.drain(lambda _: over.append("drained"))
    assert handle.start_write(b"x").wait() == (IDS, 0)
    assert over == ["stopped"]
    kept.pop().complete()
    assert (over, queue.drained, first.done, second.done) == (
        ["stopped", "drained"],
        True,
        True,
        True,
    )
    queue.stop()
    assert queue.stopped


def test_one_callback_of_a_kind_is_pending() -> None:
    lab = Lab()
    request, *_ = lab.read(8)
    lab.queue.stop(lambda _: None)
    with refused(IDR, QUEUE_FATAL_ERROR):
        lab.queue.stop_and_purge(lambda _: None)
    lab.queue.drain(lambda _: None)
    with refused(IDR, QUEUE_FATAL_ERROR):
        lab.queue.purge(lambda _: None)
    request.complete()
    spare = lab.device.queue("spare", dispatch="manual")
    spare.delete()
    with refused(st.STATUS_DELETE_PENDING, QUEUE_FATAL_ERROR):
        spare.stop()


def test_synchronous_forms_wait_and_refuse_handlers() -> None:
    device, kept, statuses = membuf.Device("synchronous"), [], []
    queue = device.queue("q", dispatch="parallel")

    @device.on_write
    def write(request: Any) -> None:
        statuses.append(status_of(queue.stop_synchronously))
        kept.append(request)

    pending = device.open().start_write(b"x")
    assert statuses == [IDS]
    timer = threading.Timer(0.05, kept[0].complete)
    timer.start()
    queue.purge_synchronously()
    assert (pending.done, queue.purged) == (True, True)
    timer.join()


# ---- retrieval -----------------------------------------------------------------------------------


@case("Q136")
def test_retrieval_by_state() -> None:
    device = membuf.Device("retrieval")
    with refused(IDS):
        device.queue("p", dispatch="parallel").retrieve_next()
    queue = device.queue("m", dispatch="manual")
    assert queue.retrieve_next() is None
    queue.stop()
    with refused(st.STATUS_WDF_PAUSED):
        queue.retrieve_next()
    queue.start()
    device.start()
    device.stop()
    assert queue.state & QueueState.PNP_HELD
    with refused(st.STATUS_WDF_PAUSED):
        queue.retrieve_next()


def test_requests_are_found_and_then_retrieved() -> None:
    lab = Lab()
    with lab.device.open() as other:
        for handle in (lab.handle, other, lab.handle):
            handle.start_read(bytearray(8))
        first = lab.queue.find_request()
        second = lab.queue.find_request(first)
        third = lab.queue.find_request(first, lab.handle.file)
        assert [r.file for r in (first, second, third)] == [
            lab.handle.file,
            other.file,
            lab.handle.file,
        ]
        assert lab.queue.find_request(third) is None
        lab.queue.retrieve_found(second)
        for call in (lab.queue.retrieve_found, lab.queue.find_request):
            with refused(st.STATUS_NOT_FOUND):
                call(second)
        second.complete()
        assert lab.queue.retrieve_next(other.file) is None
        for request in (first, second, third):
            request.dereference()
        for request in (lab.queue.retrieve_next(lab.handle.file), lab.queue.retrieve_next()):
            request.complete()
    for call in (lab.device.queue("s", dispatch="sequential").find_request,):
        with refused(IDR):
            call()


def test_ready_is_told_when_the_first_comes() -> None:
    lab, log = Lab(), []
    with refused(IDR):
        lab.queue.ready_notify(None)
    lab.queue.ready_notify(lambda queue: log.append(queue.waiting))
    with refused(IDR):
        lab.queue.ready_notify(lambda _: None)
    for _ in range(2):
        lab.handle.start_read(bytearray(8))
    assert log == [1]
    with refused(IDR):
        lab.queue.ready_notify(None)
    lab.queue.stop()
    lab.queue.ready_notify(None)
    with refused(IDR):
        lab.device.queue("p").ready_notify(lambda _: None)
    lab.handle.close()


def test_ready_is_told_once_when_many_come_at_once() -> None:
    lab, log = Lab(), []
    lab.queue.ready_notify(lambda queue: log.append(queue.waiting))
    with lab.device._lock:
        for _ in range(2):
            lab.queue._enter(
                membuf.request.ReceivedRequest(
                    lab.device, lab.handle._packet(RequestType.WRITE, length=1)
                )
            )
    lab.queue._dispatch()
    assert log == [2]
    assert lab.queue.statistics().waiting == 2
    lab.queue.purge()
    assert lab.device.statistics().queues[0].cancelled == 2


@case("Q137")
def test_cleanup_of_a_file_cancels_what_waits_of_it() -> None:
    lab = Lab()
    request, owned, _ = lab.read(8)
    two, three = (lab.handle.start_read(bytearray(8)) for _ in range(2))
    with lab.device.open() as other:
        kept = other.start_read(bytearray(8))
        lab.handle.close()
        assert (two.wait(), three.wait()) == ((CAN, 0), (CAN, 0))
        assert (owned.done, kept.done) == (False, False)
        request.complete()
        lab.taken(kept)[0].complete()
    assert owned.wait() == (0, 0)

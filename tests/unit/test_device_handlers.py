"""Handlers: coroutines, those that raise, those that drop what they got; and who waits for them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.mdl.locks import page_locks
from tests.receiving import BUFFERED, Lab, refused

CAN = st.STATUS_CANCELLED


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was reported, as the names of the exceptions."""
    told: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: told.append(args.exc_type.__name__))
    return told


# ---- coroutines ----------------------------------------------------------------------------------


def test_coroutines_run_on_the_loop_the_device_was_made_on() -> None:
    async def scenario() -> None:
        device, loops = membuf.Device("async"), []

        @device.on_read
        async def read(request: Any) -> None:
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())
            request.output_memory().copy_from(b"z" * request.length)
            request.complete(information=request.length)

        with device.open() as handle:
            assert await handle.read_async(5) == b"zzzzz"
            many = await asyncio.gather(*(handle.read_async(n) for n in range(1, 20)))
            assert [len(part) for part in many] == list(range(1, 20))
            from_a_thread = await asyncio.to_thread(handle.read, 3)
            assert from_a_thread == b"zzz"
        assert set(loops) == {asyncio.get_running_loop()}

    asyncio.run(scenario())


def test_without_a_loop_they_run_on_a_thread_of_membufs_own() -> None:
    device, threads = membuf.Device("async"), set()

    @device.on_write
    async def write(request: Any) -> None:
        await asyncio.sleep(0.001)
        threads.add(threading.current_thread().name)
        request.complete(information=len(request.input_buffer()))

    with device.open() as handle:
        assert handle.write(b"abc") == 3
    assert threads == {"membuf-handlers"}


def test_a_loop_can_be_chosen() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    device, loops = membuf.Device("async", loop=loop), []

    @device.on_write
    async def write(request: Any) -> None:
        loops.append(asyncio.get_running_loop())
        request.complete(information=1)

    with device.open() as handle:
        assert handle.write(b"x") == 1
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert loops == [loop]


def test_waiting_on_the_loop_of_the_handlers_is_refused_before_anything_happens() -> None:
    async def scenario() -> None:
        device, seen = membuf.Device("async"), []

        @device.on_read
        async def read(request: Any) -> None:
            seen.append(request)

        handle = device.open()
        for call in (lambda: handle.read(1), lambda: handle.ioctl(BUFFERED)):
            with refused(st.STATUS_INVALID_DEVICE_STATE):
                call()
        assert seen == []

    asyncio.run(scenario())


def test_a_closed_loop_ends_the_request(reported: list[str]) -> None:
    loop = asyncio.new_event_loop()
    device = membuf.Device("async", loop=loop)
    loop.close()

    @device.on_read
    async def read(request: Any) -> None: ...

    assert device.open().start_read(bytearray(1)).wait(5) == (st.STATUS_UNSUCCESSFUL, 0)
    assert reported == ["RuntimeError"]


def test_a_cancelled_handler_ends_its_request(reported: list[str]) -> None:
    async def scenario() -> None:
        device, tasks = membuf.Device("async"), []

        @device.on_read
        async def read(request: Any) -> None:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(60)

        handle = device.open()
        pending = handle.start_read(bytearray(1))
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(membuf.RequestCancelledError):
            await pending.finished()
        assert pending.status == CAN

    asyncio.run(scenario())


def test_a_cancelled_await_returns_when_the_request_has_ended() -> None:
    async def scenario() -> None:
        device, log = membuf.Device("async"), []

        @device.on_read
        def read(request: Any) -> None:
            def on_cancel(request: Any) -> None:
                log.append("told to cancel")
                threading.Timer(0.05, finish).start()

            def finish() -> None:
                request.output_buffer()[:] = b"!"
                log.append("ends")
                request.complete(CAN)

            request.mark_cancelable(on_cancel)

        task = asyncio.create_task(device.open().read_async(1))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # once more does not let go of the buffer either
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["told to cancel", "ends"]

    asyncio.run(scenario())


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("a mistake"), st.STATUS_UNSUCCESSFUL),
        (membuf.AccessDeniedError(13, "no"), st.STATUS_ACCESS_DENIED),
        (membuf.MembufError("odd", status=0), st.STATUS_UNSUCCESSFUL),
    ],
)
def test_a_handler_that_raises_ends_its_request(
    kind: str, error: Exception, status: int, reported: list[str]
) -> None:
    device = membuf.Device("raises")

    def plain(request: Any) -> None:
        raise error

    async def coroutine(request: Any) -> None:
        raise error

    device.on_read(plain if kind == "plain" else coroutine)
    assert device.open().start_read(bytearray(1)).wait(5) == (status, 0)
    assert reported == [type(error).__name__]


def test_a_handler_that_raises_after_it_has_completed(reported: list[str]) -> None:
    device = membuf.Device("raises")

    @device.on_read
    def read(request: Any) -> None:
        request.complete(information=1)
        raise ValueError("too late")

    assert device.open().start_read(bytearray(1)).wait() == (0, 1)
    assert reported == ["ValueError"]


def test_a_handler_that_raises_while_marked(reported: list[str]) -> None:
    device = membuf.Device("raises")

    @device.on_read
    def read(request: Any) -> None:
        request.mark_cancelable(lambda _: None)
        raise ValueError("marked")

    assert device.open().start_read(bytearray(1)).wait() == (st.STATUS_UNSUCCESSFUL, 0)
    assert reported == ["ValueError"]


def test_the_queue_goes_on_after_a_handler_that_raises(reported: list[str]) -> None:
    device = membuf.Device("raises")
    device.queue("q", dispatch="sequential")

    @device.on_read
    def read(request: Any) -> None:
        if request.offset == 1:
            raise ValueError("one")
        request.complete(information=1)

    handle = device.open()
    ends = [handle.start_read(bytearray(1), offset).wait()[0] for offset in range(3)]
    assert ends == [0, st.STATUS_UNSUCCESSFUL, 0]


@pytest.mark.parametrize("kind", ["plain", "coroutine", "in caller", "marked and forgotten"])
def test_a_dropped_request_ends(kind: str, reported: list[str]) -> None:
    device = membuf.Device("drops")
    device.on_read(lambda request: None)
    if kind == "coroutine":

        @device.on_read
        async def read(request: Any) -> None: ...

    elif kind == "in caller":
        device.on_in_caller_context(lambda request: None)
    elif kind == "marked and forgotten":
        device.on_read(lambda request: request.mark_cancelable(lambda _: None))
    pending = device.open().start_read(bytearray(1))
    if kind == "marked and forgotten":
        time.sleep(0.01)
        assert not pending.done  # it can be cancelled still: it is not lost
        pending.cancel()
    gc.collect()
    assert pending.wait(5) == (st.STATUS_INTERNAL_ERROR, 0)
    assert reported == ["MembufError"]


def test_a_callback_that_raises_is_reported(reported: list[str]) -> None:
    lab = Lab()
    lab.queue.stop(lambda _: 1 / 0)
    assert reported == ["ZeroDivisionError"]


def test_an_interrupt_goes_to_who_submits() -> None:
    device = membuf.Device("interrupt")
    handled = []

    @device.on_read
    def read(request: Any) -> None:
        handled.append(request)
        if request.offset == 0:
            raise KeyboardInterrupt

    handle = device.open()
    with pytest.raises(KeyboardInterrupt):
        handle.start_read(bytearray(1))
    handled.pop().complete()
    handle.start_read(bytearray(1), 1)
    handled.pop().complete()


def test_callbacks_that_are_waited_for_are_plain() -> None:
    async def coroutine(request: Any) -> None: ...

    device = membuf.Device("plain")
    for register in (device.on_in_caller_context, device.on_cleanup, device.on_close):
        with pytest.raises(TypeError, match="plain function"):
            register(coroutine)
    with pytest.raises(TypeError, match="a function"):
        device.on_read(3)  # type: ignore[type-var]


# ---- files and power -----------------------------------------------------------------------------


def test_files_are_opened_cleaned_up_and_closed() -> None:
    device, log = membuf.Device("files"), []

    @device.on_create
    def create(request: Any) -> None:
        log.append(("create", request.file))
        request.complete()

    device.on_cleanup(lambda file: log.append(("cleanup", file)))
    device.on_close(lambda file: log.append(("close", file)))
    with device.open("read") as handle:
        file = handle.file
        assert file.granted == 1
    handle.close()
    assert log == [("create", file), ("cleanup", file), ("close", file)]
    with pytest.raises(membuf.ObjectDeletedError):
        handle.read(1)


def test_an_opening_can_be_refused() -> None:
    device = membuf.Device("files")
    device.on_create(lambda request: request.complete(st.STATUS_ACCESS_DENIED))
    with pytest.raises(membuf.AccessDeniedError):
        device.open()
    with pytest.raises(membuf.InvalidParameterError, match="access must be"):
        membuf.Device("files").open("append")


def test_a_stopped_device_holds_its_requests() -> None:
    device, log = membuf.Device("power"), []
    device.on_write(lambda request: (log.append("write"), request.complete()))
    device.add_power_callbacks(lambda: log.append("up 1"), lambda: log.append("down 1"))
    device.add_power_callbacks(lambda: log.append("up 2"), lambda: log.append("down 2"))
    assert not device.started
    handle = device.open()
    assert device.started
    device.stop()
    pending = handle.start_write(b"x")
    assert (log, pending.done) == (["up 1", "up 2", "down 2", "down 1"], False)
    log.clear()
    device.start()
    device.start()
    assert (log, pending.done) == (["up 1", "up 2", "write"], True)


def test_a_deleted_device_takes_nothing() -> None:
    lab = Lab()
    waiting = lab.handle.start_read(bytearray(1))
    request, owned, _ = Lab().read(1)
    lab.device.delete()
    assert waiting.wait() == (CAN, 0)
    assert lab.handle.start_read(bytearray(1)).wait() == (st.STATUS_NO_SUCH_DEVICE, 0)
    with pytest.raises(FileNotFoundError):
        membuf.request.find_device("no such device")
    request.device.delete()
    request.complete(information=1)
    assert owned.wait() == (0, 1)


def test_what_a_device_has_done() -> None:
    lab = Lab()
    request, _, _ = lab.read(100)
    request.requeue()
    request = lab.queue.retrieve_next()
    request.complete()
    lab.handle.start_read(bytearray(100)).cancel()
    (queue,) = lab.device.statistics().queues
    assert (queue.presented, queue.completed, queue.cancelled, queue.waiting) == (2, 1, 1, 0)
    (buffers,) = lab.device.statistics().system_buffers
    assert (buffers.allocations, buffers.outstanding) == (2, 0)


def test_a_device_outlives_the_domain_of_its_first_request() -> None:
    device = membuf.Device("domains")
    device.on_write(lambda request: request.complete(information=request.length))
    handle = device.open()
    with membuf.Domain():
        assert handle.write(b"x") == 1
    assert handle.write(b"xy") == 2


@pytest.mark.parametrize(
    ("information", "error"), [(-1, ValueError), (2.5, TypeError), (True, TypeError)]
)
def test_information_is_a_count(information: Any, error: type[Exception]) -> None:
    request, pending, _ = Lab().read(8)
    for call in (request.set_information, lambda n: request.complete(information=n)):
        with pytest.raises(error):
            call(information)
    request.complete()
    assert pending.wait() == (0, 0)


def test_what_is_told_of_an_end_may_raise(reported: list[str]) -> None:
    request, pending, _ = Lab().read(8)
    told: list[str] = []
    pending.tell(lambda: 1 / 0)
    pending.tell(lambda: told.append("told"))
    request.irp.push(lambda irp: 1 / 0)
    request.complete()
    assert (told, reported) == (["told"], ["ZeroDivisionError"] * 2)
    assert not pending.tell(lambda: told.append("at once"))
    assert told == ["told", "at once"]


def test_a_kept_packet_is_completed_again() -> None:
    request, pending, _ = Lab().read(8)
    kept: list[Any] = []
    request.irp.push(lambda irp: kept.append(irp) or True)
    request.complete(information=4)
    assert (pending.done, request.irp.completed) == (False, False)
    kept[0].complete(0, 5)
    assert pending.wait() == (0, 5)
    with refused(st.STATUS_INVALID_DEVICE_REQUEST):
        kept[0].complete()


def test_a_packet_may_be_completed_again_before_its_routine_returns() -> None:
    request, pending, _ = Lab().read(8)
    request.irp.push(lambda irp: irp.complete(0, 5) or True)
    request.complete()
    assert pending.wait() == (0, 5)
    assert request.irp.completed


def test_waiting_for_a_coroutine_to_open_is_refused() -> None:
    async def scenario() -> None:
        device = membuf.Device("opens")

        @device.on_create
        async def create(request: Any) -> None:
            request.complete()

        with refused(st.STATUS_INVALID_DEVICE_STATE):
            device.open()
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    device = membuf.Device("opens")

    @device.on_create
    async def create(request: Any) -> None:
        request.complete()

    device.open().close()


def test_a_device_that_is_garbage_with_its_requests_says_nothing(reported: list[str]) -> None:
    for io_type in (membuf.BUFFERED, membuf.DIRECT):
        for _ in range(20):
            lab = Lab(io_type)
            pending = [lab.handle.start_read(bytearray(8)) for _ in range(3)]
            pending[0].irp.push(lambda irp, lab=lab: None)
            del lab, pending
    gc.collect()
    assert reported == []


def test_a_device_may_become_garbage_in_the_middle_of_anything() -> None:
    """Its requests end on a thread of their own: whoever holds a lock here is not waited for."""
    before = page_locks.locked_bytes()
    lab = Lab(membuf.DIRECT)
    ended = threading.Event()
    pending = lab.handle.start_read(bytearray(8192))
    pending.irp.push(lambda irp, lab=lab: ended.set())
    assert page_locks.locked_bytes() > before
    del lab, pending
    with page_locks._guard:
        gc.collect()
    assert ended.wait(10)
    while page_locks.locked_bytes() > before:  # bounded by the test's own timeout
        time.sleep(0.001)

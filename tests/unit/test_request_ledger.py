"""Which references a request holds on memory, when it takes them and when it gives them back."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import FileTarget, open_target
from membuf.request import CompletionParams, Request, RequestType
from tests.engines import ENGINES

CONTENT = bytes(range(256))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def target(tmp_path: Path, engine: str) -> Iterator[FileTarget]:
    (tmp_path / "image").write_bytes(CONTENT)
    with open_target(f"file:{tmp_path / 'image'}", engine=engine) as target:
        yield target


@pytest.fixture
def silent(engine: str) -> Iterator[FileTarget]:
    """A target whose reads wait until something is written to its `sink`."""
    reading, writing = os.pipe()
    with open_target(f"fd:{reading}", engine=engine) as target:
        target.context["sink"] = writing
        yield target
    os.close(reading)
    os.close(writing)


class Told:
    """A completion routine that keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, CompletionParams, Any]] = []
        self.event = threading.Event()

    def __call__(self, *arguments: Any) -> None:
        self.calls.append(arguments)  # type: ignore[arg-type]
        self.event.set()

    def wait(self) -> CompletionParams:
        assert self.event.wait(30)
        self.event.clear()
        return self.calls[-1][2]


def wait_until_told(request: Request) -> None:
    """Return once nothing of the request is in flight."""
    while request.in_flight or request.reference_count > 1:
        pass


def test_a_new_request_has_no_format_and_success(target: FileTarget) -> None:
    request = Request(target)
    assert request.target is target
    assert (request.status, request.information) == (st.STATUS_SUCCESS, 0)
    assert request.completion.type is RequestType.NO_FORMAT


def test_format_takes_one_reference_and_completion_keeps_it(target: FileTarget) -> None:
    memory, told = membuf.Memory(256), Told()
    request = Request(target)
    request.format_read(memory, 0)
    assert memory.reference_count == 2
    request.send(told, context="ctx")
    params = told.wait()
    assert params == CompletionParams(RequestType.READ, st.STATUS_SUCCESS, 256, memory, 0)
    assert told.calls[0][0] is request
    assert told.calls[0][1] is target
    assert told.calls[0][3] == "ctx"
    assert memory.reference_count == 2
    assert bytes(memory) == CONTENT
    assert request.completion == params


@pytest.mark.parametrize("end", ["reuse", "reformat", "change", "delete", "drop", "parent"])
@pytest.mark.parametrize("sent", [False, True])
def test_what_drops_the_reference(target: FileTarget, end: str, sent: bool) -> None:
    memory, other, parent = membuf.Memory(10), membuf.Memory(10), membuf.Object()
    request = Request(target, parent=parent if end == "parent" else None)
    request.format_write(memory, 0)
    if sent:
        request.send(synchronous=True)
    assert memory.reference_count == 2
    if end == "reuse":
        request.reuse()
    elif end == "reformat":
        request.format_read(other, 0)
        assert other.reference_count == 2
    elif end == "change":
        request.change_target(target)
    elif end == "delete":
        request.delete()
    elif end == "parent":
        parent.delete()
    else:
        gc.disable()
        try:
            del request
            assert memory.reference_count == 1
        finally:
            gc.enable()
    assert memory.reference_count == 1


def test_a_format_that_fails_has_dropped_the_earlier_one(target: FileTarget) -> None:
    memory, other = membuf.Memory(10), membuf.Memory.preallocated(b"read-only")
    request = Request(target)
    request.format_write(memory, 0)
    with pytest.raises(membuf.AccessViolationError):
        request.format_read(other, 0)
    assert (memory.reference_count, other.reference_count) == (1, 1)
    with pytest.raises(membuf.InvalidDeviceStateError) as caught:
        request.send()
    assert caught.value.status == st.STATUS_REQUEST_NOT_ACCEPTED == request.status


def test_a_bad_part_is_refused_before_anything_is_dropped(target: FileTarget) -> None:
    memory, other = membuf.Memory(10), membuf.Memory(10)
    request = Request(target)
    request.format_write(memory, 0)
    with pytest.raises(membuf.IntegerOverflowError) as caught:
        request.format_read(other, 0, memory_offset=5, memory_length=6)
    assert caught.value.status == st.STATUS_INTEGER_OVERFLOW
    assert (memory.reference_count, other.reference_count) == (2, 1)
    request.send(synchronous=True)
    assert request.information == 10


def test_format_for_a_closed_target_drops_and_fails(target: FileTarget) -> None:
    memory = membuf.Memory(10)
    request = Request(target)
    request.format_write(memory, 0)
    target.close()
    with pytest.raises(membuf.InvalidDeviceStateError) as caught:
        request.format_write(memory, 0)
    assert caught.value.status == st.STATUS_INVALID_DEVICE_STATE
    assert memory.reference_count == 1
    with pytest.raises(membuf.InvalidDeviceStateError):
        Request(target)


@pytest.mark.parametrize("failure", ["send", "cancel", "timeout"])
def test_a_send_that_fails_keeps_the_reference(silent: FileTarget, failure: str) -> None:
    memory, told = membuf.Memory(10), Told()
    request = Request(silent)
    request.format_read(memory)
    if failure == "send":
        silent.purge()
        with pytest.raises(membuf.InvalidDeviceStateError):
            request.send(told)
        assert not told.calls
        assert request.status == st.STATUS_INVALID_DEVICE_STATE
        silent.start()
        request.send()
        request.cancel()
        told.wait()
        assert memory.reference_count == 2
        return
    request.send(told, timeout=0.02 if failure == "timeout" else None)
    if failure == "cancel":
        assert request.cancel()
    expected = st.STATUS_CANCELLED if failure == "cancel" else st.STATUS_IO_TIMEOUT
    assert told.wait().status == expected
    assert memory.reference_count == 2


def test_the_routine_is_called_once_and_must_be_set_again(target: FileTarget) -> None:
    told, memory = Told(), membuf.Memory(10)
    request = Request(target)
    request.format_write(memory, 0)
    request.send(told, synchronous=True)
    request.format_write(memory, 0)
    request.send(synchronous=True)
    assert len(told.calls) == 1
    request.reuse()
    request.format_write(memory, 0)
    request.send(synchronous=True)
    assert len(told.calls) == 1


def test_a_request_must_be_formatted_for_every_send(target: FileTarget) -> None:
    request = Request(target)
    with pytest.raises(membuf.InvalidDeviceStateError) as caught:
        request.send()
    assert caught.value.status == st.STATUS_REQUEST_NOT_ACCEPTED
    request.format_write(b"x", 0)
    request.send(synchronous=True)
    with pytest.raises(membuf.InvalidDeviceStateError, match="not formatted"):
        request.send()


def test_what_cannot_be_done_in_flight(silent: FileTarget, target: FileTarget) -> None:
    memory, told = membuf.Memory(10), Told()
    request = Request(silent)
    request.format_read(memory)
    request.send(told)
    for act in (
        lambda: request.format_read(memory),
        request.reuse,
        lambda: request.change_target(target),
    ):
        with pytest.raises(membuf.InvalidDeviceStateError, match="in flight") as caught:
            act()
        assert caught.value.status == st.STATUS_INVALID_DEVICE_REQUEST
    with pytest.raises(membuf.InvalidDeviceStateError) as caught:
        request.send()
    assert caught.value.bugcheck == (0x10D, 6, 3, 0, 0)
    assert memory.reference_count == 2
    os.write(silent.context["sink"], b"data")
    assert told.wait().information == 4
    assert bytes(memory)[:4] == b"data"


def test_a_cancel_that_comes_early_fails_the_next_send(target: FileTarget) -> None:
    request = Request(target)
    request.format_write(b"x", 0)
    assert request.cancel() is False
    with pytest.raises(membuf.RequestCancelledError):
        request.send()
    assert request.status == st.STATUS_CANCELLED
    request.reuse()
    request.format_write(b"x", 0)
    request.send(synchronous=True)
    assert request.status == st.STATUS_SUCCESS
    assert request.cancel() is False


def test_memory_deleted_in_flight_lives_until_the_request_lets_go(silent: FileTarget) -> None:
    events: list[str] = []
    memory = membuf.Memory(
        10,
        on_cleanup=lambda _: events.append("cleanup"),
        on_destroy=lambda _: events.append("gone"),
    )
    told = Told()
    request = Request(silent)
    request.format_read(memory)
    request.send(told)
    memory.delete()
    assert events == ["cleanup"]
    os.write(silent.context["sink"], b"0123456789")
    assert told.wait().information == 10
    assert bytes(memory.buffer) == b"0123456789"
    assert events == ["cleanup"]
    request.reuse()
    assert events == ["cleanup", "gone"]
    with pytest.raises(membuf.ObjectDeletedError):
        memory.copy_from(b"x")


def test_a_request_deleted_in_flight_holds_until_its_end(silent: FileTarget) -> None:
    memory, told = membuf.Memory(10), Told()
    destroyed = threading.Event()
    request = Request(silent)
    request.add_context(dict, on_destroy=lambda _: destroyed.set())
    request.format_read(memory)
    request.send(told)
    request.delete()
    assert told.wait().status == st.STATUS_CANCELLED
    assert destroyed.wait(30)
    assert memory.reference_count == 1


def test_a_dropped_request_in_flight_is_kept_by_its_target(silent: FileTarget) -> None:
    memory, told = membuf.Memory(10), Told()
    request = Request(silent)
    request.format_read(memory)
    request.send(told)
    del request
    gc.collect()
    assert memory.reference_count == 2
    os.write(silent.context["sink"], b"data")
    assert told.wait().information == 4
    told.calls.clear()
    while memory.reference_count > 1:
        pass


def test_a_thousand_rounds_leave_one_reference(target: FileTarget) -> None:
    memory = membuf.Memory(16)
    request = Request(target)
    for round_ in range(1000):
        request.reuse()
        request.format_read(memory, round_ % 200)
        request.send(synchronous=True)
        assert request.information == 16
    request.reuse()
    assert memory.reference_count == 1
    assert request.reference_count == 1


def test_an_error_is_told_and_raised_on_request(tmp_path: Path, engine: str) -> None:
    (tmp_path / "image").write_bytes(CONTENT)
    with open_target(f"file:{tmp_path / 'image'}", access="write", engine=engine) as target:
        told = Told()
        request = Request(target)
        request.format_read(membuf.Memory(10), 0)
        request.send(told)
        assert told.wait().status == st.STATUS_UNSUCCESSFUL
        with pytest.raises(OSError, match="Bad file descriptor"):
            request.result()


def test_a_routine_that_raises_is_reported_and_harms_nothing(
    target: FileTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = threading.Event()
    seen: list[Any] = []
    monkeypatch.setattr(
        "sys.unraisablehook", lambda report: (seen.append(report.exc_value), reported.set())
    )

    def routine(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    request = Request(target)
    request.format_write(b"x", 0)
    request.send(routine)
    assert reported.wait(30)
    assert isinstance(seen[0], ZeroDivisionError)
    wait_until_told(request)
    request.format_write(b"y", 0)
    request.send(synchronous=True)
    assert request.result() == 1


def test_change_target_sends_elsewhere(target: FileTarget, tmp_path: Path, engine: str) -> None:
    (tmp_path / "other").write_bytes(b"other")
    with open_target(f"file:{tmp_path / 'other'}", engine=engine) as other:
        memory = membuf.Memory(5)
        request = Request(target)
        request.format_read(memory, 0)
        request.change_target(other)
        assert memory.reference_count == 1
        with pytest.raises(membuf.InvalidDeviceStateError):
            request.send()
        request.format_read(memory, 0)
        request.send(synchronous=True)
        assert bytes(memory) == b"other"

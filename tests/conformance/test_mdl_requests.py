"""The MDLs of received requests, and memory that requests probe and lock, by both names."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.base.status import Status
from tests.conformance.cases import case

INVALID_REQUEST = wdf.STATUS_INVALID_DEVICE_REQUEST
NEITHER_CODE = wdf.CTL_CODE(0x22, 0x800, wdf.METHOD_NEITHER, wdf.FILE_ANY_ACCESS)


def received(io_type: Any, start: Any) -> tuple[Any, Any]:
    """A request as a driver gets it, and the originator's handle of it."""
    queue = membuf.Device(io_type=io_type).queue(
        dispatch="manual", default=True, allow_zero_length=True
    )
    pending = start(queue.device.open())
    return queue.retrieve_next(), pending


def statuses(request: Any) -> tuple[Status, Status]:
    """What retrieving the input and the output MDL answers, agreed on by both faces."""
    answers = []
    for call, ours in (
        (wdf.WdfRequestRetrieveInputWdmMdl, request.input_mdl),
        (wdf.WdfRequestRetrieveOutputWdmMdl, request.output_mdl),
    ):
        status, mdl = call(request)
        assert (mdl is None) == (status != wdf.STATUS_SUCCESS)
        if mdl is not None:
            assert ours() is mdl
        else:
            with pytest.raises(membuf.MembufError) as refused:
                ours()
            assert refused.value.status == status
        answers.append(status)
    return answers[0], answers[1]


@case("P46")
def test_a_direct_read_has_its_own_mdl_and_a_neither_control_request_none() -> None:
    target = bytearray(8192)
    request, _ = received(membuf.DIRECT, lambda handle: handle.start_read(target))
    assert statuses(request) == (INVALID_REQUEST, wdf.STATUS_SUCCESS)
    mdl = request.output_mdl()
    assert (mdl.byte_count, mdl.kind) == (8192, "locked")
    mdl.map()[0] = 7
    request.complete(information=1)
    assert target[0] == 7
    request, _ = received(
        membuf.BUFFERED, lambda handle: handle.start_ioctl(NEITHER_CODE, b"in", bytearray(8))
    )
    assert statuses(request) == (INVALID_REQUEST, INVALID_REQUEST)
    request.complete()


@case("P47")
def test_a_write_of_nothing_has_no_mdl() -> None:
    for io_type in (membuf.BUFFERED, membuf.DIRECT):
        request, _ = received(io_type, lambda handle: handle.start_write(b""))
        assert statuses(request)[0] == wdf.STATUS_BUFFER_TOO_SMALL
        request.complete()


@case("P49")
def test_the_mdl_of_a_request_is_the_frameworks() -> None:
    for io_type in (membuf.BUFFERED, membuf.DIRECT):
        request, _ = received(io_type, lambda handle: handle.start_write(bytes(5000)))
        mdl = request.input_mdl()
        kind = mdl.kind
        for call in (wdf.IoFreeMdl, wdf.MmUnlockPages):
            with pytest.raises(membuf.BugCheck):
                call(mdl)
        for refused in (mdl.free, mdl.unlock):
            with pytest.raises(membuf.MembufError, match="belongs to") as stopped:
                refused()
            assert stopped.value.bugcheck is not None
        assert (mdl.kind, mdl.byte_count) == (kind, 5000)
        request.complete()
        assert mdl.freed


@case("P50")
def test_a_users_buffer_is_locked_for_reading_and_never_for_nothing() -> None:
    request, _ = received(membuf.NEITHER, lambda handle: handle.start_read(bytearray(8)))
    user = bytearray(b"from the user")
    status, memory = wdf.WdfRequestProbeAndLockUserBufferForRead(request, user, 0)
    assert (status, memory) == (wdf.STATUS_INVALID_USER_BUFFER, None)
    status, memory = wdf.WdfRequestProbeAndLockUserBufferForRead(request, user, len(user))
    assert (status, memory.parent is request) == (wdf.STATUS_SUCCESS, True)
    assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"x", 1) == wdf.STATUS_ACCESS_VIOLATION
    assert bytes(memory.buffer) == b"from the user"
    with pytest.raises(membuf.AccessViolationError):
        memory.copy_from(b"x")
    request.complete()
    user.clear()


@case("P97")
def test_more_elements_than_a_system_call_takes_are_one_transfer_of_two_calls(
    tmp_path: Path,
) -> None:
    data = random.Random(97).randbytes(1025 * 512)
    (path := tmp_path / "disk.img").write_bytes(data)
    memory = bytearray(len(data))
    head, *rest = [membuf.Mdl(memory, n * 512, 512) for n in range(1025)]
    for mdl in reversed(rest):
        mdl.next, head.next = head.next, mdl
    completions: list[int] = []
    with membuf.open_target(f"file:{path}", engine="threads") as target:
        request = membuf.Request(target)
        request.format_read(membuf.MemoryDescriptor.mdl(head))
        counting = -read_calls() + read_calls()
        before = read_calls()
        request.send(
            on_complete=lambda *arguments: completions.append(arguments[2].information),
            synchronous=True,
        )
        assert read_calls() - before - counting == 2
        request.delete()
    assert (completions, memory) == ([len(data)], data)


def read_calls() -> int:
    """How many calls for reading this process has made."""
    fields = Path("/proc/self/io").read_text().split()
    return int(fields[fields.index("syscr:") + 1])

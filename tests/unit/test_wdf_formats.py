"""Formatting for targets and sending synchronously, by the framework's names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf import wdf

OK = wdf.STATUS_SUCCESS
IP, IOF = wdf.STATUS_INVALID_PARAMETER, wdf.STATUS_INTEGER_OVERFLOW


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Any]:
    """A driver, and an open file target whose bytes count up."""
    (tmp_path / "disk").write_bytes(bytes(range(256)) * 16)
    with wdf.driver("Sample"), membuf.open_target(f"file:{tmp_path / 'disk'}") as target:
        yield target


def described(kind: str, thing: Any, length: int = 0, offsets: Any = None) -> Any:
    """A descriptor of one of the three kinds."""
    descriptor = wdf.WDF_MEMORY_DESCRIPTOR()
    if kind == "buffer":
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(descriptor, thing, length)
    elif kind == "mdl":
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_MDL(descriptor, thing, length)
    else:
        wdf.WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(descriptor, thing, offsets)
    return descriptor


def test_the_three_kinds_of_descriptor_read_the_same(disk: Any) -> None:
    _, memory, _ = wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, 0, 100)
    assert memory is not None
    plain, paged = bytearray(8), bytearray(8)
    read = wdf.WdfIoTargetSendReadSynchronously
    mdl = membuf.Mdl(paged)
    mdl.lock("write")
    part = wdf.WDFMEMORY_OFFSET(40, 8)
    for descriptor in (
        described("buffer", plain, 8),
        described("mdl", mdl, 8),
        described("handle", memory, offsets=part),
    ):
        assert read(disk, None, descriptor, 16, None) == (OK, 8)
    mdl.unlock()
    wanted = bytes(range(16, 24))
    assert (bytes(plain), bytes(paged), bytes(memory.buffer[40:48])) == (wanted,) * 3
    assert memory.reference_count == 1
    wdf.WdfObjectDelete(memory)


@pytest.mark.parametrize(
    ("descriptor", "status"),
    [
        (None, OK),
        (described("buffer", None, 4), IP),
        (described("buffer", None, 0), IP),
        (described("mdl", None, 4), IP),
        (described("handle", None), IP),
        (wdf.WDF_MEMORY_DESCRIPTOR(), IP),
        (wdf.WDF_MEMORY_DESCRIPTOR(Type=4), IP),
        (described("buffer", bytearray(8), 0), OK),
    ],
)
def test_descriptors_that_describe_nothing(disk: Any, descriptor: Any, status: int) -> None:
    for send in (wdf.WdfIoTargetSendReadSynchronously, wdf.WdfIoTargetSendWriteSynchronously):
        assert send(disk, None, descriptor, None, None) == (status, 0)


def test_options_of_a_synchronous_send(disk: Any) -> None:
    given = wdf.WDF_REQUEST_SEND_OPTIONS()
    for size, flags, status in (
        (8, 0, wdf.STATUS_INFO_LENGTH_MISMATCH),
        (16, 0x10, IP),
        (16, wdf.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET | 1, IP),
    ):
        given.Size, given.Flags = size, flags
        answer = wdf.WdfIoTargetSendReadSynchronously(disk, None, None, None, given)
        assert answer == (status, 0)
    disk.stop()
    given.Size, given.Flags = 16, 0
    wdf.WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(given, wdf.WDF_REL_TIMEOUT_IN_MS(20))
    answer = wdf.WdfIoTargetSendReadSynchronously(
        disk, None, described("buffer", bytearray(8), 8), 0, given
    )
    assert answer == (wdf.STATUS_IO_TIMEOUT, 0)


def test_a_format_checks_its_offsets_first_and_drops_what_was_before(disk: Any) -> None:
    with membuf.Memory(100) as memory, membuf.Memory(100) as other:
        _, request = wdf.WdfRequestCreate(None, disk)
        read = wdf.WdfIoTargetFormatRequestForRead
        assert read(disk, request, memory, None, 0) == OK
        assert memory.reference_count == 2
        beyond = wdf.WDFMEMORY_OFFSET(50, 51)
        assert read(disk, request, other, beyond, 0) == IOF
        assert (memory.reference_count, other.reference_count) == (2, 1)
        assert read(disk, request, other, wdf.WDFMEMORY_OFFSET(50, 0), 0) == OK
        assert (memory.reference_count, other.reference_count) == (1, 2)
        assert request is not None
        assert wdf.WdfRequestSend(request, disk, synchronous())
        assert wdf.WdfRequestGetInformation(request) == 50
        wdf.WdfObjectDelete(request)
        assert other.reference_count == 1


def synchronous() -> Any:
    """Options of a synchronous send."""
    given = wdf.WDF_REQUEST_SEND_OPTIONS()
    wdf.WDF_REQUEST_SEND_OPTIONS_INIT(given, wdf.WDF_REQUEST_SEND_OPTION_SYNCHRONOUS)
    return given


def test_control_requests_to_a_device() -> None:
    device, seen = membuf.Device("wdf-targets-test"), list[Any]()

    @device.on_default
    def take(request: Any) -> None:
        seen.append((request.type.name, request.code, request.input_length, request.output_length))
        if request.output_length:
            request.output_memory().copy_from(b"answer")
        request.complete(information=6)

    code = wdf.CTL_CODE(0x22, 0x800, wdf.METHOD_BUFFERED, wdf.FILE_ANY_ACCESS)
    with wdf.driver("Sample"), membuf.open_target("device:wdf-targets-test") as target:
        out = bytearray(8)
        given = described("buffer", b"ask", 3), described("buffer", out, 8)
        for send in (
            wdf.WdfIoTargetSendIoctlSynchronously,
            wdf.WdfIoTargetSendInternalIoctlSynchronously,
        ):
            out[:] = bytes(8)
            assert send(target, None, code, *given, None) == (OK, 6)
            assert out == b"answer\0\0"
        others = wdf.WdfIoTargetSendInternalIoctlOthersSynchronously
        assert others(target, None, code, *given, None, None)[0] == OK
    assert [entry[0] for entry in seen[:2]] == ["DEVICE_CONTROL", "INTERNAL_DEVICE_CONTROL"]
    assert seen[0][1:] == (code, 3, 8)
    assert len(seen) == 3


def test_handles_of_the_wrong_kind(disk: Any) -> None:
    _, request = wdf.WdfRequestCreate(None, disk)
    calls: tuple[Any, ...] = (
        lambda: wdf.WdfIoTargetFormatRequestForRead(None, request, None, None, None),
        lambda: wdf.WdfIoTargetFormatRequestForRead(disk, None, None, None, None),
        lambda: wdf.WdfIoTargetFormatRequestForRead(disk, request, disk, None, None),
        lambda: wdf.WdfIoTargetSendReadSynchronously(request, None, None, None, None),
        lambda: wdf.WdfRequestSend(request, None, None),
    )
    for call in calls:
        with pytest.raises(membuf.BugCheck) as caught:
            call()
        assert caught.value.p1 == wdf.WDF_INVALID_HANDLE

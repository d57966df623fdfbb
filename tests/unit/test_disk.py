"""Disks of one's own: what reaches their drivers, and what they answer without them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from membuf import Disk, Extent
from membuf.base import status as st
from membuf.request import storage
from membuf.request.completion import RequestType
from membuf.request.io_type import BUFFERED, DIRECT, NEITHER
from membuf.request.storage import Range
from tests.nbd import memory_disk

SIZE = 1 << 20


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk of blocks, whose driver notes what reaches it."""
    one = Disk("disk", size=SIZE, block_size=512)
    yield one
    one.delete()


def noted(disk: Disk) -> list[tuple[str, int, int]]:
    """What reaches the handlers of a disk from now on."""
    log: list[tuple[str, int, int]] = []

    def handler(request: Any) -> None:
        log.append((request.type.name, request.offset, request.length))
        request.complete(information=request.length)

    disk.on_read(handler)
    disk.on_write(handler)
    return log


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": -512}, "size"),
        ({"size": 1 << 63}, "size"),
        ({"size": 513, "block_size": 512}, "size"),
        ({"size": 512, "block_size": 0}, "block_size"),
        ({"size": 512, "block_size": 3}, "block_size"),
        ({"size": 1 << 20, "block_size": 1 << 17}, "block_size"),
        ({"size": 512, "preferred_size": 1000}, "preferred_size"),
    ],
)
def test_what_is_no_disk_is_not_made(options: dict[str, int], why: str) -> None:
    with pytest.raises(membuf.InvalidParameterError, match=why):
        Disk(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1.5, "512", None])
def test_a_size_is_an_integer(size: Any) -> None:
    with pytest.raises(TypeError):
        Disk(size=size)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(1, 512), (512, 1), (0, 513), (SIZE, 512), (SIZE - 512, 1024), ((1 << 62), 512)],
)
def test_what_is_outside_or_no_whole_blocks_does_not_reach_the_driver(
    disk: Disk, offset: int, length: int
) -> None:
    log = noted(disk)
    with disk.open() as handle:
        with pytest.raises(membuf.InvalidParameterError):
            handle.read(length, offset)
        with pytest.raises(membuf.InvalidParameterError):
            handle.write(bytes(length), offset)
        assert handle.write(bytes(512), SIZE - 512) == 512
    assert log == [("WRITE", SIZE - 512, 512)]


def test_nothing_at_all_is_done_at_once(disk: Disk) -> None:
    log = noted(disk)
    with disk.open() as handle:
        assert handle.write(b"", 512) == 0
        assert handle.read(0, SIZE) == b""
    assert log == []


def test_a_disk_that_is_only_read_is_not_written() -> None:
    disk = Disk("read-only", size=SIZE, readonly=True)
    log = noted(disk)
    disk.on_trim(lambda offset, length: log.append(("TRIM", offset, length)))
    disk.on_zero(lambda offset, length: log.append(("ZERO", offset, length)))
    with membuf.open_target("device:read-only") as target:
        for change in (lambda: target.write(b"x", 0), lambda: target.trim(0, 1)):
            with pytest.raises(membuf.MembufError) as caught:
                change()
            assert caught.value.status == st.STATUS_MEDIA_WRITE_PROTECTED
        with pytest.raises(membuf.MembufError):
            target.ioctl(storage.IS_WRITABLE)
        assert target.read(bytearray(8), 0) == 8
    assert not disk.writable
    disk.delete()
    assert log == [("READ", 0, 8)]


@pytest.mark.parametrize("io_type", [BUFFERED, DIRECT, NEITHER])
def test_a_disk_answers_for_itself(io_type: Any) -> None:
    disk, store = memory_disk(SIZE, "itself", io_type=io_type)
    with membuf.open_target("device:itself") as target:
        assert target.size == SIZE
        assert target.ioctl(storage.IS_WRITABLE) == 0
        assert target.write(b"bytes", 5) == 5
        assert target.read(data := bytearray(5), 5) == 5
        target.flush()
        assert list(target.extents()) == [Extent(0, SIZE, data=True)]
        for call in (target.trim, target.zero):
            with pytest.raises(membuf.InvalidDeviceStateError):
                call(0, 512)
    disk.delete()
    assert bytes(data) == b"bytes" == bytes(store[5:10])


def test_a_length_that_has_no_room_is_refused(disk: Disk) -> None:
    with membuf.open_target("device:disk") as target:
        with pytest.raises(membuf.BufferTooSmallError):
            target.ioctl(storage.GET_LENGTH, None, bytearray(7))
        assert target.ioctl(storage.GET_LENGTH, None, bytearray(9)) == 8


@pytest.mark.parametrize("later", [False, True], ids=["plain", "coroutine"])
def test_operations_are_called_range_by_range_in_order(disk: Disk, later: bool) -> None:
    log: list[Any] = []

    def plain(offset: int, length: int) -> None:
        log.append((offset, length))

    async def coroutine(offset: int, length: int) -> None:
        await asyncio.sleep(0)
        log.append((offset, length))

    disk.on_trim(coroutine if later else plain)
    disk.on_zero(coroutine if later else plain)
    ranges = [Range(512, 512), Range(0, 0), Range(0, 1024), Range(SIZE - 512, 512)]
    with membuf.open_target("device:disk") as target:
        target.ioctl(storage.TRIM, storage.trim_input(ranges))
        target.zero(4096, 512)
        target.zero(0, 0)
    assert log == [(512, 512), (0, 1024), (SIZE - 512, 512), (4096, 512)]


@pytest.mark.parametrize("later", [False, True], ids=["plain", "coroutine"])
def test_behind_a_range_that_fails_none_begins(disk: Disk, later: bool) -> None:
    begun: list[int] = []

    def plain(offset: int, length: int) -> None:
        begun.append(offset)
        if offset == 512:
            raise membuf.InvalidParameterError("no")

    async def coroutine(offset: int, length: int) -> None:
        plain(offset, length)

    disk.on_trim(coroutine if later else plain)
    ranges = [Range(0, 512), Range(512, 512), Range(1024, 512)]
    with membuf.open_target("device:disk") as target, pytest.raises(membuf.InvalidParameterError):
        target.ioctl(storage.TRIM, storage.trim_input(ranges))
    assert begun == [0, 512]


@pytest.mark.parametrize("asked", [(1, 512), (0, 511), (256, 256), (SIZE, 512), (0, SIZE + 512)])
def test_ranges_are_whole_blocks_inside(disk: Disk, asked: tuple[int, int]) -> None:
    log: list[Any] = []
    disk.on_trim(lambda offset, length: log.append(offset))
    disk.on_zero(lambda offset, length: log.append(offset))
    good = Range(0, 512)
    with membuf.open_target("device:disk") as target:
        with pytest.raises(membuf.InvalidParameterError):
            target.ioctl(storage.TRIM, storage.trim_input([good, Range(*asked)]))
        with pytest.raises(membuf.InvalidParameterError):
            target.zero(*asked)
    assert log == []


def test_extents_are_the_drivers(disk: Disk) -> None:
    asked: list[Any] = []

    @disk.on_extents
    def extents(offset: int, length: int) -> Iterator[Extent]:
        asked.append((offset, length))
        yield Extent(0, 4096, data=True)
        yield Extent(4096, 4096, data=False)
        yield Extent(8192, 512, data=True)

    with membuf.open_target("device:disk") as target:
        assert list(target.extents(512, 16384)) == [
            Extent(512, 3584, data=True),
            Extent(4096, 4096, data=False),
            Extent(8192, 512, data=True),
            Extent(8704, 8192, data=False),
        ]
    assert asked == [(512, 16384)]


def test_other_control_requests_are_the_drivers(disk: Disk) -> None:
    seen: list[int] = []

    @disk.on_ioctl
    def ioctl(request: Any) -> None:
        seen.append(request.code)
        request.complete()

    with membuf.open_target("device:disk") as target:
        assert target.size == SIZE
        assert target.ioctl(0x222000) == 0
        assert target.ioctl(storage.TRIM, storage.trim_input([Range(0, 512)])) == 0
    assert seen == [0x222000, storage.TRIM]


@pytest.mark.parametrize("register", ["on_trim", "on_zero", "on_extents", "on_ioctl"])
def test_what_is_no_function_is_not_registered(disk: Disk, register: str) -> None:
    with pytest.raises(TypeError):
        getattr(disk, register)(7)


@pytest.mark.parametrize("data", [b"", bytes(27), storage.trim_input([]), bytes(48)])
def test_a_trim_that_names_nothing_is_refused(disk: Disk, data: bytes) -> None:
    disk.on_trim(lambda offset, length: None)
    with membuf.open_target("device:disk") as target, pytest.raises(membuf.MembufError):
        target.ioctl(storage.TRIM, data or None)


def test_a_filter_passes_down_what_it_has_no_answer_to() -> None:
    bottom, store = memory_disk(SIZE, "bottom")
    trimmed: list[Any] = []
    bottom.on_trim(lambda offset, length: trimmed.append((offset, length)))
    top = Disk(
        "top", size=SIZE, lower=membuf.bus.device.local_target(bottom), filter=True
    )  # fmt: skip
    with membuf.open_target("device:top") as target:
        assert target.write(b"deep", 9) == 4
        target.flush()
        target.trim(512, 512)
    assert store[9:13] == b"deep"
    assert trimmed == [(512, 512)]
    top.delete()
    bottom.delete()


def test_a_disk_without_handlers_refuses_transfers(disk: Disk) -> None:
    with disk.open() as handle, pytest.raises(membuf.InvalidDeviceStateError):
        handle.read(512)
    assert disk.default_queue is not None
    assert RequestType.READ not in disk._handlers


def test_an_originators_range_is_as_it_says() -> None:
    (size,) = struct.unpack("<Q", storage.length_output(SIZE))
    assert size == SIZE
    assert storage.ranges_of(storage.ZERO, storage.zero_input(Range(5, 6))) == [Range(5, 6)]

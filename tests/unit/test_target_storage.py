"""Size, trim, zeros and extents, by control codes: files, memory, filters and devices alike."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import membuf
from membuf import Extent
from membuf.base import status as st
from membuf.request import storage
from membuf.request.storage import Range
from tests.nbd import memory_disk

SIZE = 1 << 20
KINDS = ("file", "ram", "log+file", "stats+log+ram", "device", "stats+device")


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A disk of each kind, full of letters."""
    name, device = request.param, None
    path = tmp_path / "disk"
    path.write_bytes(b"x" * SIZE)
    if name.endswith("device"):
        device, store = memory_disk(SIZE, "storage")
        device.on_zero(lambda at, length: store.__setitem__(slice(at, at + length), bytes(length)))
        device.on_trim(lambda at, length: store.__setitem__(slice(at, at + length), bytes(length)))
        device.on_extents(lambda at, length: extents_of(store))
    ends = {"file": f":{path}", "ram": f":{SIZE}", "device": ":storage"}
    with membuf.open_target(name + ends[name.rpartition("+")[2]]) as one:
        one.write(b"x" * SIZE, 0)
        yield one
    if device is not None:
        device.delete()


def extents_of(store: bytearray) -> Iterator[Extent]:
    """Pages that hold anything are data."""
    for at in range(0, SIZE, 4096):
        yield Extent(at, 4096, data=store[at : at + 4096] != bytes(4096))


def test_a_size_is_told(target: Any) -> None:
    assert target.size == SIZE
    output = bytearray(8)
    assert target.ioctl(storage.GET_LENGTH, None, output) == 8
    assert struct.unpack("<Q", output) == (SIZE,)
    assert target.offset_alignment == 1


@pytest.mark.parametrize("call", ["zero", "trim"])
def test_what_is_zeroed_or_trimmed_is_a_hole(target: Any, call: str) -> None:
    getattr(target, call)(8192, 65536)
    data = bytearray(SIZE)
    assert target.read(data, 0) == SIZE
    assert data == b"x" * 8192 + bytes(65536) + b"x" * (SIZE - 8192 - 65536)
    assert list(target.extents()) == [
        Extent(0, 8192, data=True),
        Extent(8192, 65536, data=False),
        Extent(8192 + 65536, SIZE - 8192 - 65536, data=True),
    ]
    assert list(target.extents(8192, 4096)) == [Extent(8192, 4096, data=False)]


def test_a_part_of_a_page_is_zeroed(target: Any) -> None:
    target.zero(1, 10)
    data = bytearray(12)
    target.read(data, 0)
    assert data == b"x" + bytes(10) + b"x"


def test_nothing_at_all_changes_nothing(target: Any) -> None:
    target.trim(0, 0)
    target.zero(SIZE, 0)
    assert list(target.extents(SIZE)) == []
    assert list(target.extents(0, 0)) == []
    data = bytearray(SIZE)
    target.read(data, 0)
    assert data == b"x" * SIZE


@pytest.mark.parametrize("call", ["zero", "trim"])
@pytest.mark.parametrize(
    "asked",
    [(SIZE, 1), (0, SIZE + 1), (-1, 5), (5, -1), (1 << 62, 1 << 62), (1 << 64, 1), (0, 1 << 70)],
)
def test_what_is_not_inside_is_refused(target: Any, call: str, asked: tuple[int, int]) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        getattr(target, call)(*asked)
    data = bytearray(SIZE)
    target.read(data, 0)
    assert data == b"x" * SIZE


@pytest.mark.parametrize("asked", [("0", 1), (0.5, 1), (0, None)])
def test_ranges_are_integers(target: Any, asked: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError):
        target.zero(*asked)
    with pytest.raises(TypeError):
        target.trim(*asked)


def test_several_ranges_are_trimmed_by_one_request(target: Any) -> None:
    ranges = [Range(0, 4096), Range(8192, 4096), Range(0, 0)]
    target.ioctl(storage.TRIM, storage.trim_input(ranges))
    assert [extent.data for extent in target.extents(0, 16384)] == [False, True, False, True]


@pytest.mark.parametrize("code", [storage.TRIM, storage.ZERO, storage.ALLOCATED])
@pytest.mark.parametrize("data", [b"x", bytes(15), b"\xff" * 16, b"\xff" * 64])
def test_input_that_is_none_is_refused(target: Any, code: int, data: bytes) -> None:
    with pytest.raises(membuf.MembufError):
        target.ioctl(code, data, bytearray(16) if code == storage.ALLOCATED else None)
    assert target.size == SIZE


def test_an_answer_that_does_not_fit_is_told_in_part(target: Any) -> None:
    for at in (0, 8192, 16384):
        target.zero(at, 4096)
    output = bytearray(32)
    with pytest.raises(membuf.MembufError) as caught:
        target.ioctl(storage.ALLOCATED, storage.allocated_input(Range(0, SIZE)), output)
    assert caught.value.status == st.STATUS_BUFFER_OVERFLOW
    assert struct.unpack("<4Q", output) == (4096, 4096, 12288, 4096)


def test_a_target_that_is_only_read_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 4096)
    for name in (f"file:{path}", f"log+file:{path}", f"readonly+file:{path}"):
        access = "read-write" if "readonly" in name else "read"
        with membuf.open_target(name, access=access) as target:
            assert target.size == 4096
            for call in (target.trim, target.zero):
                with pytest.raises(membuf.MembufError):
                    call(0, 4096)
    assert path.read_bytes() == b"x" * 4096


def test_a_device_that_says_nothing_of_its_data_is_all_data() -> None:
    device = membuf.Device("silent")

    @device.on_ioctl
    def ioctl(request: Any) -> None:
        if request.code == storage.GET_LENGTH:
            request.output_memory().copy_from(storage.length_output(SIZE))
            request.complete(information=8)
        elif request.code == storage.ALLOCATED:
            request.complete(st.STATUS_BUFFER_OVERFLOW, 0)  # again and again
        else:
            request.complete(st.STATUS_NOT_SUPPORTED)

    with membuf.open_target("device:silent") as target:
        assert list(target.extents(5, 100)) == [Extent(5, 100, data=True)]
        assert list(target.extents()) == [Extent(0, SIZE, data=True)]
        with pytest.raises(membuf.MembufError):
            target.trim(0, 1)
    device.delete()


def test_thousands_of_extents_are_asked_for_in_parts() -> None:
    disk, _ = memory_disk(SIZE, "holes")
    every_other = [Extent(at, 16, data=True) for at in range(0, SIZE, 32)]
    disk.on_extents(lambda offset, length: every_other)
    with membuf.open_target("device:holes") as target:
        found = list(target.extents())
    disk.delete()
    assert [extent for extent in found if extent.data] == every_other
    assert sum(extent.length for extent in found) == SIZE


# ---- layouts -------------------------------------------------------------------------------------

OFFSETS = some.integers(0, (1 << 62) - 1)
RANGES = some.builds(Range, OFFSETS, OFFSETS)


@given(some.lists(RANGES, min_size=1, max_size=9))
def test_ranges_of_a_trim_are_those_that_were_put_in(ranges: list[Range]) -> None:
    assert storage.ranges_of(storage.TRIM, storage.trim_input(ranges)) == ranges


@given(RANGES)
def test_a_range_is_the_one_that_was_put_in(one: Range) -> None:
    assert storage.ranges_of(storage.ZERO, storage.zero_input(one)) == [one]
    assert storage.ranges_of(storage.ALLOCATED, storage.allocated_input(one)) == [one]


@given(some.sampled_from([storage.TRIM, storage.ZERO, storage.ALLOCATED]), some.binary(max_size=96))
def test_any_bytes_are_ranges_or_refused(code: int, data: bytes) -> None:
    try:
        ranges = storage.ranges_of(code, data)
    except membuf.MembufError as error:
        assert error.status in (st.STATUS_INVALID_PARAMETER, st.STATUS_NOT_SUPPORTED)  # noqa: PT017
    else:
        assert all(0 <= one.offset <= one.offset + one.length < 1 << 63 for one in ranges)


@given(some.lists(some.tuples(some.integers(0, 50), some.integers(1, 50)), max_size=9))
def test_extents_survive_their_layout(parts: list[tuple[int, int]]) -> None:
    extents, here = [], 0
    for gap, length in parts:
        extents.append(Extent(here + gap + 1, length, data=True))
        here += gap + 1 + length
    asked = Range(0, here + 5)
    output, whole = storage.allocated_output(extents, asked, 4096)
    told = list(storage.extents_of(output, asked, whole=whole))
    assert [extent for extent in told if extent.data] == extents
    assert sum(extent.length for extent in told) == asked.length

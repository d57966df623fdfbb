"""Disks that are nowhere but here: `ram:` and `null:`."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import membuf
from membuf import Extent
from membuf.base import status as st
from membuf.request.completion import RequestType
from membuf.request.irp import Irp
from tests.nbd import descriptors, nothing_left

MIB = 1 << 20


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ram:1", 1),
        ("ram:4096", 4096),
        ("ram:64MiB", 64 * MIB),
        ("ram:1TiB", 1 << 40),  # which takes nothing until it is written
        ("null:", 1 << 62),
        ("null:1000", 1000),
        ("null:1KiB", 1024),
    ],
)
def test_a_size_is_as_it_says(name: str, size: int) -> None:
    with membuf.open_target(name) as target:
        assert target.size == size
        assert target.offset_alignment == 1
        assert list(target.extents()) == [Extent(0, size, data=False)]


@pytest.mark.parametrize(
    "name", ["ram:", "ram:0", "ram:-1", "ram:x", "ram:1XB", "ram:8EiB", "null:0", "null:-5"]
)
def test_what_is_no_size_is_refused(name: str) -> None:
    before = descriptors()
    with pytest.raises(membuf.InvalidParameterError):
        membuf.open_target(name)
    assert descriptors() == before


def test_more_than_the_system_has_is_refused_and_leaves_nothing() -> None:
    with nothing_left(), pytest.raises(membuf.MembufError, match="cannot have"):
        membuf.open_target(f"ram:{1 << 61}")
    assert not [one for one in descriptors() if "membuf-ram" in one]


def test_memory_keeps_what_is_written() -> None:
    with membuf.open_target("ram:1MiB") as target:
        assert target.write(b"hello", MIB - 5) == 5
        assert target.read(data := bytearray(10), MIB - 5) == 5
        assert data == b"hello" + bytes(5)
        assert target.read(data, MIB) == 0
        assert target.read(data, 1 << 62) == 0


@pytest.mark.parametrize("name", ["ram:1MiB", "null:1MiB"])
@pytest.mark.parametrize(("offset", "length"), [(MIB, 1), (MIB - 4, 5), (1 << 62, 1)])
def test_there_is_no_room_behind_the_end(name: str, offset: int, length: int) -> None:
    with membuf.open_target(name) as target:
        with pytest.raises(membuf.MembufError) as caught:
            target.write(b"x" * length, offset)
        assert caught.value.status == st.STATUS_DISK_FULL
        assert target.write(b"", MIB) == 0


def test_nothing_is_kept_by_what_forgets() -> None:
    with membuf.open_target("null:1MiB") as target:
        assert target.write(b"x" * 4096, 0) == 4096
        assert target.read(data := bytearray(b"y" * 4096), 0) == 4096
        assert data == bytes(4096)
        target.zero(0, 4096)
        target.trim(0, MIB)
        target.flush()
        assert list(target.extents(5, 10)) == [Extent(5, 10, data=False)]


def test_several_buffers_are_one_transfer() -> None:
    with membuf.open_target("ram:1MiB") as target:
        assert target.write([b"one", bytes(7), b"two"], 0) == 13
        one, two = bytearray(3), bytearray(9)
        assert target.read([one, two], 0) == 12
        assert (one, two) == (b"one", b"\0" * 7 + b"tw")


def test_what_was_never_written_takes_nothing_when_it_is_read() -> None:
    with membuf.open_target("ram:64MiB") as target:
        target.write(b"x", 0)
        assert target.read(data := bytearray(64 * MIB), 0) == 64 * MIB
        assert data.count(0) == 64 * MIB - 1
        assert next(target.extents()) == Extent(0, 4096, data=True)
        assert list(target.extents(4096)) == [Extent(4096, 64 * MIB - 4096, data=False)]


@pytest.mark.parametrize("call", ["extents", "trim", "zero"])
@pytest.mark.parametrize("name", ["ram:1MiB", "null:1MiB"])
@pytest.mark.parametrize("asked", [(-1, 5), (0, -5), (1 << 63, 1)])
def test_ranges_begin_at_0(name: str, call: str, asked: tuple[int, int]) -> None:
    with membuf.open_target(name) as target, pytest.raises(membuf.InvalidParameterError):
        list(getattr(target, call)(*asked) or ())


def test_extents_are_integers() -> None:
    with membuf.open_target("ram:1MiB") as target, pytest.raises(TypeError):
        list(target.extents("0"))


@pytest.mark.parametrize("end", ["close", "delete"])
def test_what_is_closed_takes_nothing(end: str) -> None:
    target = membuf.open_target("ram:1MiB")
    target.write(b"x", 0)
    begun = target.extents()
    next(begun)
    getattr(target, end)()
    with pytest.raises(membuf.MembufError):
        target.read(bytearray(1), 0)
    with pytest.raises(membuf.MembufError):
        list(begun)
    irp = Irp(RequestType.READ, length=4)
    irp.system_buffer = memoryview(bytearray(4))
    target.forward(irp)
    assert irp.status != st.STATUS_SUCCESS
    if end == "close":
        target.delete()


@pytest.mark.parametrize("kind", [RequestType.READ, RequestType.WRITE])
@pytest.mark.parametrize(("offset", "done"), [(0, 8), (MIB - 8, 8), (MIB - 3, 3), (MIB, 0)])
def test_a_packet_is_carried_out_at_once(kind: Any, offset: int, done: int) -> None:
    with membuf.open_target("ram:1MiB") as target:
        irp = Irp(kind, offset=offset, length=8)
        irp.system_buffer = memoryview(bytearray(16))
        target.forward(irp)
        assert irp.completed
        if kind is RequestType.READ or done == 8:
            assert (irp.status, irp.information) == (st.STATUS_SUCCESS, done)
        else:
            assert (irp.status, irp.information) == (st.STATUS_DISK_FULL, 0)


def test_a_target_may_be_closed_while_others_use_it() -> None:
    for _ in range(20):
        target = membuf.open_target("ram:1MiB")
        begun = threading.Barrier(4)

        def use(target: Any = target, begun: Any = begun) -> None:
            begun.wait()
            while True:
                irp = Irp(RequestType.WRITE, length=65536)
                irp.system_buffer = memoryview(bytearray(65536))
                target.forward(irp)
                if irp.status != st.STATUS_SUCCESS:
                    break

        users = [threading.Thread(target=use) for _ in range(3)]
        for user in users:
            user.start()
        begun.wait()
        target.close()
        for user in users:
            user.join()
        assert target.state.name == "CLOSED"
        target.delete()

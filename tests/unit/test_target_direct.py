"""Direct I/O: what it asks for, what it answers at the end of a file, memory the ring knows."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus import FileTarget, Limits, limits, open_target
from membuf.request import Request
from tests.engines import ENGINES, HAVE_URING
from tests.support import ROOT

BLOCK = 4096
CONTENT = b"".join(bytes([i % 251]) * BLOCK for i in range(64))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Somewhere with direct I/O: temporary files may be kept in memory, where there may be none."""
    for place in (tmp_path, Path("/var/tmp"), ROOT):
        with tempfile.TemporaryDirectory(dir=place) as name:
            probe = Path(name) / "probe"
            try:
                os.close(os.open(probe, os.O_CREAT | os.O_RDWR | os.O_DIRECT))
            except OSError:
                continue
            yield Path(name)
            return
    raise AssertionError("no folder with direct I/O was found")


@pytest.fixture
def target(folder: Path, engine: str) -> Iterator[FileTarget]:
    (folder / "image").write_bytes(CONTENT)
    with open_target(f"file:{folder / 'image'}", direct=True, engine=engine) as target:
        yield target


def test_the_limits_are_those_of_the_system(target: FileTarget) -> None:
    memory, offset = target.limits
    for alignment in (memory, offset):
        assert alignment & (alignment - 1) == 0
        assert 1 < alignment <= BLOCK


def test_a_descriptor_tells_by_itself_that_it_is_direct(folder: Path, engine: str) -> None:
    (folder / "image").write_bytes(CONTENT)
    for flags, wanted in ((os.O_DIRECT, True), (0, False)):
        fd = os.open(folder / "image", os.O_RDONLY | flags)
        with open_target(f"fd:{fd}", engine=engine) as target:
            assert (target.limits != Limits(1, 1)) == wanted
        os.close(fd)


def test_a_pipe_of_packets_is_not_direct() -> None:
    reading, writing = os.pipe2(os.O_DIRECT)
    with open_target(f"fd:{writing}") as target:
        assert target.limits == Limits(1, 1)
        assert target.write(b"packet") == 6
    os.close(reading)
    os.close(writing)


def test_every_way_reads_and_writes_aligned_memory(target: FileTarget) -> None:
    pages = membuf.LookasideList(BLOCK)
    memories = [pages.allocate() for _ in range(64)]
    assert target.read_many([(m, BLOCK * i) for i, m in enumerate(memories)]) == [BLOCK] * 64
    assert b"".join(map(bytes, memories)) == CONTENT
    assert target.read(memories[0], 5 * BLOCK) == BLOCK
    assert asyncio.run(read_async(target, memories[1], 6 * BLOCK)) == BLOCK
    request = Request(target)
    request.format_read(memories[2], 7 * BLOCK)
    request.send(synchronous=True)
    assert [bytes(m)[0] for m in memories[:3]] == [5, 6, 7]
    assert target.write_many([(m, BLOCK * (60 - i)) for i, m in enumerate(memories[:3])])
    target.flush()
    assert target.read(memories[9], 58 * BLOCK) == BLOCK
    assert bytes(memories[9]) == bytes([7]) * BLOCK


async def read_async(target: FileTarget, memory: Any, offset: int) -> int:
    return await target.read_async(memory, offset)


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4095, 4097, 10000])
def test_the_end_of_a_file_that_ends_inside_a_block(folder: Path, engine: str, size: int) -> None:
    (folder / "odd").write_bytes(CONTENT[:size])
    memory = membuf.Memory(4 * BLOCK, alignment=BLOCK)
    with open_target(f"file:{folder / 'odd'}", direct=True, engine=engine) as target:
        assert target.read(memory, 0) == size
        assert bytes(memory)[:size] == CONTENT[:size]
        assert asyncio.run(read_async(target, memory, 0)) == size
        assert target.read_many([(memory, 0), (memory, 4 * BLOCK)]) == [size, 0]


@pytest.mark.parametrize("way", ["read", "async", "many", "request", "vectored"])
def test_what_the_device_would_refuse_is_refused_before_it_is_asked(
    target: FileTarget, way: str
) -> None:
    unit = target.limits.offset
    good = membuf.Memory(2 * BLOCK, alignment=BLOCK)
    odd = memoryview(good)[unit // 2 :][:BLOCK]
    for memory, offset, named in [
        (good, unit // 2, f"offset {unit // 2}"),
        (odd[:unit], 0, f"address {good.address + unit // 2:#x}"),
        (memoryview(good)[: unit // 2], 0, f"length {unit // 2}"),
    ]:
        with pytest.raises(membuf.InvalidParameterError, match=named) as caught:
            attempt(target, way, memory, offset)
        assert f"multiples of {unit}" in str(caught.value)
        assert f"multiple of {target.limits.memory}" in str(caught.value)
    odd.release()
    assert target.statistics().reads == 0
    assert good.reference_count == 1


def attempt(target: FileTarget, way: str, memory: Any, offset: int) -> None:
    if way == "read":
        target.read(memory, offset)
    elif way == "async":
        asyncio.run(read_async(target, memory, offset))
    elif way == "many":
        target.read_many([(memory, offset)])
    elif way == "vectored":
        target.read([memory], offset)
    else:
        Request(target).format_read(memory, offset)


def test_a_stream_has_no_direct_io(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(membuf.MembufError, match="no direct I/O") as caught:
        open_target(f"file:{tmp_path / 'pipe'}", direct=True)
    assert caught.value.status == membuf.base.status.STATUS_NOT_SUPPORTED


def test_a_file_system_without_direct_io_is_named() -> None:
    with pytest.raises(membuf.MembufError, match="without direct=True") as caught:
        open_target("file:/proc/self/status", access="read", direct=True)
    assert caught.value.status == membuf.base.status.STATUS_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("said", "block_device", "expected"),
    [
        ((512, 4096), False, Limits(512, 4096)),
        (None, True, Limits(2048, 2048)),
        (None, False, Limits(4096, 4096)),
    ],
)
def test_where_the_limits_come_from(
    monkeypatch: pytest.MonkeyPatch,
    said: tuple[int, int] | None,
    block_device: bool,
    expected: Limits,
) -> None:
    """An old kernel says nothing; a block device knows its block; a page always does."""
    monkeypatch.setattr(limits, "direct_alignment", lambda _: said)
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: block_device)
    monkeypatch.setattr("fcntl.ioctl", lambda *_: (2048).to_bytes(4, "little"))
    with Path("/dev/null").open() as file:
        assert limits.limits_of(file.fileno(), "x", direct=True) == expected
        assert limits.limits_of(file.fileno(), "x", direct=False) == Limits(1, 1)


def test_a_file_system_that_says_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "direct_alignment", lambda _: (0, 0))
    with pytest.raises(membuf.MembufError, match="no direct I/O"):
        limits.limits_of(0, "x", direct=True)


# ---- memory that the ring knows -----------------------------------------------------------------


def registered(target: FileTarget) -> int:
    """Bytes registered with the rings of a target; the thread engine has no rings."""
    return sum(ring.registered_bytes for ring in getattr(target._engine, "_rings", ()))


def test_slabs_that_are_used_again_and_again_are_registered(target: FileTarget) -> None:
    pages = membuf.LookasideList(BLOCK)
    for turn in range(4):
        memories = [pages.allocate() for _ in range(16)]
        items = [(m, BLOCK * ((i + turn) % 64)) for i, m in enumerate(memories)]
        assert target.read_many(items) == [BLOCK] * 16
        for memory, offset in items:
            assert bytes(memory) == CONTENT[offset : offset + BLOCK]
            memory.copy_from(bytes([turn]) * BLOCK)
        assert target.write_many(items[:2]) == [BLOCK] * 2
        for memory, offset in items[:2]:
            assert target.read(memory, offset) == BLOCK
            assert bytes(memory) == bytes([turn]) * BLOCK
            memory.copy_from(CONTENT[offset : offset + BLOCK])
            target.write(memory, offset)
        for memory in memories:
            memory.delete()
    assert (registered(target) > 0) == (target.engine == "io_uring")


def test_only_the_cores_own_memory_is_registered(target: FileTarget) -> None:
    own = membuf.Memory(BLOCK * 2, alignment=BLOCK)
    borrowed = membuf.Memory.preallocated(memoryview(own)[:BLOCK])
    for memory in (borrowed, memoryview(own)[BLOCK:]):
        for _ in range(20):
            assert target.read_many([(memory, BLOCK)]) == [BLOCK]
    assert registered(target) == 0
    assert bytes(own) == CONTENT[BLOCK : 2 * BLOCK] * 2


def test_what_was_registered_can_be_unmapped_after_the_close(folder: Path, engine: str) -> None:
    (folder / "image").write_bytes(CONTENT)
    with membuf.Domain() as domain:
        pages = membuf.LookasideList(BLOCK)
        with open_target(f"file:{folder / 'image'}", direct=True, engine=engine) as target:
            memories = [pages.allocate() for _ in range(16)]
            target.read_many([(m, 0) for m in memories])
            target.read_many([(m, 0) for m in memories])
            for memory in memories:
                memory.delete()
            pages.delete()
            domain.trim()
            assert (domain.statistics().mapped_bytes > 0) == (registered(target) > 0)
        domain.trim()
        assert domain.statistics().mapped_bytes == 0


def test_more_mappings_than_are_registered(target: FileTarget) -> None:
    large = 4 << 20
    target.truncate(large)
    memories = [membuf.Memory(large) for _ in range(20)]
    for _ in range(10):
        assert target.read_many([(m, 0) for m in memories]) == [large] * 20
    assert all(bytes(m)[: len(CONTENT)] == CONTENT for m in memories)
    assert registered(target) <= 64 << 20
    for memory in memories:
        memory.delete()


def test_engines_named_are_engines_used(folder: Path) -> None:
    (folder / "image").write_bytes(CONTENT)
    for name in ENGINES:
        with open_target(f"file:{folder / 'image'}", engine=name) as target:
            assert (target.statistics().engine, target.statistics().note) == (name, "")
    with open_target(f"file:{folder / 'image'}") as target:
        assert target.engine == ("io_uring" if HAVE_URING else "threads")
        assert bool(target.statistics().note) == (not HAVE_URING)

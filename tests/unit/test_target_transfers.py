"""Reads and writes of targets, the same on every engine: counts, parts, vectors, errors."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus import FileTarget, open_target
from tests.engines import ENGINES

CONTENT = bytes(range(256)) * 256


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def target(tmp_path: Path, engine: str) -> Iterator[FileTarget]:
    (tmp_path / "image").write_bytes(CONTENT)
    with open_target(f"file:{tmp_path / 'image'}", engine=engine) as target:
        assert target.engine == engine
        yield target


def stored(target: FileTarget) -> bytes:
    """The file as the system sees it."""
    return os.pread(target.fileno(), 1 << 20, 0)


# ---- the four ways ------------------------------------------------------------------------------


def synchronously(target: FileTarget, kind: str, items: list[tuple[Any, int]]) -> list[int]:
    return [getattr(target, kind)(memory, offset) for memory, offset in items]


def with_timeout(target: FileTarget, kind: str, items: list[tuple[Any, int]]) -> list[int]:
    return [getattr(target, kind)(memory, offset, timeout=60) for memory, offset in items]


def asynchronously(target: FileTarget, kind: str, items: list[tuple[Any, int]]) -> list[int]:
    async def all_at_once() -> list[int]:
        start = getattr(target, f"{kind}_async")
        return await asyncio.gather(*(start(memory, offset) for memory, offset in items))

    return asyncio.run(all_at_once())


def together(target: FileTarget, kind: str, items: list[tuple[Any, int]]) -> list[int]:
    return getattr(target, f"{kind}_many")(items)


def by_requests(target: FileTarget, kind: str, items: list[tuple[Any, int]]) -> list[int]:
    counts = []
    for memory, offset in items:
        with membuf.request.Request(target) as request:
            getattr(request, f"format_{kind}")(memory, offset)
            request.send(synchronous=True)
            counts.append(request.result())
    return counts


WAYS = [synchronously, with_timeout, asynchronously, together, by_requests]


@pytest.mark.parametrize("way", WAYS)
def test_reads_fill_the_memory_and_count_the_bytes(target: FileTarget, way: Any) -> None:
    memories = [membuf.Memory(size) for size in (1, 100, 4096, 70000)]
    offsets = [0, 300, 65536 - 4096, 10]
    counts = way(target, "read", list(zip(memories, offsets, strict=True)))
    assert counts == [1, 100, 4096, 65536 - 10]
    for memory, offset, count in zip(memories, offsets, counts, strict=True):
        assert bytes(memory)[:count] == CONTENT[offset : offset + count]


@pytest.mark.parametrize("way", WAYS)
def test_reads_at_the_end_and_beyond_are_short_and_empty(target: FileTarget, way: Any) -> None:
    items = [(bytearray(100), offset) for offset in (65536 - 7, 65536, 2**50)]
    assert way(target, "read", items) == [7, 0, 0]


@pytest.mark.parametrize("way", WAYS)
def test_writes_store_the_memory(target: FileTarget, way: Any) -> None:
    expected = bytearray(CONTENT)
    items = [(bytes([i]) * (1000 * i), 3000 * i) for i in (1, 2, 3, 20)]
    assert way(target, "write", items) == [1000, 2000, 3000, 20000]
    for data, offset in items:
        expected[offset : offset + len(data)] = data
    assert stored(target) == bytes(expected)


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_memory_is_taken(target: FileTarget, way: Any) -> None:
    m = membuf.Memory(64)
    kept = bytearray(64)
    pages = membuf.LookasideList(64)
    memories = [
        m,
        membuf.Memory.preallocated(kept),
        pages.allocate(),
        bytearray(64),
        memoryview(bytearray(128))[32:96],
        membuf.pool.allocate(64, tag="Test"),
        membuf.MemoryDescriptor.handle(membuf.Memory(100), 10, 64),
        membuf.MemoryDescriptor.buffer(bytearray(64)),
    ]
    assert way(target, "read", [(memory, 256) for memory in memories]) == [64] * len(memories)
    assert bytes(m) == CONTENT[:64] == bytes(kept)
    memories[5].free(tag="Test")


@pytest.mark.parametrize("way", WAYS)
def test_nothing_holds_the_memory_afterwards(target: FileTarget, way: Any) -> None:
    memories = [membuf.Memory(100) for _ in range(40)]
    way(target, "write", [(memory, 100 * i) for i, memory in enumerate(memories)])
    assert {memory.reference_count for memory in memories} == {1}
    growing = bytearray(10)
    way(target, "read", [(growing, 0)])
    growing.extend(b"no export is left")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 300])
def test_any_number_of_transfers_at_once(target: FileTarget, way: Any, count: int) -> None:
    items = [(bytearray(16), 16 * i) for i in range(count)]
    assert way(target, "read", items) == [16] * count
    assert b"".join(memory for memory, _ in items) == CONTENT[: 16 * count]
    statistics = target.statistics()
    assert (statistics.reads, statistics.bytes_read) == (count, 16 * count)
    assert statistics.in_flight == 0


# ---- parts and vectors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, 100), (0, 0, 100), (40, None, 60), (40, 0, 60), (40, 60, 60), (40, 7, 7)],
)
def test_a_part_of_the_memory(
    target: FileTarget, offset: int, length: int | None, expected: int
) -> None:
    memory = membuf.Memory(100, zero=True)
    assert target.read(memory, 0, memory_offset=offset, memory_length=length) == expected
    assert bytes(memory) == bytes(offset) + CONTENT[:expected] + bytes(100 - offset - expected)


@pytest.mark.parametrize(
    ("offset", "length", "error"),
    [
        (40, 61, membuf.IntegerOverflowError),
        (101, None, membuf.IntegerOverflowError),
        (0, 101, membuf.IntegerOverflowError),
        (2**63, 2**63, membuf.IntegerOverflowError),
        (2**64, None, membuf.IntegerOverflowError),
        (-1, None, membuf.InvalidParameterError),
        (0, -1, membuf.InvalidParameterError),
        (2.7, None, TypeError),
        (True, None, TypeError),
        (0, 2.7, TypeError),
        ("1", None, TypeError),
    ],
)
def test_a_part_outside_the_memory_is_refused(
    target: FileTarget, offset: Any, length: Any, error: type[Exception]
) -> None:
    memory = membuf.Memory(100)
    with pytest.raises(error):
        target.read(memory, 0, memory_offset=offset, memory_length=length)
    with pytest.raises(error):
        asyncio.run(read_part(target, memory, offset, length))
    with pytest.raises(error):
        request = membuf.request.Request(target)
        request.format_read(memory, 0, memory_offset=offset, memory_length=length)
    assert memory.reference_count == 1
    assert target.statistics().reads == 0


async def read_part(target: FileTarget, memory: Any, offset: Any, length: Any) -> int:
    return await target.read_async(memory, 0, memory_offset=offset, memory_length=length)


@pytest.mark.parametrize(
    ("offset", "error"),
    [
        (-1, membuf.InvalidParameterError),
        (2**63, membuf.IntegerOverflowError),
        (2**63 - 1, membuf.IntegerOverflowError),
        (2**64, membuf.IntegerOverflowError),
        (2.0, TypeError),
        (True, TypeError),
        (b"0", TypeError),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_an_impossible_offset_is_refused(
    target: FileTarget, way: Any, offset: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        way(target, "read", [(bytearray(10), offset)])
    with pytest.raises(error):
        way(target, "write", [(bytearray(10), 0), (bytearray(10), offset)][-1:])
    assert stored(target) == CONTENT


@pytest.mark.parametrize("memory", [b"read-only", memoryview(b"read-only"), None, 7, "text", []])
def test_what_is_no_writable_memory_is_refused(target: FileTarget, memory: Any) -> None:
    if memory == []:
        assert target.read(memory, 0) == 0
        return
    with pytest.raises(TypeError):
        target.read(memory, 0)
    with pytest.raises(TypeError):
        target.read_many([(bytearray(4), 0), (memory, 0)])
    assert target.statistics().reads == 0


def test_strided_memory_is_refused(target: FileTarget) -> None:
    with pytest.raises(TypeError, match="contiguous"):
        target.read(memoryview(bytearray(100))[::2], 0)


def test_several_memories_make_one_vectored_transfer(target: FileTarget) -> None:
    memories = [membuf.Memory(size) for size in (3, 1000, 1)]
    assert target.read(memories, 50) == 1004
    assert b"".join(map(bytes, memories)) == CONTENT[50:1054]
    assert asyncio.run(write_vectors(target, [b"ab", b"", b"cde"])) == 5
    assert stored(target)[:6] == b"abcde" + CONTENT[5:6]
    assert [memory.reference_count for memory in memories] == [1, 1, 1]


async def write_vectors(target: FileTarget, memories: list[bytes]) -> int:
    return await target.write_async(memories, 0)


def test_more_vectors_than_the_system_takes_at_once(target: FileTarget) -> None:
    memories = [bytearray(3) for _ in range(3000)]
    assert target.read(memories, 1) == 9000
    assert b"".join(memories) == CONTENT[1:9001]
    assert asyncio.run(target_read(target, memories)) == 9000
    assert b"".join(memories) == CONTENT[:9000]


async def target_read(target: FileTarget, memory: Any) -> int:
    return await target.read_async(memory)


# ---- errors -------------------------------------------------------------------------------------


@pytest.fixture
def no_longer_than_1000(tmp_path: Path) -> Iterator[None]:
    """The system takes no write past byte 1000 of a file."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("way", [synchronously, with_timeout, asynchronously, by_requests])
@pytest.mark.usefixtures("no_longer_than_1000")
def test_a_write_that_fails_half_way_says_how_far_it_came(
    tmp_path: Path, engine: str, way: Any
) -> None:
    with open_target(f"file:{tmp_path / 'new'}", create=True, engine=engine) as target:
        memory = membuf.Memory(800)
        with pytest.raises(OSError, match=r"800 bytes at offset 600 .*after 400 bytes") as caught:
            way(target, "write", [(memory, 600)])
        error = caught.value
        assert isinstance(error, membuf.MembufError)
        assert (error.errno, error.offset, error.done) == (errno.EFBIG, 600, 400)
        assert memory.reference_count == 1
        assert target.statistics().errors == 1
        assert target.size == 1000


@pytest.mark.usefixtures("no_longer_than_1000")
def test_a_batch_ends_whole_before_its_errors_are_raised(tmp_path: Path, engine: str) -> None:
    with open_target(f"file:{tmp_path / 'new'}", create=True, engine=engine) as target:
        with pytest.raises(ExceptionGroup) as caught:
            target.write_many([(bytes([i]) * 100, 300 * i) for i in range(6)])
        assert [error.offset for error in caught.value.exceptions] == [1200, 1500]
        assert target.size == 1000
        assert stored(target)[900:] == b"\3" * 100


@pytest.mark.parametrize("way", WAYS)
def test_a_target_opened_for_reading_takes_no_writes(tmp_path: Path, engine: str, way: Any) -> None:
    (tmp_path / "image").write_bytes(CONTENT)
    with open_target(f"file:{tmp_path / 'image'}", access="read", engine=engine) as target:
        with pytest.raises((OSError, ExceptionGroup)) as caught:
            way(target, "write", [(b"x", 0)])
        error = caught.value
        first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        assert first.errno == errno.EBADF


def test_flush_goes_to_the_system(target: FileTarget) -> None:
    target.write(b"x", 0)
    target.flush()
    target.flush(data_only=True)
    assert target.statistics().flushes == 2
    with open_target("file:/dev/null", access="write") as sink:
        with pytest.raises(OSError, match="flush of /dev/null") as caught:
            sink.flush()
        assert caught.value.errno == errno.EINVAL

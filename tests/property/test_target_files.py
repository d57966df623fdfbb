"""Random transfers through a target do what plain system calls do on a file of their own."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import membuf
from membuf.bus import FileTarget, open_target
from membuf.request import Request
from tests.engines import ENGINES

SIZE = 1 << 16
offsets = st.integers(0, SIZE + 100)
sizes = st.one_of(st.integers(0, 300), st.integers(0, 20000))
writes = st.tuples(st.just("write"), offsets, sizes, st.integers(0, 255))
reads = st.tuples(st.just("read"), offsets, sizes, st.just(0))
steps = st.lists(st.one_of(writes, reads), max_size=12)
ways = st.sampled_from(["call", "timed", "future", "notice", "many", "vectors", "request"])


class Twin:
    """The same file twice: one behind a target, one behind plain system calls."""

    def __init__(self, folder: Path, engine: str) -> None:
        content = os.urandom(SIZE)
        for name in ("target", "plain"):
            (folder / name).write_bytes(content)
        self.target: FileTarget = open_target(f"file:{folder / 'target'}", engine=engine)
        self.fd = os.open(folder / "plain", os.O_RDWR)

    def close(self) -> None:
        self.target.close()
        os.close(self.fd)

    def contents(self) -> tuple[bytes, bytes]:
        """What is in both files now."""
        length = max(os.fstat(self.fd).st_size, self.target.size)
        return os.pread(self.target.fileno(), length + 1, 0), os.pread(self.fd, length + 1, 0)


@pytest.mark.parametrize("engine", ENGINES)
@given(steps=st.lists(st.tuples(ways, steps), max_size=6))
def test_transfers_do_what_system_calls_do(
    engine: str, steps: list[tuple[str, list[tuple[str, int, int, int]]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twin = Twin(Path(folder), engine)
        for way, group in steps:
            for kind in ("write", "read"):
                items = disjoint([item for item in group if item[0] == kind])
                memories = [filled(size, fill) for _, _, size, fill in items]
                counts = transfer(twin.target, way, kind, memories, items)
                for (_, offset, size, fill), memory, count in zip(
                    items, memories, counts, strict=True
                ):
                    expected = filled(size, fill)
                    call = os.preadv if kind == "read" else os.pwritev
                    assert count == call(twin.fd, [expected], offset)
                    assert bytes(memory) == bytes(expected)
                    assert memory.reference_count == 1
        mine, plain = twin.contents()
        twin.close()
        assert mine == plain


def disjoint(items: list[tuple[str, int, int, int]]) -> list[tuple[str, int, int, int]]:
    """Those that do not overlap an earlier one: in what order a batch runs is nobody's business.

    A write past the end makes the end that others read, so that there is at most one of them.
    """
    kept: list[tuple[str, int, int, int]] = []
    end = 0
    for item in sorted(items, key=lambda item: item[1]):
        if item[1] >= end:
            kept.append(item)
            end = item[1] + max(item[2], 1)
    return kept


def filled(size: int, fill: int) -> membuf.Memory:
    """A memory object of that size; 0 bytes cannot be had, so that 1 byte stands for them."""
    memory = membuf.Memory(max(size, 1))
    memory.copy_from(bytes([fill]) * max(size, 1))
    return memory


def transfer(
    target: FileTarget, way: str, kind: str, memories: list[Any], items: list[Any]
) -> list[int]:
    """Move the items in one of the ways a target offers."""
    pairs = [(memory, item[1]) for memory, item in zip(memories, items, strict=True)]
    call = getattr(target, kind)
    if way == "call":
        return [call(memory, offset) for memory, offset in pairs]
    if way == "timed":
        return [call(memory, offset, timeout=60) for memory, offset in pairs]
    if way == "vectors":
        return [call([memory], offset) for memory, offset in pairs]
    if way == "many":
        return getattr(target, f"{kind}_many")(pairs)
    if way == "request":
        return [by_request(target, kind, memory, offset) for memory, offset in pairs]
    return asyncio.run(on_a_loop(target, way, kind, pairs))


def by_request(target: FileTarget, kind: str, memory: Any, offset: int) -> int:
    with Request(target) as request:
        getattr(request, f"format_{kind}")(memory, offset)
        request.send(synchronous=True)
        return request.result()


async def on_a_loop(
    target: FileTarget, way: str, kind: str, pairs: list[tuple[Any, int]]
) -> list[int]:
    if way == "future":
        start = getattr(target, f"{kind}_async")
        return list(await asyncio.gather(*(start(memory, offset) for memory, offset in pairs)))
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in pairs]

    def told(index: int) -> Any:
        def on_complete(memory: Any, count: int, error: Any) -> None:
            assert memory is pairs[index][0]
            ends[index].set_exception(error) if error else ends[index].set_result(count)

        return on_complete

    for index, (memory, offset) in enumerate(pairs):
        getattr(target, f"{kind}_nowait")(memory, offset, told(index))
    return [await end for end in ends]

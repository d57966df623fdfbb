"""The memory of one trip: parts, runs of zeros, checksums, and its way back to the list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import membuf
from membuf.cli.copying.load import Load, Run

BLOCK = 8192
GRAIN = 4096


@pytest.fixture
def blocks() -> Iterator[membuf.LookasideList]:
    with membuf.Domain(on_leak="raise") as domain:
        yield membuf.LookasideList(BLOCK, tag="Test", parent=domain)


def filled(blocks: membuf.LookasideList, data: bytes) -> Load:
    """A load that carries `data`."""
    load = Load(blocks, 0, len(data))
    for start in range(0, len(data), BLOCK):
        part = data[start : start + BLOCK]
        (memory,), keywords = load.part(start, len(part))
        memory.copy_from(part, keywords["memory_offset"])
    return load


def test_memory_goes_back_at_the_end(blocks: membuf.LookasideList) -> None:
    with Load(blocks, 0, 3 * BLOCK):
        assert blocks.statistics().outstanding == 3
    assert blocks.statistics().outstanding == 0


def test_a_load_that_cannot_be_had_in_full_gives_back_what_it_has() -> None:
    with membuf.Domain(limit=2 * BLOCK, on_leak="raise") as domain:
        blocks = membuf.LookasideList(BLOCK, parent=domain)
        with pytest.raises(membuf.InsufficientResourcesError):
            Load(blocks, 0, 3 * BLOCK)
        assert blocks.statistics().outstanding == 0


def test_parts_are_whole_blocks_or_inside_one(blocks: membuf.LookasideList) -> None:
    with Load(blocks, 0, 3 * BLOCK) as load:
        several, _ = load.part(BLOCK, 2 * BLOCK)
        assert len(several) == 2
        one, inside = load.part(BLOCK + 100, 200)
        assert one == several[:1]
        assert inside == {"memory_offset": 100, "memory_length": 200}
        assert load.placed(several, 7) == [(several[0], 7), (several[1], 7 + BLOCK)]


@given(st.lists(st.sampled_from([b"\0", b"\1"]), min_size=1, max_size=8), st.integers(0, GRAIN - 1))
def test_runs_tell_zeros_from_other_bytes(grains: list[bytes], short: int) -> None:
    data = b"".join(grain * GRAIN for grain in grains)
    data = data[: len(data) - short]
    with membuf.Domain(on_leak="raise") as domain:
        blocks = membuf.LookasideList(BLOCK, parent=domain)
        with filled(blocks, data) as load:
            runs = load.runs(GRAIN)
    assert [run.start for run in runs] == [0, *(run.start + run.length for run in runs[:-1])]
    assert sum(run.length for run in runs) == len(data)
    for start, length, zero in runs:
        assert set(data[start : start + length]) == ({0} if zero else {1})
        inside = start // BLOCK == (start + length - 1) // BLOCK
        assert zero or inside or (start % BLOCK == 0 and length % BLOCK == 0)


def test_runs_of_zeros_and_of_whole_blocks_join(blocks: membuf.LookasideList) -> None:
    with filled(blocks, bytes(3 * BLOCK)) as load:
        assert load.runs(GRAIN) == [Run(0, 3 * BLOCK, zero=True)]
    with filled(blocks, b"x" * (3 * BLOCK)) as load:
        assert load.runs(GRAIN) == [Run(0, 3 * BLOCK, zero=False)]


def test_one_byte_makes_a_grain_data(blocks: membuf.LookasideList) -> None:
    data = bytearray(BLOCK)
    data[GRAIN - 1] = 1
    with filled(blocks, bytes(data)) as load:
        assert load.runs(GRAIN) == [Run(0, GRAIN, zero=False), Run(GRAIN, GRAIN, zero=True)]


@given(st.binary(min_size=1, max_size=3 * BLOCK))
def test_the_checksum_is_that_of_the_bytes(data: bytes) -> None:
    with membuf.Domain(on_leak="raise") as domain:
        blocks = membuf.LookasideList(BLOCK, parent=domain)
        with filled(blocks, data) as load:
            assert load.digest() == hashlib.sha256(data).digest()


def test_a_part_can_be_copied_out(blocks: membuf.LookasideList) -> None:
    data = bytes(range(256)) * 64
    with filled(blocks, data) as load:
        assert load.copy_of(BLOCK + 10, 20) == data[BLOCK + 10 : BLOCK + 30]

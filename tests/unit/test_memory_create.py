"""Creating memory objects: sizes, alignments, pools, tags, and everything that is refused."""

from __future__ import annotations

import numpy as np
import pytest

import membuf
from tests.support import Recorder, figures

PAGE = 4096
NOT_SIZES = [2.7, 64.0, True, False, None, "64", b"64", np.float64(64), np.bool_(True), [64]]


def held() -> tuple[int, int, int]:
    """What the domain's users have, and what counts against its limit."""
    figures = membuf.pool.statistics()
    return figures.allocations, figures.bytes, figures.charged_bytes


@pytest.mark.parametrize("pool", [membuf.PAGED, membuf.NONPAGED])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 100, 4095, 4096, 4097, 10_000, 3 << 20])
def test_size_is_exact_and_address_aligned(size: int, pool: membuf.pool.PoolType) -> None:
    with membuf.Memory(size, pool=pool) as memory:
        assert (memory.size, len(memory), memory.buffer.nbytes) == (size, size, size)
        assert memory.address % (PAGE if size >= PAGE else 16) == 0
        assert memory.pool == pool


@pytest.mark.parametrize("size", [1, 15, 16, 100, 2048, 4095])
def test_small_blocks_lie_inside_one_page(size: int) -> None:
    root = membuf.Object()
    for _ in range(300):
        address = membuf.Memory(size, parent=root).address
        assert address // PAGE == (address + size - 1) // PAGE
    root.delete()


@pytest.mark.parametrize("alignment", [1 << exponent for exponent in range(23)])
@pytest.mark.parametrize("size", [1, 100, 5000])
def test_any_power_of_two_alignment_is_honoured(size: int, alignment: int) -> None:
    with membuf.Memory(size, alignment=alignment) as memory:
        assert memory.address % alignment == 0
        assert memory.size == size
        memory.copy_from(b"\xff" * size)


@pytest.mark.parametrize("wrong", [0, 3, -1, -16, 24, 2**64 + 1])
def test_alignment_must_be_a_power_of_two(wrong: int) -> None:
    with pytest.raises(membuf.MembufError, match="alignment"):
        membuf.Memory(64, alignment=wrong)


@pytest.mark.parametrize("huge", [2**48, 2**62, 2**63, 2**64])
def test_an_alignment_nobody_can_give_is_refused(huge: int) -> None:
    with pytest.raises(membuf.MembufError):
        membuf.Memory(64, alignment=huge)


@pytest.mark.parametrize("wrong", [wrong for wrong in NOT_SIZES if wrong is not None])
def test_alignment_must_be_an_integer(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.Memory(64, alignment=wrong)


@pytest.mark.parametrize("wrong", NOT_SIZES)
@pytest.mark.parametrize(
    "make",
    [membuf.Memory, membuf.LookasideList, membuf.pool.allocate],
    ids=["Memory", "LookasideList", "allocate"],
)
def test_a_size_must_be_an_integer(make: object, wrong: object) -> None:
    with pytest.raises(TypeError):
        make(wrong)


@pytest.mark.parametrize(
    "size", [np.int8(64), np.uint64(64), np.int64(64), np.array(64)], ids=lambda size: size.dtype
)
def test_numpy_integers_are_sizes(size: object) -> None:
    with membuf.Memory(size) as memory, membuf.LookasideList(size) as pages:
        assert memory.size == pages.size == 64
    with membuf.Memory(64, alignment=size) as memory:
        assert memory.address % 64 == 0


def test_anything_with_index_is_a_size() -> None:
    class Pages:
        def __index__(self) -> int:
            return 2 * PAGE

    with membuf.Memory(Pages()) as memory:
        assert memory.size == 2 * PAGE


def test_an_index_that_raises_is_heard() -> None:
    class Broken:
        def __index__(self) -> int:
            raise KeyError("planted")

    with pytest.raises(KeyError, match="planted"):
        membuf.Memory(Broken())


@pytest.mark.parametrize("size", [0, -1, -(2**63), -(2**70)])
def test_no_size_below_one(size: int) -> None:
    with pytest.raises(membuf.InvalidParameterError) as caught:
        membuf.Memory(size)
    assert isinstance(caught.value, ValueError)
    assert int(caught.value.status) == 0xC000000D


@pytest.mark.parametrize("size", [2**47, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_more_than_the_machine_has(size: int) -> None:
    before = held()
    with pytest.raises(membuf.InsufficientResourcesError) as caught:
        membuf.Memory(size)
    assert isinstance(caught.value, MemoryError)
    assert int(caught.value.status) == 0xC000009A
    assert held() == before


@pytest.mark.parametrize("size", [2**64, 2**65, 2**200])
def test_more_than_an_address_can_say(size: int) -> None:
    with pytest.raises(membuf.MembufError):
        membuf.Memory(size)


def test_zero_clears_recycled_bytes() -> None:
    for size in (64, 5000):
        for _ in range(3):
            with membuf.Memory(size, zero=True) as memory:
                assert memory.buffer == bytes(size)
                memory.copy_from(b"\xff" * size)


def test_the_tag_is_charged_and_credited() -> None:
    before = figures("Crea")
    with membuf.Memory(100, tag="Crea") as memory:
        assert memory.tag == "Crea"
        assert figures("Crea") == (before[0] + 1, before[1], before[2] + 100)
    assert figures("Crea") == (before[0] + 1, before[1] + 1, before[2])


def test_the_block_is_freed_after_destroy_callbacks() -> None:
    seen: list[int] = []
    memory = membuf.Memory(100, tag="Late", on_destroy=lambda _: seen.append(figures("Late")[2]))
    memory.delete()
    assert seen == [100]
    assert figures("Late")[2] == 0


def test_source_pool_and_readonly() -> None:
    with membuf.Memory(64) as memory:
        assert memory.source == "pool"
        assert memory.pool == membuf.NONPAGED
        assert memory.readonly is False


@pytest.mark.parametrize("tag", ["Fred", b"Fred", 0x64657246])
def test_a_tag_is_text_bytes_or_a_number(tag: str | bytes | int) -> None:
    with membuf.Memory(64, tag=tag) as memory:
        assert memory.tag == "Fred"


@pytest.mark.parametrize("tag", ["I", "Io", "Abc", "a~b ", " 1"])
def test_short_tags_stay_as_they_are_shown(tag: str) -> None:
    with membuf.Memory(64, tag=tag) as memory:
        assert memory.tag.ljust(4) == tag.ljust(4)
        assert figures(memory.tag)[2] == 64


@pytest.mark.parametrize("tag", ["", "Fives", b"\x1fabc", "ab\x7f", "naïv", -1, 2**32, "BIG"])
def test_bad_tags_are_refused(tag: str | bytes | int) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="tag"):
        membuf.Memory(64, tag=tag)


@pytest.mark.parametrize("tag", ["~!~!", "    ", b"...."])
def test_a_tag_needs_a_letter_or_digit(tag: str | bytes) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="tag"):
        membuf.Memory(64, tag=tag)


@pytest.mark.parametrize("tag", [2.7, True, [], ("F",)])
def test_a_tag_is_nothing_else(tag: object) -> None:
    with pytest.raises(TypeError, match="tag"):
        membuf.Memory(64, tag=tag)


@pytest.mark.parametrize("pool", [0, 2, 3, 6, 32, 64, -1, 2**40])
def test_unknown_pools_are_refused(pool: int) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="pool"):
        membuf.Memory(64, pool=pool)


@pytest.mark.parametrize("pool", [1.0, "PAGED", True])
def test_a_pool_is_an_integer(pool: object) -> None:
    with pytest.raises(TypeError, match="pool"):
        membuf.Memory(64, pool=pool)


def test_pool_types_are_named() -> None:
    assert (membuf.PAGED, membuf.NONPAGED) == (1, 512)
    assert isinstance(membuf.PAGED, membuf.pool.PoolType)


def test_a_refused_create_leaves_no_trace() -> None:
    recorder = Recorder()
    before = held()
    parent = membuf.Object()
    for arguments in (
        {"size": 0},
        {"size": 2**62},
        {"size": 64, "alignment": 3},
        {"size": 64, "tag": "too long"},
        {"size": 64, "pool": 3},
    ):
        with pytest.raises(membuf.MembufError):
            membuf.Memory(**arguments, parent=parent, **recorder.hooks("never"))
    assert parent.children == ()
    assert held() == before
    parent.delete()
    assert recorder.log == []


def test_repr_shows_size_tag_owner_and_state() -> None:
    root = membuf.Object("capture")
    memory = membuf.Memory(65536, tag="Capt", parent=root, name="frame")
    for part in ("65536", "Capt", "capture", "frame"):
        assert part in repr(memory)
    root.delete()
    assert "deleted" in repr(memory)


def test_site_names_the_line_that_allocated() -> None:
    with membuf.Memory(64) as memory:
        assert memory.site is not None
        assert "test_memory_create.py" in memory.site


def test_gone_memory_refuses_every_call() -> None:
    memory = membuf.Memory(64, name="frame")
    memory.delete()
    for call in (
        lambda: memory.size,
        lambda: memory.address,
        lambda: memory.buffer,
        lambda: memory.readonly,
        lambda: memory.copy_from(b"x"),
        lambda: memory.copy_to(bytearray(1)),
        memory.__dlpack__,
        memory.delete,
    ):
        with pytest.raises(membuf.ObjectDeletedError, match="frame"):
            call()


def test_deleted_but_referenced_memory_still_works() -> None:
    memory = membuf.Memory(64)
    memory.reference()
    memory.delete()
    memory.copy_from(b"works")
    assert bytes(memory.buffer[:5]) == b"works"
    assert memory.size == 64
    memory.dereference()

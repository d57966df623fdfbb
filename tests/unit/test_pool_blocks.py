"""Blocks for local use: allocate, use as a buffer, free once, with the right tag."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest

import membuf
from tests.support import figures

PAGE = 4096


def test_a_block_is_a_buffer() -> None:
    block = membuf.pool.allocate(1024, tag="Locl", pool=membuf.PAGED, zero=True)
    assert (block.size, len(block), block.tag, block.pool) == (1024, 1024, "Locl", membuf.PAGED)
    assert memoryview(block) == bytes(1024)
    block[0] = 7
    block[1:4] = b"abc"
    assert (block[0], bytes(block[1:4])) == (7, b"abc")
    array = np.frombuffer(block, np.uint8)
    assert array.ctypes.data == block.address
    del array
    assert not block.freed
    membuf.pool.free(block, tag="Locl")
    assert block.freed


def test_defaults_are_nonpaged_and_the_domains_tag() -> None:
    with membuf.Domain(tag="Home"):
        block = membuf.pool.allocate(64)
        assert (block.tag, block.pool) == ("Home", membuf.NONPAGED)
        block.free()


def test_free_without_a_tag_checks_none() -> None:
    block = membuf.pool.allocate(64, tag="Mine")
    membuf.pool.free(block)
    assert block.freed
    block = membuf.pool.allocate(64, tag="Mine")
    block.free()
    assert figures("Mine")[2] == 0


@pytest.mark.parametrize("free", ["pool.free", "block.free"])
def test_a_wrong_tag_frees_nothing(free: str) -> None:
    block = membuf.pool.allocate(64, tag="Mine")
    block[:4] = b"kept"
    with pytest.raises(membuf.MembufError) as caught:
        if free == "pool.free":
            membuf.pool.free(block, tag="Your")
        else:
            block.free(tag="Your")
    assert caught.value.bugcheck is not None
    assert caught.value.bugcheck[:2] == (0xC2, 0x0A)
    for part in ("Mine", "Your"):
        assert part in str(caught.value)
    assert not block.freed
    assert bytes(block[:4]) == b"kept"
    block.free(tag="Mine")


def test_a_block_is_freed_once() -> None:
    block = membuf.pool.allocate(64, tag="Once")
    block.free()
    before = figures("Once")
    for call in (block.free, lambda: membuf.pool.free(block), lambda: block.free(tag="Once")):
        with pytest.raises(membuf.MembufError) as caught:
            call()
        assert caught.value.bugcheck is not None
        assert caught.value.bugcheck[:2] == (0xC2, 0x07)
    assert figures("Once") == before


def test_double_free_does_not_touch_the_blocks_next_owner() -> None:
    block = membuf.pool.allocate(64, tag="Frst")
    address = block.address
    block.free()
    others = [membuf.pool.allocate(64, tag="Scnd") for _ in range(100)]
    assert address in {other.address for other in others}
    with pytest.raises(membuf.MembufError):
        block.free()
    assert figures("Scnd")[2] == 6400
    for other in others:
        other.free(tag="Scnd")


def test_a_freed_block_shows_nothing() -> None:
    block = membuf.pool.allocate(64)
    block.free()
    for call in (
        lambda: block[0],
        lambda: block[0:2],
        lambda: block.__setitem__(0, 1),
        lambda: memoryview(block),
    ):
        with pytest.raises((membuf.MembufError, BufferError)):
            call()


def test_a_view_keeps_the_bytes_of_a_freed_block() -> None:
    block = membuf.pool.allocate(64, tag="View")
    block[:8] = b"survivor"
    view = memoryview(block)
    block.free()
    assert figures("View")[2] == 0
    others = [membuf.pool.allocate(64) for _ in range(200)]
    for other in others:
        other[:] = b"\xff" * 64
    assert bytes(view[:8]) == b"survivor"
    view.release()
    for other in others:
        other.free()


@pytest.mark.parametrize("index", [64, -65, 2**63, -(2**70)])
def test_indexes_have_bounds(index: int) -> None:
    block = membuf.pool.allocate(64)
    with pytest.raises(IndexError):
        block[index]
    with pytest.raises(IndexError):
        block[index] = 1
    block.free()


def test_slices_follow_memoryview() -> None:
    block = membuf.pool.allocate(64)
    block[:] = bytes(range(64))
    model = memoryview(bytes(range(64)))
    for part in (slice(None), slice(3, 9), slice(-5, None), slice(60, 600), slice(9, 3)):
        assert bytes(block[part]) == bytes(model[part])
    assert block[-1] == 63
    with pytest.raises((ValueError, membuf.MembufError)):
        block[0:4] = b"too long"
    with pytest.raises((ValueError, TypeError)):
        block[0] = 256
    assert bytes(block[:]) == bytes(range(64))
    block.free()


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", bytearray(8), object()])
def test_only_blocks_are_freed(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.pool.free(wrong)


@pytest.mark.parametrize("size", [0, -1])
def test_no_empty_blocks(size: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.pool.allocate(size)


@pytest.mark.parametrize("size", [2**62, 2**63, 2**64 - 1])
def test_more_than_the_machine_has(size: int) -> None:
    with pytest.raises(membuf.InsufficientResourcesError):
        membuf.pool.allocate(size)


def test_zero_clears_every_byte_of_a_recycled_block() -> None:
    for size in (1, 64, PAGE, PAGE + 1, 3 << 20):
        block = membuf.pool.allocate(size)
        memoryview(block)[:] = b"\xff" * size
        block.free()
        block = membuf.pool.allocate(size, zero=True)
        assert memoryview(block) == bytes(size)
        block.free()


def test_a_dropped_block_is_freed_with_a_warning() -> None:
    block = membuf.pool.allocate(64, tag="Drop")
    with pytest.warns(ResourceWarning, match="Drop"):
        del block
    assert figures("Drop")[2] == 0


def test_a_dropped_block_is_freed_when_warnings_are_off() -> None:
    block = membuf.pool.allocate(64, tag="Drop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del block
        gc.collect()
    assert figures("Drop")[2] == 0


def test_a_dropped_but_viewed_block_lives_with_its_view() -> None:
    block = membuf.pool.allocate(8, tag="Drop")
    block[:] = b"survivor"
    view = memoryview(block)
    del block
    assert bytes(view) == b"survivor"
    with pytest.warns(ResourceWarning, match="Drop"):
        view.release()
    assert figures("Drop")[2] == 0


def test_blocks_do_not_share_bytes() -> None:
    blocks = [membuf.pool.allocate(size) for size in range(1, 600, 7)]
    for number, block in enumerate(blocks):
        memoryview(block)[:] = bytes([number]) * len(block)
    for number, block in enumerate(blocks):
        assert memoryview(block) == bytes([number]) * len(block)
        block.free()


def test_repr_shows_size_tag_and_state() -> None:
    block = membuf.pool.allocate(1024, tag="Locl")
    assert "1024" in repr(block)
    assert "Locl" in repr(block)
    block.free()
    assert "freed" in repr(block)


def test_a_block_is_not_made_by_its_type() -> None:
    with pytest.raises(TypeError):
        membuf.pool.Block()


def test_site_names_the_line_that_allocated() -> None:
    block = membuf.pool.allocate(64)
    assert "test_pool_blocks.py" in str(block.site)
    block.free()

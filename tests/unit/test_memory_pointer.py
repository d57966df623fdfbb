"""Pointers to bytes: exporters that hold what they point to only while a view is open."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import membuf
from membuf._native import Pointer
from tests.support import Recorder, figures


def test_it_shows_the_exporters_bytes() -> None:
    with membuf.Memory(64) as memory:
        pointer = Pointer(memory)
        assert (pointer.address, pointer.size, len(pointer)) == (memory.address, 64, 64)
        pointer[0:4] = b"abcd"
        pointer[4] = 101
        assert bytes(memory.buffer[:5]) == b"abcde"
        assert pointer[0] == 97
        assert np.frombuffer(pointer, np.uint8).ctypes.data == memory.address


def test_it_makes_no_stale_view() -> None:
    before = membuf.pool.statistics().stale_events
    memory = membuf.Memory(64, tag="Pntr")
    pointer = Pointer(memory)
    pointer[0] = 1
    memory.delete()
    assert membuf.pool.statistics().stale_events == before
    assert figures("Pntr")[2] == 0
    with pytest.raises((BufferError, membuf.ObjectDeletedError)):
        memoryview(pointer)
    with pytest.raises((BufferError, membuf.ObjectDeletedError)):
        pointer[0]


def test_a_view_of_it_holds_the_bytes() -> None:
    memory = membuf.Memory(64)
    memory.copy_from(b"survivor")
    view = memoryview(Pointer(memory))
    memory.delete()
    others = [membuf.Memory(64) for _ in range(100)]
    for other in others:
        other.copy_from(b"\xff" * 64)
    assert bytes(view[:8]) == b"survivor"


def test_it_follows_assign_buffer() -> None:
    memory = membuf.Memory.preallocated(bytearray(b"first"))
    pointer = Pointer(memory)
    memory.assign_buffer(bytearray(b"the second"))
    assert (pointer.size, bytes(pointer[:])) == (10, b"the second")


def test_a_pointer_to_a_pointer_is_one() -> None:
    memory = membuf.Memory(64)
    pointer = Pointer(Pointer(Pointer(memory)))
    assert pointer.address == memory.address
    memory.delete()
    with pytest.raises((BufferError, membuf.ObjectDeletedError)):
        memoryview(pointer)


def test_read_only_stays_read_only() -> None:
    pointer = Pointer(b"constant")
    assert bytes(pointer[:]) == b"constant"
    with pytest.raises(TypeError):
        pointer[0] = 1


@pytest.mark.parametrize("index", [8, -9, 2**64])
def test_indexes_have_bounds(index: int) -> None:
    with pytest.raises(IndexError):
        Pointer(bytearray(8))[index]


@pytest.mark.parametrize("wrong", [None, 3, "text", object()])
def test_only_exporters_are_pointed_to(wrong: object) -> None:
    with pytest.raises(TypeError):
        Pointer(wrong)


def test_cycles_through_what_it_points_to_are_collected() -> None:
    recorder = Recorder()
    memory = membuf.Memory(64, **recorder.hooks("M"))
    memory.context["pointer"] = Pointer(memory)
    del memory
    gc.collect()
    assert recorder.text == "c:M d:M"

"""Memory over the caller's own buffer."""

from __future__ import annotations

import gc
import mmap
import weakref
from array import array

import numpy as np
import pytest

import membuf
from tests.support import Recorder


def test_it_shares_the_callers_bytes() -> None:
    backing = bytearray(b"0123456789")
    with membuf.Memory.preallocated(backing) as memory:
        assert (memory.size, memory.source, memory.readonly) == (10, "preallocated", False)
        assert memory.pool is None
        memory.copy_from(b"XY", 2)
        assert backing == b"01XY456789"
        backing[0] = ord("Z")
        assert bytes(memory.buffer[:1]) == b"Z"
    assert backing == b"Z1XY456789"


@pytest.mark.parametrize(
    "backing",
    [
        bytearray(16),
        array("I", [0] * 4),
        np.zeros(4, np.float32),
        memoryview(bytearray(20))[2:18],
        mmap.mmap(-1, 16),
    ],
    ids=["bytearray", "array", "numpy", "memoryview", "mmap"],
)
def test_any_writable_exporter_backs_memory(backing: object) -> None:
    with membuf.Memory.preallocated(backing) as memory:
        assert memory.size == 16
        memory.copy_from(b"\x01" * 16)
    assert memoryview(backing).cast("B").tobytes() == b"\x01" * 16


def test_memory_over_memory_pins_it() -> None:
    inner = membuf.Memory(64)
    inner.copy_from(b"inner")
    outer = membuf.Memory.preallocated(inner)
    inner.delete()
    assert bytes(outer.buffer[:5]) == b"inner"
    outer.delete()


def test_the_buffer_is_held_as_long_as_the_memory() -> None:
    backing = bytearray(16)
    memory = membuf.Memory.preallocated(backing)
    with pytest.raises(BufferError):
        backing.append(0)
    memory.delete()
    backing.append(0)


def test_views_hold_the_callers_buffer_too() -> None:
    backing = bytearray(16)
    memory = membuf.Memory.preallocated(backing)
    view = memory.buffer
    memory.delete()
    with pytest.raises(BufferError):
        backing.append(0)
    view.release()
    backing.append(0)


def test_assign_buffer_moves_the_memory() -> None:
    first, second = bytearray(b"first"), bytearray(b"the second")
    memory = membuf.Memory.preallocated(first)
    memory.assign_buffer(second)
    assert (memory.size, bytes(memory.buffer)) == (10, b"the second")
    memory.copy_from(b"THE")
    assert (first, second) == (b"first", b"THE second")
    first.append(0)
    memory.delete()
    second.append(0)


def test_assign_buffer_keeps_the_old_one_for_old_views() -> None:
    first, second = bytearray(b"first"), bytearray(b"second")
    memory = membuf.Memory.preallocated(first)
    view = memory.buffer
    memory.assign_buffer(second)
    assert bytes(view) == b"first"
    with pytest.raises(BufferError):
        first.append(0)
    view.release()
    first.append(0)


def test_assign_buffer_can_change_writability() -> None:
    memory = membuf.Memory.preallocated(bytearray(4))
    memory.assign_buffer(b"text")
    assert memory.readonly
    with pytest.raises(membuf.AccessViolationError):
        memory.copy_from(b"x")
    memory.assign_buffer(bytearray(4))
    memory.copy_from(b"x")


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(bytearray(4))[4:]])
def test_an_empty_buffer_is_refused(empty: object) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.Memory.preallocated(empty)
    memory = membuf.Memory.preallocated(backing := bytearray(b"kept"))
    with pytest.raises(membuf.InvalidParameterError):
        memory.assign_buffer(empty)
    assert bytes(memory.buffer) == backing


@pytest.mark.parametrize("wrong", [None, 3, "text", object()])
def test_only_exporters_back_memory(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.Memory.preallocated(wrong)
    memory = membuf.Memory.preallocated(bytearray(b"kept"))
    with pytest.raises(TypeError):
        memory.assign_buffer(wrong)
    assert bytes(memory.buffer) == b"kept"


def test_a_strided_buffer_is_refused() -> None:
    with pytest.raises((BufferError, ValueError)):
        membuf.Memory.preallocated(np.zeros(16, np.uint8)[::2])


def test_only_preallocated_memory_takes_another_buffer() -> None:
    for memory in (membuf.Memory(16), membuf.LookasideList(16).allocate()):
        with pytest.raises(membuf.MembufError) as caught:
            memory.assign_buffer(bytearray(16))
        assert caught.value.bugcheck is not None
        assert caught.value.bugcheck[:2] == (0x10D, 5)
        assert memory.size == 16


def test_assign_buffer_on_gone_memory() -> None:
    memory = membuf.Memory.preallocated(bytearray(4))
    memory.delete()
    backing = bytearray(4)
    with pytest.raises(membuf.ObjectDeletedError):
        memory.assign_buffer(backing)
    backing.append(0)


def test_assigning_its_own_buffer_keeps_it() -> None:
    backing = bytearray(b"same")
    memory = membuf.Memory.preallocated(backing)
    memory.assign_buffer(backing)
    memory.assign_buffer(memory.buffer)
    assert bytes(memory.buffer) == b"same"
    memory.delete()


def test_address_is_the_callers() -> None:
    backing = np.zeros(64, np.uint8)
    with membuf.Memory.preallocated(backing) as memory:
        assert memory.address == backing.ctypes.data


def test_parents_and_callbacks_work_as_for_any_object() -> None:
    recorder = Recorder()
    root = membuf.Object(**recorder.hooks("R"))
    backing = bytearray(4)
    membuf.Memory.preallocated(backing, parent=root, **recorder.hooks("M"))
    root.delete()
    assert recorder.text == "c:M c:R d:M d:R"
    backing.append(0)


def test_a_cycle_through_the_callers_buffer_is_collected() -> None:
    class Backing(bytearray):
        pass

    recorder = Recorder()
    backing = Backing(16)
    watch = weakref.ref(backing)
    backing.memory = membuf.Memory.preallocated(backing, **recorder.hooks("M"))
    del backing
    gc.collect()
    assert watch() is None
    assert recorder.text == "c:M d:M"

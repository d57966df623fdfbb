"""Views keep the bytes, never the object; nobody's view ever shows somebody else's bytes."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import membuf
from tests.support import Recorder, figures


@pytest.mark.parametrize(
    "view_of",
    [memoryview, lambda memory: memory.buffer, lambda memory: np.frombuffer(memory, np.uint8)],
    ids=["memoryview", "buffer", "numpy"],
)
def test_a_view_reads_and_writes_the_memory(view_of: object) -> None:
    with membuf.Memory(64) as memory:
        view = view_of(memory)
        view[3] = 7
        memory.copy_to(destination := bytearray(1), 3)
        assert destination == b"\x07"
        memory.copy_from(b"\x08", 3)
        assert view[3] == 8
        del view


def test_the_shape_of_a_view() -> None:
    with membuf.Memory(100) as memory:
        view = memory.buffer
        assert (view.format, view.itemsize, view.shape) == ("B", 1, (100,))
        assert view.contiguous
        assert not view.readonly
        view.release()


def test_a_view_survives_the_object() -> None:
    recorder = Recorder()
    memory = membuf.Memory(64, **recorder.hooks("M"))
    memory.copy_from(b"survivor")
    view = memory.buffer
    memory.delete()
    assert recorder.text == "c:M d:M"
    assert bytes(view[:8]) == b"survivor"
    view[:8] = b"writable"
    assert bytes(view[:8]) == b"writable"


def test_no_new_view_of_a_gone_object() -> None:
    memory = membuf.Memory(64)
    view = memory.buffer
    memory.delete()
    with pytest.raises((BufferError, membuf.ObjectDeletedError)):
        memoryview(memory)
    with pytest.raises(membuf.ObjectDeletedError):
        memory.buffer.release()
    assert len(memoryview(view)) == 64


def test_a_viewed_block_is_not_recycled() -> None:
    stale: list[tuple[memoryview, bytes]] = []
    for number in range(50):
        memory = membuf.Memory(4096, tag="Stal")
        memory.copy_from(mark := bytes([number]) * 4096)
        stale.append((memory.buffer, mark))
        memory.delete()
    others = [membuf.Memory(4096) for _ in range(100)]
    for other in others:
        other.copy_from(b"\xff" * 4096)
    assert all(view == mark for view, mark in stale)


def test_a_viewed_block_leaves_the_accounts_at_once_and_comes_home_later() -> None:
    before = figures("View")
    memory = membuf.Memory(4096, tag="View")
    view = memory.buffer
    memory.delete()
    assert figures("View") == (before[0] + 1, before[1] + 1, before[2])
    view.release()
    assert figures("View") == (before[0] + 1, before[1] + 1, before[2])


def test_a_view_of_deleted_but_referenced_memory_is_no_stale_view() -> None:
    memory = membuf.Memory(64)
    memory.reference()
    memory.delete()
    memory.copy_from(b"held")
    view = memory.buffer
    assert bytes(view[:4]) == b"held"
    memory.dereference()
    assert bytes(view[:4]) == b"held"


def test_a_view_keeps_an_object_without_parent() -> None:
    recorder = Recorder()
    view = membuf.Memory(64, **recorder.hooks("M")).buffer
    gc.collect()
    assert recorder.log == []
    view.release()
    assert recorder.text == "c:M d:M"


def test_a_view_does_not_keep_an_object_with_a_parent() -> None:
    root = membuf.Object()
    view = membuf.Memory(64, parent=root).buffer
    view[:] = b"\x05" * 64
    root.delete()
    assert bytes(view) == b"\x05" * 64


def test_views_may_be_released_in_any_order_around_the_handle() -> None:
    memory = membuf.Memory(64)
    first, second, third = memory.buffer, memory.buffer, memoryview(memory)
    second.release()
    memory.delete()
    del memory
    third.release()
    first[0] = 1
    first.release()


def test_slices_and_casts_pin_like_the_view_they_come_from() -> None:
    memory = membuf.Memory(64)
    memory.copy_from(bytes(range(64)))
    part = memory.buffer[8:16].cast("Q")
    memory.delete()
    again = membuf.Memory(64)
    again.copy_from(bytes(64))
    assert part[0] == int.from_bytes(bytes(range(8, 16)), "little")


def test_numpy_arrays_pin() -> None:
    memory = membuf.Memory(4096)
    array = np.frombuffer(memory, np.uint32)
    array[:] = 0x01020304
    memory.delete()
    fresh = [membuf.Memory(4096) for _ in range(20)]
    for other in fresh:
        other.copy_from(bytes(4096))
    assert (array == 0x01020304).all()


def test_cleanup_and_destroy_see_the_bytes_through_a_view() -> None:
    seen: list[bytes] = []
    memory = membuf.Memory(4, on_cleanup=lambda handle: seen.append(bytes(handle.buffer)))
    memory.copy_from(b"abcd")
    memory.delete()
    assert seen == [b"abcd"]


def test_a_view_opened_in_cleanup_outlives_the_object() -> None:
    views: list[memoryview] = []
    memory = membuf.Memory(4, on_cleanup=lambda handle: views.append(handle.buffer))
    memory.copy_from(b"abcd")
    memory.delete()
    assert [bytes(view) for view in views] == [b"abcd"]


def test_a_read_only_buffer_gives_read_only_views() -> None:
    with membuf.Memory.preallocated(b"constant") as memory:
        assert memory.readonly
        view = memoryview(memory)
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 1
        view.release()
    with membuf.Memory(4) as memory:
        assert not memory.readonly


@pytest.mark.parametrize("writes", [True, False])
def test_exports_that_ask_to_write_read_only_memory_are_refused(writes: bool) -> None:
    with membuf.Memory.preallocated(b"constant") as memory:
        if writes:
            with pytest.raises((BufferError, TypeError)):
                membuf.Memory(8).copy_to(memory)
        else:
            membuf.Memory(8).copy_from(memory)


def test_len_and_truth() -> None:
    memory = membuf.Memory(3)
    assert len(memory) == 3
    memory.delete()
    with pytest.raises(membuf.ObjectDeletedError):
        len(memory)

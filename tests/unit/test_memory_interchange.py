"""Neighbours take memory objects without a copy: numpy, pyarrow, DLPack, pickle protocol 5."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

import membuf
from tests.support import figures


@pytest.fixture
def memory() -> Iterator[membuf.Memory]:
    with membuf.Memory(64, tag="Swap") as made:
        made.copy_from(bytes(range(64)))
        yield made


def test_numpy_frombuffer_shares(memory: membuf.Memory) -> None:
    array = np.frombuffer(memory, np.uint8)
    assert array.ctypes.data == memory.address
    array[0] = 200
    assert memory.buffer[0] == 200


def test_numpy_asarray_shares(memory: membuf.Memory) -> None:
    array = np.asarray(memory)
    assert array.shape == (64,)
    assert array.dtype == np.uint8
    assert array.ctypes.data == memory.address


def test_pyarrow_shares(memory: membuf.Memory) -> None:
    buffer = pa.py_buffer(memory)
    assert (buffer.address, buffer.size) == (memory.address, 64)
    assert buffer.is_mutable
    numbers = pa.Array.from_buffers(pa.uint8(), 64, [None, buffer])
    assert numbers[5].as_py() == 5
    memory.delete()
    membuf.Memory(64).copy_from(bytes(64))
    assert numbers[5].as_py() == 5


def test_dlpack_shares(memory: membuf.Memory) -> None:
    array = np.from_dlpack(memory)
    assert (array.dtype, array.shape) == (np.uint8, (64,))
    assert array.ctypes.data == memory.address
    assert array.tolist() == list(range(64))


def test_dlpack_device_is_the_processor(memory: membuf.Memory) -> None:
    assert memory.__dlpack_device__() == (1, 0)


def test_dlpack_pins_the_block(memory: membuf.Memory) -> None:
    array = np.from_dlpack(memory)
    memory.delete()
    others = [membuf.Memory(64) for _ in range(200)]
    for other in others:
        other.copy_from(b"\xff" * 64)
    assert array.tolist() == list(range(64))


def test_an_unused_dlpack_capsule_lets_go() -> None:
    before = figures("Caps")
    memory = membuf.Memory(64, tag="Caps")
    capsule = memory.__dlpack__()
    memory.delete()
    del capsule
    assert figures("Caps") == (before[0] + 1, before[1] + 1, before[2])


def test_versioned_dlpack_tells_read_only() -> None:
    with membuf.Memory.preallocated(b"constant") as memory:
        array = np.from_dlpack(memory)
        assert array.tobytes() == b"constant"
        assert not array.flags.writeable
        with pytest.raises(BufferError):
            memory.__dlpack__()
        del array


def test_dlpack_copies_only_when_asked(memory: membuf.Memory) -> None:
    shared = np.from_dlpack(memory, copy=False)
    copied = np.from_dlpack(memory, copy=True)
    assert shared.ctypes.data == memory.address
    assert copied.ctypes.data != memory.address
    assert copied.tolist() == list(range(64))
    memory.copy_from(b"\xff")
    assert (shared[0], copied[0]) == (255, 0)


def test_dlpack_serves_no_other_device(memory: membuf.Memory) -> None:
    with pytest.raises(BufferError):
        memory.__dlpack__(dl_device=(2, 0), max_version=(1, 0))
    with pytest.raises((BufferError, TypeError, ValueError)):
        memory.__dlpack__(stream=1)


@pytest.mark.parametrize("wrong", [3, "1.0", (1,), (1, 2, 3), ("a", "b")])
def test_dlpack_versions_are_pairs(memory: membuf.Memory, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        memory.__dlpack__(max_version=wrong)


def test_pickle_out_of_band_copies_nothing(memory: membuf.Memory) -> None:
    bands: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(memory, protocol=5, buffer_callback=bands.append)
    assert len(bands) == 1
    assert bytes(range(32, 64)) not in stream
    with bands[0].raw() as raw:
        received = bytearray(raw)
    bands.clear()
    again = pickle.loads(stream, buffers=[received])
    assert (again.source, again.tag, again.size) == ("preallocated", "Swap", 64)
    assert again.buffer == bytes(range(64))
    again.copy_from(b"\xff")
    assert received[0] == 255
    assert memory.buffer[0] == 0


def test_pickle_keeps_read_only_as_received(memory: membuf.Memory) -> None:
    bands: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(memory, protocol=5, buffer_callback=bands.append)
    again = pickle.loads(stream, buffers=[bytes(bands[0])])
    assert again.readonly
    assert again.buffer == bytes(range(64))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_in_band_makes_a_copy(memory: membuf.Memory, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(memory, protocol))
    assert again.buffer == bytes(range(64))
    assert (again.tag, again.parent) == ("Swap", None)
    assert again.address != memory.address


def test_an_unpickled_object_belongs_to_nobody(memory: membuf.Memory) -> None:
    root = membuf.Object()
    child = membuf.Memory(16, parent=root)
    child.copy_from(bytes(range(16)))
    again = pickle.loads(pickle.dumps(child, 5))
    root.delete()
    assert again.buffer == bytes(range(16))


def test_gone_memory_is_not_pickled(memory: membuf.Memory) -> None:
    memory.delete()
    with pytest.raises(membuf.ObjectDeletedError):
        pickle.dumps(memory, 5)


@pytest.mark.parametrize(
    "make", [membuf.Object, lambda: membuf.LookasideList(64), lambda: membuf.pool.allocate(64)]
)
def test_what_has_no_bytes_of_its_own_is_not_pickled(make: object) -> None:
    made = make()
    with pytest.raises(TypeError):
        pickle.dumps(made)
    if isinstance(made, membuf.pool.Block):
        made.free()


def test_copy_makes_a_memory_of_its_own(memory: membuf.Memory) -> None:
    for again in (copy.copy(memory), copy.deepcopy(memory)):
        assert again.address != memory.address
        assert again.buffer == memory.buffer

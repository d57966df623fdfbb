"""Leaks planted on purpose: each meter has to notice its kind."""

from __future__ import annotations

import ctypes
import mmap

import membuf
from tests.leak.meters import leak_of
from tests.support import without_sanitizer


def test_no_leak_is_no_alarm() -> None:
    assert leak_of(lambda: membuf.Memory(64).delete()) is None


def test_a_cache_that_fills_up_is_no_alarm() -> None:
    cache: list[object] = []

    def call() -> None:
        if len(cache) < 300:
            cache.append(object())

    assert leak_of(call) is None


def test_leaked_python_objects_are_noticed() -> None:
    kept: list[object] = []
    found = str(leak_of(lambda: kept.append(object())))
    # Where Python takes its memory from malloc (PYTHONMALLOC), that meter shows it.
    assert "python_blocks" in found or "malloc_bytes" in found


def test_leaked_malloc_is_noticed() -> None:
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    kept: set[int] = set()
    found = leak_of(lambda: kept.add(malloc(40)))
    for address in kept:
        ctypes.CDLL(None).free(ctypes.c_void_p(address))
    assert "malloc_bytes" in str(found)


@without_sanitizer
def test_leaked_mappings_are_noticed() -> None:
    kept: list[mmap.mmap] = []
    assert "mapped_bytes" in str(leak_of(lambda: kept.append(mmap.mmap(-1, 4096))))


def test_leaked_pool_blocks_are_noticed() -> None:
    kept: list[membuf.pool.Block] = []
    found = leak_of(lambda: kept.append(membuf.pool.allocate(64, tag="Leak")))
    for block in kept:
        block.free()
    assert "pool_outstanding" in str(found)


def test_objects_held_by_a_forgotten_reference_are_noticed() -> None:
    kept: list[membuf.Memory] = []

    def call() -> None:
        memory = membuf.Memory(64)
        memory.reference()
        memory.delete()
        kept.append(memory)

    found = leak_of(call)
    for memory in kept:
        memory.dereference()
    assert "pool_outstanding" in str(found)


def test_children_of_a_parent_that_never_goes_are_noticed() -> None:
    root = membuf.Object()
    found = leak_of(lambda: membuf.Memory(64, parent=root) and None)
    root.delete()
    assert "pool_outstanding" in str(found)

"""Locking MDLs: what is checked, what is kept in memory, and what is given back."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

import membuf
from membuf.mdl import PAGE_SIZE, bytes_to_pages, page_align, round_to_pages, span_pages
from tests.mdl import locked_bytes, unlock_by_hand
from tests.support import without_sanitizer


@pytest.fixture
def pages() -> mmap.mmap:
    """Pages of our own: locking them locks no neighbour."""
    return mmap.mmap(-1, 16 * PAGE_SIZE)


@pytest.mark.parametrize(
    ("offset", "size", "count"),
    [
        (0, 1, 1),
        (0, 4096, 1),
        (1, 4096, 2),
        (0xFFF, 1, 1),
        (0xFFF, 2, 2),
        (0x800, 4096, 2),
        (0, 8192, 2),
        (0xFFF, 4098, 3),
        (0, 0, 0),
        (1, 0, 1),
    ],
)
def test_the_span_of_a_range(offset: int, size: int, count: int) -> None:
    assert span_pages(0x7F0000000000 + offset, size) == count


def test_page_arithmetic() -> None:
    assert [bytes_to_pages(n) for n in (0, 1, 4096, 4097)] == [0, 1, 1, 2]
    assert round_to_pages(4097) == 8192
    assert page_align(0x12345) == 0x12000


def test_what_an_mdl_says(pages: mmap.mmap) -> None:
    mdl = membuf.Mdl(pages, 0x123, 5000)
    assert (mdl.byte_offset, mdl.byte_count, mdl.page_count) == (0x123, 5000, 2)
    assert (mdl.kind, mdl.locked, mdl.next, int(mdl.flags)) == ("raw", None, None, 0)
    assert mdl.guarantees == frozenset()


def test_an_mdl_is_a_buffer(pages: mmap.mmap) -> None:
    pages[:3] = b"abc"
    mdl = membuf.Mdl(pages, 1, 2)
    assert bytes(mdl) == bytes(mdl.buffer) == b"bc"
    memoryview(mdl)[0] = 7
    assert pages[1] == 7


def test_the_buffer_is_held() -> None:
    data = bytearray(100)
    mdl = membuf.Mdl(data)
    with pytest.raises(BufferError):
        data.clear()
    mdl.free()
    data.clear()
    assert mdl.freed


@pytest.mark.parametrize(("access", "readonly"), [("read", True), ("write", False)])
def test_a_lock_keeps_the_pages_in_memory(pages: mmap.mmap, access: str, readonly: bool) -> None:
    before = locked_bytes()
    mdl = membuf.Mdl(pages, 100, 2 * PAGE_SIZE)
    mdl.lock(access)
    assert locked_bytes() - before == 3 * PAGE_SIZE
    assert (mdl.kind, mdl.locked, mdl.buffer.readonly) == ("locked", access, readonly)
    assert mdl.guarantees == {"resident"}
    mdl.unlock()
    assert locked_bytes() == before
    assert (mdl.kind, mdl.locked, mdl.guarantees) == ("raw", None, frozenset())


def test_pages_under_two_mdls_are_locked_until_the_last_unlock(pages: mmap.mmap) -> None:
    before = locked_bytes()
    first, second = membuf.Mdl(pages, 0, 4 * PAGE_SIZE), membuf.Mdl(pages, 2 * PAGE_SIZE)
    first.lock()
    second.lock("read")
    first.unlock()
    assert locked_bytes() - before == 14 * PAGE_SIZE
    second.unlock()
    assert locked_bytes() == before


@without_sanitizer
def test_a_lock_that_somebody_undid_claims_nothing(pages: mmap.mmap) -> None:
    with membuf.Mdl(pages) as mdl:
        mdl.lock()
        assert mdl.guarantees == {"resident"}
        unlock_by_hand(mdl)
        assert mdl.guarantees == frozenset()


@without_sanitizer
def test_unlock_never_unlocks_the_slab() -> None:
    memory = membuf.Memory(10_000)
    held = locked_bytes()
    mdl = membuf.Mdl(memory)
    mdl.lock()
    assert locked_bytes() == held
    mdl.unlock()
    assert locked_bytes() == held


def test_memory_that_is_read_only_is_locked_for_reading_only() -> None:
    mdl = membuf.Mdl(b"constant" * 1000)
    with pytest.raises(membuf.AccessViolationError):
        mdl.lock("write")
    assert mdl.kind == "raw"
    mdl.lock("read")
    mdl.unlock()


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("protection", [0, mmap.PROT_READ])
def test_a_page_that_cannot_be_accessed_is_not_locked(access: str, protection: int) -> None:
    before = locked_bytes()
    mdl = membuf.Mdl(mmap.mmap(-1, PAGE_SIZE, prot=protection))
    if protection and access == "read":
        mdl.lock(access)
        mdl.unlock()
    else:
        with pytest.raises(membuf.AccessViolationError):
            mdl.lock(access)
    assert locked_bytes() == before


def test_a_page_past_the_end_of_its_file_is_not_locked(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(bytes(2 * PAGE_SIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 2 * PAGE_SIZE) as pages:
        file.truncate(PAGE_SIZE)
        with membuf.Mdl(pages) as mdl:
            for access in ("read", "write"):
                with pytest.raises(membuf.AccessViolationError) as refused:
                    mdl.lock(access)
                assert refused.value.status == 0xC0000005


@pytest.mark.parametrize("access", ["", "both", None, 1])
def test_an_access_that_there_is_not(pages: mmap.mmap, access: object) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.Mdl(pages).lock(access)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda mdl: mdl.unlock(), 0x7C),
        (lambda mdl: mdl.map(), 0xB3),
        (lambda mdl: mdl.frames, 0xB3),
    ],
    ids=["unlock", "map", "frames"],
)
def test_what_needs_a_lock(pages: mmap.mmap, call: object, code: int) -> None:
    mdl = membuf.Mdl(pages)
    with pytest.raises(membuf.MembufError) as refused:
        call(mdl)
    assert refused.value.bugcheck[:3] == (0xC4, code, id(mdl))
    assert mdl.kind == "raw"


@pytest.mark.parametrize(
    ("call", "code"),
    [(lambda mdl: mdl.lock(), 0xB0), (lambda mdl: mdl.free(), 0xB8)],
    ids=["lock", "free"],
)
def test_what_a_lock_forbids(pages: mmap.mmap, call: object, code: int) -> None:
    with membuf.Mdl(pages) as mdl:
        mdl.lock()
        with pytest.raises(membuf.MembufError) as refused:
            call(mdl)
        assert refused.value.bugcheck[:2] == (0xC4, code)
        assert mdl.kind == "locked"


def test_an_mdl_dropped_while_locked_is_unlocked_and_tells(pages: mmap.mmap) -> None:
    before = locked_bytes()
    mdl = membuf.Mdl(pages)
    mdl.lock()
    with pytest.warns(ResourceWarning, match="dropped without unlock"):
        del mdl
    assert locked_bytes() == before


def test_a_part_shares_the_lock(pages: mmap.mmap) -> None:
    with membuf.Mdl(pages, 100, 10_000) as mdl:
        mdl.lock()
        part = mdl.partial(5000)
        assert (part.byte_count, part.address) == (5000, mdl.address + 5000)
        assert (part.kind, int(part.flags), part.guarantees) == ("partial", 0x10, {"resident"})
        mdl.unlock()
        assert part.guarantees == frozenset()
        with pytest.raises(membuf.MembufError):
            part.map()


@pytest.mark.parametrize(("offset", "length"), [(9000, 2000), (10_000, 0), (-1, 0), (0, 10_001)])
def test_a_part_outside_its_source(pages: mmap.mmap, offset: int, length: int) -> None:
    with membuf.Mdl(pages, 100, 10_000) as mdl:
        mdl.lock()
        with pytest.raises(membuf.InvalidParameterError) as refused:
            mdl.partial(offset, length)
        assert refused.value.bugcheck[0] == 0x12E
        assert refused.value.bugcheck[1] == id(mdl)
        assert refused.value.bugcheck[3:] == (mdl.address + offset, length)


def test_a_chain(pages: mmap.mmap) -> None:
    first, second, third = (membuf.Mdl(pages, 0, n) for n in (10, 20, 30))
    assert first.chain(second) is first
    first.chain(third)
    assert [len(vector) for vector in first.iovecs()] == [10, 20, 30]
    assert first.next is second
    with pytest.raises(membuf.InvalidParameterError):
        third.chain(first)
    first.free()
    assert second.next is third

"""Pinned MDLs: frames that stay the same, and what may be claimed of pages that are not."""

from __future__ import annotations

import errno
import mmap
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import membuf
import membuf.verifier
from membuf.base.errors import from_errno
from membuf.mdl import PAGE_SIZE, allocate_pages
from membuf.mdl.pins import Pins
from tests.mdl import collapse, frames_by_pagemap, run_in_fork
from tests.support import without_sanitizer

SIZE = 4 << 20


@pytest.fixture
def mdl() -> Iterator[membuf.Mdl]:
    """Over two huge pages' worth of small pages, not from the start of one."""
    pages = mmap.mmap(-1, SIZE + PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with membuf.Mdl(pages, 100, SIZE) as mdl:
        yield mdl


def test_pinned_frames_are_those_of_the_page_map(mdl: membuf.Mdl) -> None:
    mdl.lock()
    mdl.pin()
    assert mdl.guarantees == {"resident", "pinned", "frames-known"}
    assert list(mdl.frames) == frames_by_pagemap(mdl)
    assert len(mdl.frames) == mdl.page_count


def test_pinned_frames_survive_collapse_and_fork(mdl: membuf.Mdl) -> None:
    mdl.pin()
    before = mdl.frames
    collapse(mdl)
    assert frames_by_pagemap(mdl) == list(before)
    run_in_fork(lambda: None, meanwhile=lambda: touch(mdl))
    assert frames_by_pagemap(mdl) == list(before) == list(mdl.frames)


def test_resident_frames_do_not_and_are_never_told(mdl: membuf.Mdl) -> None:
    mdl.lock()
    before = frames_by_pagemap(mdl)
    collapse(mdl)
    run_in_fork(lambda: None, meanwhile=lambda: touch(mdl))
    assert frames_by_pagemap(mdl) != before
    assert mdl.guarantees == {"resident"}
    with pytest.raises(membuf.FrameUnknownError, match="pin it"):
        mdl.frames  # noqa: B018


def touch(mdl: membuf.Mdl) -> None:
    """Write to every page: what is shared with a child gets frames of its own."""
    view = mdl.buffer
    for offset in range(0, len(view), PAGE_SIZE):
        view[offset] = 1


def test_a_part_has_its_share_of_the_frames(mdl: membuf.Mdl) -> None:
    mdl.pin()
    part = mdl.partial(3 * PAGE_SIZE, 10)
    assert list(part.frames) == [mdl.frames[3]]
    assert part.guarantees == mdl.guarantees
    mdl.unpin()
    assert part.guarantees == frozenset()


def test_pin_locks_and_unpin_unlocks_what_it_locked(mdl: membuf.Mdl) -> None:
    mdl.pin()
    assert mdl.locked == "write"
    mdl.unpin()
    assert (mdl.kind, mdl.guarantees) == ("raw", frozenset())
    mdl.lock()
    mdl.pin()
    mdl.unpin()
    assert (mdl.kind, mdl.guarantees) == ("locked", {"resident"})
    mdl.pin()
    mdl.unlock()
    assert (mdl.kind, mdl.guarantees) == ("raw", frozenset())


def test_a_pin_is_taken_once_and_by_the_source(mdl: membuf.Mdl) -> None:
    mdl.pin()
    for refused in (mdl.pin, mdl.partial(0).pin):
        with pytest.raises(membuf.InvalidDeviceStateError):
            refused()
    mdl.unpin()
    with pytest.raises(membuf.InvalidDeviceStateError):
        mdl.unpin()


def test_a_forked_child_holds_nothing(mdl: membuf.Mdl) -> None:
    mdl.pin()
    frames = list(mdl.frames)

    def child() -> None:
        assert mdl.guarantees == frozenset()
        mdl.unlock()
        mdl.pin()
        assert "pinned" in mdl.guarantees

    run_in_fork(child)
    assert frames_by_pagemap(mdl) == frames
    assert "pinned" in mdl.guarantees


def test_a_build_without_liburing_says_that_it_cannot_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "membuf.mdl._ring", None)
    with pytest.raises(membuf.MembufError, match="built without liburing") as refused:
        Pins().pin(0, PAGE_SIZE)
    assert refused.value.status == 0xC00000BB


def test_a_system_without_io_uring_says_that_it_cannot_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(slots: int) -> None:
        raise from_errno(errno.EPERM, "io_uring cannot pin pages here")

    monkeypatch.setattr("membuf.mdl._ring.PinRing", forbidden)
    with pytest.raises(membuf.MembufError, match="not permitted") as refused:
        Pins().pin(0, PAGE_SIZE)
    assert refused.value.status == 0xC00000BB


def test_places_for_pins_are_used_again_and_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("membuf.mdl.pins.SLOTS", 2)
    pages, places = mmap.mmap(-1, 3 * PAGE_SIZE), Pins()
    start = membuf.Mdl(pages).address
    taken = [places.pin(start + n * PAGE_SIZE, start + (n + 1) * PAGE_SIZE) for n in range(2)]
    with pytest.raises(membuf.InsufficientResourcesError, match="2 ranges are pinned"):
        places.pin(start, start + PAGE_SIZE)
    places.unpin(taken[0])
    assert places.pin(start, start + PAGE_SIZE) == taken[0]


def test_a_pin_of_several_places_is_undone_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("membuf.mdl.pins.BYTES_A_SLOT", PAGE_SIZE)
    pages, places = mmap.mmap(-1, 4 * PAGE_SIZE), Pins()
    start = membuf.Mdl(pages).address
    taken = places.pin(start, start + 4 * PAGE_SIZE)
    assert len(taken) == 4
    places.unpin(taken)
    monkeypatch.setattr("membuf.mdl.pins.SLOTS", 3)
    with pytest.raises(membuf.InsufficientResourcesError):
        Pins().pin(start, start + 4 * PAGE_SIZE)


def test_a_forked_child_does_not_tell_of_what_its_parent_holds() -> None:
    held = [membuf.Mdl(bytearray(100))]
    held[0].pin()

    def child() -> None:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            held.clear()
            assert told == []

    run_in_fork(child)
    held[0].unpin()


def test_memory_that_cannot_be_written_is_not_pinned(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(bytes(PAGE_SIZE))
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), PAGE_SIZE, prot=mmap.PROT_READ)
    with membuf.Mdl(pages) as mdl:
        with pytest.raises(membuf.MembufError, match="cannot pin"):
            mdl.pin()
        assert (mdl.kind, mdl.guarantees) == ("raw", frozenset())


@without_sanitizer
def test_non_paged_memory_is_described_and_pinned_without_a_lock() -> None:
    with membuf.Memory(10_000) as memory, membuf.Mdl(memory) as mdl:
        mdl.build_nonpaged()
        assert mdl.guarantees == {"resident"}
        assert mdl.system_address == memory.address
        mdl.pin()
        assert list(mdl.frames) == frames_by_pagemap(mdl)
        mdl.unpin()
        with pytest.raises(membuf.FrameUnknownError):
            mdl.frames  # noqa: B018


def test_paged_memory_claims_nothing_though_built_as_non_paged() -> None:
    with membuf.Mdl(bytearray(10_000)) as mdl:
        mdl.build_nonpaged()
        assert mdl.guarantees == frozenset()


def test_pages_of_its_own() -> None:
    mdl = allocate_pages(5000)
    assert (mdl.byte_count, mdl.byte_offset, mdl.kind) == (8192, 0, "pages")
    assert bytes(mdl) == bytes(8192)
    assert mdl.guarantees == {"resident"}
    mdl.free_pages()
    assert mdl.freed


def test_contiguous_pages_are_huge_pages_or_none() -> None:
    memory = Path("/proc/meminfo").read_text()
    if "HugePages_Free:        0" in memory:
        with pytest.raises(membuf.InsufficientResourcesError, match="huge page"):
            allocate_pages(1 << 20, contiguous=True)
    else:
        with allocate_pages(1 << 20, contiguous=True) as mdl:
            assert {"resident", "contiguous"} <= mdl.guarantees
            assert list(mdl.frames) == list(range(mdl.frames[0], mdl.frames[0] + 256))


def test_more_than_a_huge_page_is_not_promised() -> None:
    with pytest.raises(membuf.MembufError) as refused:
        allocate_pages(4 << 20, contiguous=True)
    assert refused.value.status == 0xC00000BB


def test_the_report_shows_what_is_locked_and_pinned_and_whose() -> None:
    with membuf.Domain(name="demo") as domain:
        owner = membuf.Object(name="capture")
        memory = membuf.Memory(8192, tag="Capt", parent=owner)
        mdl = membuf.Mdl(memory)
        mdl.pin()
        report = membuf.verifier.report(domain)
        (record,) = report.mdls
        assert (record.size, record.locked, record.pinned) == (8192, "write", True)
        assert record.owner.endswith("capture/Memory 'Capt'")
        assert "test_mdl_pin.py" in str(record.site)
        assert "pinned" in str(report)
        assert '"pinned": true' in report.json()
        mdl.unpin()
        mdl.free()
        assert membuf.verifier.report(domain).mdls == ()
        owner.delete()


def test_the_report_counts_what_was_dropped() -> None:
    with membuf.Domain() as domain:
        mdl = membuf.Mdl(bytearray(100))
        mdl.pin()
        with pytest.warns(ResourceWarning, match="dropped without"):
            del mdl
        assert membuf.verifier.report(domain).dropped_mdls == 1


def test_deleted_memory_stays_while_it_is_locked() -> None:
    memory = membuf.Memory(100_000, zero=True)
    mdl = membuf.Mdl(memory)
    mdl.lock()
    memory.delete()
    other = membuf.Memory(100_000)
    mdl.buffer[0] = 7
    assert (mdl.buffer[0], mdl.guarantees) == (7, {"resident"})
    assert other.address != mdl.address
    mdl.unlock()
    mdl.free()
    other.delete()

"""No call on an MDL leaks, whether it succeeds or is refused: no object, no page lock, no pin."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

import membuf
from membuf import wdf
from membuf.mdl import PAGE_SIZE, allocate_pages
from tests.leak.calls import refused
from tests.leak.meters import leak_of
from tests.mdl import locked_bytes
from tests.support import without_sanitizer

pytestmark = without_sanitizer  # mlock does nothing there, and malloc holds every small object

PAGES = mmap.mmap(-1, 16 * PAGE_SIZE)


def made() -> None:
    mdl = membuf.Mdl(PAGES, 100, 5000)
    assert (mdl.byte_count, mdl.page_count, mdl.byte_offset) == (5000, 2, 100)
    assert (mdl.kind, mdl.locked, mdl.next, mdl.freed, len(mdl)) == ("raw", None, None, False, 5000)
    mdl.buffer.release()
    memoryview(mdl).release()
    assert mdl.record().size == 5000
    mdl.free()
    with refused(membuf.ObjectDeletedError):
        mdl.buffer  # noqa: B018
    with refused(membuf.InvalidParameterError):
        membuf.Mdl(b"")
    with refused(membuf.IntegerOverflowError):
        membuf.Mdl(PAGES, 0, 17 * PAGE_SIZE)
    with refused(TypeError):
        membuf.Mdl(3)


def dropped() -> None:
    membuf.Mdl(PAGES).chain(membuf.Mdl(bytearray(10)))


def locked() -> None:
    with membuf.Mdl(PAGES) as mdl:
        with refused(membuf.MembufError):
            mdl.unlock()
        mdl.lock()
        with refused(membuf.MembufError):
            mdl.lock()
        mdl.map()
        with refused(membuf.FrameUnknownError):
            mdl.frames  # noqa: B018
        part = mdl.partial(5000)
        assert part.guarantees == {"resident"}
        part.map()
        part.prepare_for_reuse()
        with refused(membuf.InvalidParameterError):
            mdl.partial(17 * PAGE_SIZE)
        mdl.unlock()
        with refused(membuf.MembufError):
            part.map()
        with membuf.Mdl(b"constant" * 1000) as constant, refused(membuf.AccessViolationError):
            constant.lock()


def pinned() -> None:
    with membuf.Mdl(PAGES) as mdl:
        mdl.pin()
        assert len(mdl.frames) == 16
        assert "pinned" in mdl.guarantees
        with refused(membuf.InvalidDeviceStateError):
            mdl.pin()
        mdl.unpin()


def slab() -> None:
    with membuf.Memory(5000) as memory, membuf.Mdl(memory) as mdl:
        mdl.lock()
        mdl.unlock()
        mdl.build_nonpaged()
        assert mdl.guarantees == {"resident"}
        with refused(membuf.MembufError):
            mdl.lock()


def chained() -> None:
    chain = membuf.Mdl(PAGES, 0, 10).chain(membuf.Mdl(PAGES, 0, 20))
    assert [len(vector) for vector in chain.iovecs()] == [10, 20]
    assert len(chain.iovec_batches()) == 1
    with refused(membuf.InvalidParameterError):
        chain.chain(chain)


def own_pages() -> None:
    allocate_pages(5000).free_pages()
    with refused(membuf.MembufError):
        allocate_pages(1 << 30, contiguous=True)


def kernel_calls() -> None:
    with wdf.driver("WdfXy12"):
        source = wdf.IoAllocateMdl(PAGES, 10_000, False, False, None)
        wdf.MmProbeAndLockPages(source, wdf.KernelMode, wdf.IoModifyAccess)
        start = wdf.MmGetMdlVirtualAddress(source) + 5000
        part = wdf.IoAllocateMdl(start, 100, False, False, None)
        wdf.IoBuildPartialMdl(source, part, start, 100)
        user = wdf.MmMapLockedPagesSpecifyCache(
            source, wdf.UserMode, wdf.MmCached, None, False, wdf.NormalPagePriority
        )
        wdf.MmUnmapLockedPages(user, source)
        with refused(membuf.BugCheck):
            wdf.IoFreeMdl(source)
        wdf.IoFreeMdl(part)
        wdf.MmUnlockPages(source)
        wdf.MmInitializeMdl(source, bytearray(100), 100)
        wdf.IoFreeMdl(source)


@pytest.mark.parametrize(
    "call", [made, dropped, locked, pinned, slab, chained, own_pages, kernel_calls]
)
def test_nothing_leaks(call: Callable[[], None]) -> None:
    call()
    before = locked_bytes()
    found = leak_of(call)
    assert found is None, found
    assert locked_bytes() <= before  # a driver gives its slabs back at its end

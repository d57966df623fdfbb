"""MDLs by the kernel's names: what the case tables do not tell."""

from __future__ import annotations

import mmap
from types import SimpleNamespace

import pytest

import membuf
import membuf.verifier
from membuf import wdf


@pytest.fixture(autouse=True)
def driver() -> object:
    """A driver for the calls."""
    with wdf.driver("WdfXy12") as driver:
        yield driver


def allocate(buffer: object, length: int = 100) -> membuf.Mdl:
    mdl = wdf.IoAllocateMdl(buffer, length, False, False, None)
    assert mdl is not None
    return mdl


def test_the_mdl_of_an_irp_is_replaced_or_appended_to() -> None:
    irp = SimpleNamespace(mdl=None)
    first = wdf.IoAllocateMdl(bytearray(10), 10, True, False, irp)
    assert irp.mdl is first
    second = wdf.IoAllocateMdl(bytearray(20), 20, True, False, irp)
    assert (irp.mdl, first.next) == (first, second)
    third = wdf.IoAllocateMdl(bytearray(30), 30, False, False, irp)
    assert (irp.mdl, third.next) == (third, None)
    for mdl in (first, second, third):
        wdf.IoFreeMdl(mdl)


@pytest.mark.parametrize(
    ("length", "secondary"), [(0, False), (2**32, False), (2**32 - 4095, False), (10, True)]
)
def test_what_is_no_mdl_is_null(length: int, secondary: bool) -> None:
    assert wdf.IoAllocateMdl(bytearray(10), length, secondary, False, None) is None


def test_a_length_beyond_the_buffer_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds 10 bytes"):
        wdf.IoAllocateMdl(bytearray(10), 11, False, False, None)
    with pytest.raises(ValueError, match="no buffer is known"):
        wdf.IoAllocateMdl(0x1000, 11, False, False, None)


def test_an_address_inside_a_known_mdl_is_a_virtual_address() -> None:
    buffer = bytearray(range(100))
    mdl = allocate(buffer)
    inner = allocate(wdf.MmGetMdlVirtualAddress(mdl) + 40, 60)
    assert bytes(inner) == bytes(range(40, 100))
    wdf.IoFreeMdl(inner)
    wdf.IoFreeMdl(mdl)


def test_an_address_inside_pool_is_a_virtual_address() -> None:
    p = wdf.ExAllocatePool2(wdf.POOL_FLAG_NON_PAGED, 100, b"Capt")
    p[40] = 7
    mdl = allocate(p.address + 40, 60)
    assert mdl.buffer[0] == 7
    wdf.IoFreeMdl(mdl)
    wdf.ExFreePool(p)


def test_reading_only_is_a_view_that_cannot_be_written() -> None:
    mdl = allocate(bytearray(100))
    wdf.MmProbeAndLockPages(mdl, wdf.KernelMode, wdf.IoModifyAccess)
    address = wdf.MmGetSystemAddressForMdlSafe(mdl, wdf.NormalPagePriority | wdf.MdlMappingNoWrite)
    assert memoryview(address).readonly
    wdf.MmUnlockPages(mdl)
    wdf.IoFreeMdl(mdl)


def test_an_mdl_lives_until_it_is_freed_and_is_reported_where_it_is_not() -> None:
    driver = wdf.driver("WdfXy13").__enter__()
    mdl = allocate(bytearray(100))
    wdf.MmProbeAndLockPages(mdl, wdf.KernelMode, wdf.IoReadAccess)
    assert membuf.verifier.report().mdls[0].locked == "read"
    with pytest.warns(ResourceWarning, match=r"1 MDL\(s\) still out"):
        driver.__exit__(None, None, None)
    assert mdl.freed


def test_an_mdl_takes_pool_under_the_systems_tag_and_fails_without() -> None:
    mdl = allocate(bytearray(100))
    record = membuf.pool.statistics().tag("Mdl ", membuf.NONPAGED)
    assert (record.outstanding, record.bytes) == (1, wdf.MmSizeOfMdl(mdl.buffer, 100))
    wdf.IoFreeMdl(mdl)
    with membuf.verifier.faults(after=1):
        assert wdf.IoAllocateMdl(bytearray(100), 100, False, False, None) is None
    assert membuf.pool.statistics().tag("Mdl ", membuf.NONPAGED).outstanding == 0


def test_the_documented_fields_have_their_names() -> None:
    first, second = allocate(bytearray(10), 10), allocate(bytearray(20), 20)
    first.Next = second
    assert (first.Next, first.next, second.Next) == (second, second, None)
    wdf.MmProbeAndLockPages(first, wdf.KernelMode, wdf.IoReadAccess)
    assert first.MdlFlags & wdf.MDL_PAGES_LOCKED
    wdf.MmUnlockPages(first)
    wdf.IoFreeMdl(first)
    wdf.IoFreeMdl(second)


def test_storage_of_the_callers_becomes_an_mdl() -> None:
    storage = wdf.ExAllocatePool2(
        wdf.POOL_FLAG_NON_PAGED, wdf.MmSizeOfMdl(wdf.PAGE_SIZE - 1, 100), b"Mdl "
    )
    mdl = wdf.MmInitializeMdl(storage, bytearray(100), 100)
    assert wdf.MmGetMdlByteCount(mdl) == 100
    with pytest.raises(ValueError, match="Length"):
        wdf.MmInitializeMdl(bytearray(48), bytearray(100), 100)
    wdf.ExFreePool(storage)


def test_a_target_too_small_for_a_part() -> None:
    pages = mmap.mmap(-1, 4 * wdf.PAGE_SIZE)
    source, small = allocate(pages, 3 * wdf.PAGE_SIZE), allocate(pages, 100)
    wdf.MmProbeAndLockPages(source, wdf.KernelMode, wdf.IoReadAccess)
    start = wdf.MmGetMdlVirtualAddress(source)
    with pytest.raises(membuf.BugCheck) as stopped:
        wdf.IoBuildPartialMdl(source, small, start, wdf.PAGE_SIZE + 1)
    assert (stopped.value.code, stopped.value.p1) == (0x12E, id(source))
    wdf.IoBuildPartialMdl(source, small, start, wdf.PAGE_SIZE)
    assert wdf.MmGetMdlByteCount(small) == wdf.PAGE_SIZE
    wdf.IoFreeMdl(small)
    wdf.MmUnlockPages(source)
    wdf.IoFreeMdl(source)


def test_user_mode_maps_as_often_as_it_likes_and_not_elsewhere() -> None:
    mdl = allocate(bytearray(100))
    wdf.MmProbeAndLockPages(mdl, wdf.UserMode, wdf.IoWriteAccess)
    arguments = (wdf.UserMode, wdf.MmCached)
    for _ in range(2):
        user = wdf.MmMapLockedPagesSpecifyCache(mdl, *arguments, None, False, 0)
        assert user.address == mdl.address
    with pytest.raises(membuf.AccessViolationError):
        wdf.MmMapLockedPagesSpecifyCache(mdl, *arguments, 0x1000, False, 0)
    wdf.MmUnmapLockedPages(user, mdl)
    wdf.MmUnmapLockedPages(user, mdl)
    with pytest.raises(membuf.BugCheck):
        wdf.MmUnmapLockedPages(user, mdl)
    wdf.MmUnlockPages(mdl)
    wdf.IoFreeMdl(mdl)


def test_frames_cannot_be_chosen() -> None:
    arguments = (0, 8192, wdf.MmCached, 0)
    assert wdf.MmAllocatePagesForMdlEx(0, 0xFFFFFFFF, *arguments) is None
    assert wdf.MmAllocatePagesForMdlEx(4096, 2**64 - 1, *arguments) is None


def test_an_mdl_with_pages_is_freed_by_two_calls() -> None:
    mdl = wdf.MmAllocatePagesForMdlEx(0, 2**64 - 1, 0, 8192, wdf.MmCached, 0)
    with pytest.raises(membuf.BugCheck) as stopped:
        wdf.ExFreePool(mdl)
    assert stopped.value.code == 0xC2
    wdf.MmFreePagesFromMdl(mdl)
    wdf.ExFreePool(mdl)


@pytest.mark.parametrize("what", [None, 3, bytearray(10)])
def test_what_is_no_mdl_stops(what: object) -> None:
    with pytest.raises(membuf.BugCheck):
        wdf.MmUnlockPages(what)


def test_the_macros_wrap_as_the_c_ones_do() -> None:
    assert wdf.ADDRESS_AND_SIZE_TO_SPAN_PAGES(0xFFF, 2**64 - 1) == 1
    assert wdf.ROUND_TO_PAGES(2**64 - 1) == 0
    assert wdf.BYTES_TO_PAGES(2**64 - 1) == 2**52
    assert (wdf.PAGE_ALIGN(0x12345), wdf.BYTE_OFFSET(0x12345)) == (0x12000, 0x345)

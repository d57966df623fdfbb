"""Calls of the framework's face that no numbered case makes, each by what its header says."""

from __future__ import annotations

import ctypes

import pytest

import membuf
from membuf import wdf
from tests.conformance.cases import case


@case("R4.1-severity")
@pytest.mark.parametrize(
    ("status", "success", "information", "warning", "error"),
    [
        (0x00000000, True, False, False, False),
        (0x3FFFFFFF, True, False, False, False),
        (0x40000000, True, True, False, False),
        (0x7FFFFFFF, True, True, False, False),
        (0x80000005, False, False, True, False),
        (0xBFFFFFFF, False, False, True, False),
        (0xC0000001, False, False, False, True),
        (0xFFFFFFFF, False, False, False, True),
    ],
)
def test_the_two_highest_bits_of_a_status_are_its_severity(
    status: int, success: bool, information: bool, warning: bool, error: bool
) -> None:
    assert wdf.NT_SUCCESS(status) == success
    assert wdf.NT_INFORMATION(status) == information
    assert wdf.NT_WARNING(status) == warning
    assert wdf.NT_ERROR(status) == error


@case("R1.8-actual")
def test_the_long_forms_of_reference_and_dereference_count_like_the_macros() -> None:
    log: list[str] = []
    with wdf.driver("Sample"):
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.EvtDestroyCallback = lambda _: log.append("d")
        _, thing = wdf.WdfObjectCreate(attributes)
        wdf.WdfObjectReferenceActual(thing, b"sent", 12, "sample.c")
        wdf.WdfObjectDelete(thing)
        assert log == []
        wdf.WdfObjectDereferenceActual(thing, b"sent", 13, "sample.c")
        assert log == ["d"]


@case("R1.3-declared")
def test_a_declared_type_makes_the_function_that_reads_it() -> None:
    class Counters(ctypes.Structure):
        _fields_ = (("reads", ctypes.c_uint64),)

    counters_of = wdf.WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Counters, "CountersOf")
    with wdf.driver("Sample"):
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, Counters)
        _, with_context = wdf.WdfObjectCreate(attributes)
        _, without = wdf.WdfObjectCreate(None)
        counters_of(with_context).reads = 3
        assert counters_of(with_context).reads == 3
        assert counters_of(without) is None


@case("R1.1-newer-names")
def test_the_uninitialized_names_are_the_older_calls() -> None:
    with wdf.driver("Sample", quota=1000):
        first = wdf.ExAllocatePoolQuotaUninitialized(wdf.PagedPool, 600, b"Capt")
        assert first is not None
        no_raise = wdf.PagedPool | wdf.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
        assert wdf.ExAllocatePoolQuotaUninitialized(no_raise, 600, b"Capt") is None
        wdf.ExFreePoolWithTag(first, b"Capt")
        second = wdf.ExAllocatePoolPriorityUninitialized(
            wdf.PagedPool, 100, b"Capt", wdf.HighPoolPriority
        )
        assert second is not None
        assert len(second) == 100
        wdf.ExFreePoolWithTag(second, b"Capt")


@case("R2.2-macros")
def test_sizes_and_addresses_in_pages() -> None:
    assert [wdf.BYTES_TO_PAGES(n) for n in (0, 1, 4096, 4097)] == [0, 1, 1, 2]
    assert [wdf.ROUND_TO_PAGES(n) for n in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]
    assert [wdf.PAGE_ALIGN(va) for va in (0, 0xFFF, 0x1000, 0x12345)] == [0, 0, 0x1000, 0x12000]
    assert [wdf.BYTE_OFFSET(va) for va in (0, 0xFFF, 0x1000, 0x12345)] == [0, 0xFFF, 0, 0x345]


@case("R2.3-initialize")
def test_an_mdl_in_the_drivers_own_storage() -> None:
    ring = bytearray(10000)
    with wdf.driver("Sample"):
        storage = bytearray(wdf.MmSizeOfMdl(ring, len(ring)))
        mdl = wdf.MmInitializeMdl(storage, ring, len(ring))
        wdf.MmProbeAndLockPages(mdl, wdf.KernelMode, wdf.IoWriteAccess)
        assert wdf.MmGetMdlByteCount(mdl) == 10000
        wdf.MmUnlockPages(mdl)
        again = wdf.MmInitializeMdl(mdl, ring, 100)
        assert again is mdl
        assert wdf.MmGetMdlByteCount(mdl) == 100


@case("R3.1-two-devices")
def test_a_paged_list_and_its_memory_are_below_one_device() -> None:
    def below(parent: object) -> wdf.WDF_OBJECT_ATTRIBUTES:
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = parent  # type: ignore[assignment]
        return attributes

    def made(pool: int, *parents: object) -> int:
        of_list, of_memory = map(below, parents)
        return wdf.WdfLookasideListCreate(of_list, 64, pool, of_memory, 0)[0]

    with wdf.driver("Sample") as driver:
        one, two = membuf.Device(parent=driver), membuf.Device(parent=driver)
        child = membuf.Object(parent=two)
        assert made(wdf.PagedPool, one, child) == wdf.STATUS_INVALID_PARAMETER
        assert made(wdf.NonPagedPoolNx, one, child) == wdf.STATUS_SUCCESS
        assert made(wdf.PagedPool, two, child) == wdf.STATUS_SUCCESS
        assert made(wdf.PagedPool, one, driver) == wdf.STATUS_SUCCESS


@case("R2.5-times")
def test_times_are_in_units_of_100_nanoseconds() -> None:
    assert wdf.WDF_REL_TIMEOUT_IN_SEC(2) == -20_000_000
    assert wdf.WDF_REL_TIMEOUT_IN_MS(2) == -20_000
    assert wdf.WDF_REL_TIMEOUT_IN_US(2) == -20
    assert wdf.WDF_ABS_TIMEOUT_IN_SEC(2) == 20_000_000
    assert wdf.WDF_ABS_TIMEOUT_IN_MS(2) == 20_000
    assert wdf.WDF_ABS_TIMEOUT_IN_US(2) == 20

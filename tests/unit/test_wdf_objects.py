"""Declared context types, what no status says, descriptors, and arguments nobody should pass."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import membuf
from membuf import wdf
from membuf.base.status import Status
from membuf.wdf._descriptors import describe


class COUNTERS(ctypes.Structure):
    _fields_ = [("reads", ctypes.c_uint64), ("writes", ctypes.c_uint32)]


GetCounters = wdf.WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(COUNTERS, "GetCounters")


@pytest.fixture(autouse=True)
def driver() -> Iterator[wdf.WDFDRIVER]:
    with wdf.driver("Sample") as own:
        yield own


def typed(context_type: Any, override: int = 0) -> wdf.WDF_OBJECT_ATTRIBUTES:
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, context_type)
    attributes.ContextSizeOverride = override
    return attributes


def made(attributes: Any = None) -> Any:
    status, thing = wdf.WdfObjectCreate(attributes)
    assert status == wdf.STATUS_SUCCESS
    return thing


# ---- declared context types ----------------------------------------------------------------------


def test_a_declared_type_gives_a_structure_over_the_context() -> None:
    thing = made(typed(COUNTERS))
    counters = GetCounters(thing)
    assert isinstance(counters, COUNTERS)
    assert (counters.reads, counters.writes) == (0, 0)
    counters.reads += 1
    assert GetCounters(thing) is counters
    assert wdf.WdfObjectGetTypedContext(thing, COUNTERS).reads == 1
    assert wdf.WdfObjectContextGetObject(counters) is thing


def test_the_short_declaration_names_its_function() -> None:
    get = wdf.WDF_DECLARE_CONTEXT_TYPE(COUNTERS)
    thing = made(typed(COUNTERS))
    assert get.__name__ == "WdfObjectGet_COUNTERS"
    assert get(thing) is GetCounters(thing)


def test_the_override_makes_room_behind_the_structure() -> None:
    thing = made(typed(COUNTERS, 64))
    assert len(GetCounters(thing).membuf_space) == 64


def test_a_type_is_told_by_its_record_not_by_name_and_size() -> None:
    twin = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    thing = made(typed(COUNTERS))
    assert wdf.WdfObjectGetTypedContext(thing, twin) is None
    assert wdf.WdfObjectAllocateContext(thing, typed(twin))[0] == wdf.STATUS_SUCCESS
    assert wdf.WdfObjectGetTypedContext(thing, twin) is not GetCounters(thing)


def test_records_with_one_unique_type_are_one_type() -> None:
    shared = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="SHARED", ContextSize=8)
    twin = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="SHARED", ContextSize=8, UniqueType=shared)
    found = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(
        ContextName="SHARED", ContextSize=8, EvtDriverGetUniqueContextType=lambda: shared
    )
    thing = made(typed(twin))
    assert wdf.WdfObjectGetTypedContext(thing, shared) is not None
    assert wdf.WdfObjectGetTypedContext(thing, found) is wdf.WdfObjectGetTypedContext(thing, twin)
    assert wdf.WdfObjectAllocateContext(thing, typed(found))[0] == wdf.STATUS_OBJECT_NAME_EXISTS


def test_both_faces_see_one_context() -> None:
    info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=8)
    thing = membuf.Object()
    space = thing.add_context(info)
    space[0] = 0x41
    assert wdf.WdfObjectGetTypedContext(thing, info) is space
    assert len(space) == 8


def test_a_context_is_the_memory_objects_too() -> None:
    _, memory, _ = wdf.WdfMemoryCreate(typed(COUNTERS), wdf.PagedPool, 0, 10)
    assert memory is not None
    assert wdf.WdfObjectContextGetObject(GetCounters(memory)) is memory


@pytest.mark.parametrize("kind", [int, "COUNTERS", None, COUNTERS()])
def test_what_is_no_context_type_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"ctypes\.Structure"):
        wdf.WDF_GET_CONTEXT_TYPE_INFO(kind)


@pytest.mark.parametrize("pointer", [None, bytearray(8), COUNTERS(), 5])
def test_what_is_no_context_has_no_object(pointer: Any) -> None:
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.WdfObjectContextGetObject(pointer)
    assert (caught.value.code, caught.value.p1) == (0x10D, wdf.WDF_INVALID_HANDLE)


def test_the_casting_function_bears_its_name() -> None:
    assert GetCounters.__name__ == "GetCounters"


# ---- references and the verifier -----------------------------------------------------------------


@pytest.mark.parametrize(("verifier", "records"), [(False, 0), (True, 1)])
def test_a_wrong_tag_is_reported_under_the_verifier(
    verifier: bool, records: int, caplog: pytest.LogCaptureFixture
) -> None:
    with wdf.driver("Other", verifier=verifier), caplog.at_level(logging.WARNING, "membuf.wdf"):
        thing = made()
        wdf.WdfObjectReferenceWithTag(thing, 0x41)
        wdf.WdfObjectDereferenceWithTag(thing, 0x42)
        assert thing.reference_count == 1
    assert len(caplog.records) == records
    assert all("0x" in r.message or "66" in r.message for r in caplog.records)


def test_a_strict_driver_logs_what_it_ignores(caplog: pytest.LogCaptureFixture) -> None:
    with wdf.driver("Other", strict=True) as own, caplog.at_level(logging.WARNING, "membuf.wdf"):
        wdf.WdfObjectDelete(own)
    assert "WdfObjectDelete" in caplog.text


def test_a_driver_refuses_the_delete_of_the_python_face_too(driver: wdf.WDFDRIVER) -> None:
    with pytest.raises(membuf.MembufError) as caught:
        driver.delete()
    assert caught.value.status == wdf.STATUS_CANNOT_DELETE
    assert not driver.deleted


# ---- memory of both faces ------------------------------------------------------------------------


def test_python_objects_are_handles() -> None:
    memory = membuf.Memory(100)
    assert wdf.WdfMemoryCopyFromBuffer(memory, 0, b"abc", 3) == wdf.STATUS_SUCCESS
    assert bytes(memory.buffer[:3]) == b"abc"
    wdf.WdfObjectDelete(memory)
    assert memory.deleted


def test_a_python_list_hands_memory_to_the_driver(driver: wdf.WDFDRIVER) -> None:
    status, memory = wdf.WdfMemoryCreateFromLookaside(membuf.LookasideList(64))
    assert status == wdf.STATUS_SUCCESS
    assert memory is not None
    assert memory.parent is driver


def test_the_memories_attributes_are_copied_when_the_list_is_made() -> None:
    log: list[str] = []
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtCleanupCallback = lambda _: log.append("first")
    _, pages = wdf.WdfLookasideListCreate(None, 64, wdf.PagedPool, attributes, 0)
    attributes.EvtCleanupCallback = lambda _: log.append("second")
    attributes.Size = 0
    _, memory = wdf.WdfMemoryCreateFromLookaside(pages)
    wdf.WdfObjectDelete(memory)
    assert log == ["first"]


def test_the_pointer_pins_only_while_it_is_viewed() -> None:
    _, memory, buffer = wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 64)
    assert buffer is not None
    buffer[0:3] = b"abc"
    assert (buffer.size, bytes(buffer[:3])) == (64, b"abc")
    wdf.WdfObjectDelete(memory)
    assert membuf.pool.statistics().stale_blocks == 0
    with pytest.raises(BufferError):
        buffer[0]


def test_a_view_outlives_the_object_but_nothing_else(driver: wdf.WDFDRIVER) -> None:
    _, memory, buffer = wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 64)
    assert buffer is not None
    with memoryview(buffer) as view:
        wdf.WdfObjectDelete(memory)
        view[0] = 0x41
        assert driver.statistics().stale_blocks == 1
    assert driver.statistics().stale_blocks == 0


def test_a_destroy_callback_reads_through_a_pointer_saved_before() -> None:
    seen: list[bytes] = []
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtDestroyCallback = lambda _: seen.append(bytes(saved[0][:3]))
    _, memory, buffer = wdf.WdfMemoryCreate(attributes, wdf.PagedPool, 0, 64)
    saved: list[Any] = [buffer]
    saved[0][:3] = b"abc"
    wdf.WdfObjectDelete(memory)
    assert seen == [b"abc"]


# ---- descriptors ---------------------------------------------------------------------------------


def descriptor(kind: str, *arguments: Any) -> wdf.WDF_MEMORY_DESCRIPTOR:
    filled = wdf.WDF_MEMORY_DESCRIPTOR(Type=77)
    filled.u.MdlType.BufferLength = 5
    getattr(wdf, f"WDF_MEMORY_DESCRIPTOR_INIT_{kind}")(filled, *arguments)
    return filled


def test_init_zeroes_what_it_does_not_set() -> None:
    filled = descriptor("BUFFER", b"abc", 3)
    assert (filled.Type, filled.u.MdlType.BufferLength) == (wdf.WdfMemoryDescriptorTypeBuffer, 0)


class Mdl:
    """Something that says how many bytes it describes."""

    byte_count = 64


MDL = Mdl()


def memory_descriptor(*offsets: int) -> wdf.WDF_MEMORY_DESCRIPTOR:
    given = wdf.WDFMEMORY_OFFSET(*offsets) if offsets else None
    return descriptor("HANDLE", membuf.Memory(100), given)


@pytest.mark.parametrize(
    ("make", "status", "length"),
    [
        (lambda: None, wdf.STATUS_SUCCESS, None),
        (wdf.WDF_MEMORY_DESCRIPTOR, wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: wdf.WDF_MEMORY_DESCRIPTOR(Type=4), wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: descriptor("BUFFER", None, 0), wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: descriptor("BUFFER", None, 5), wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: descriptor("MDL", None, 5), wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: descriptor("HANDLE", None, None), wdf.STATUS_INVALID_PARAMETER, None),
        (lambda: descriptor("BUFFER", b"abcde", 3), wdf.STATUS_SUCCESS, 3),
        (lambda: descriptor("BUFFER", b"abcde", 0), wdf.STATUS_SUCCESS, 0),
        (lambda: descriptor("MDL", MDL, 64), wdf.STATUS_SUCCESS, 64),
        (memory_descriptor, wdf.STATUS_SUCCESS, 100),
        (lambda: memory_descriptor(40, 0), wdf.STATUS_SUCCESS, 60),
        (lambda: memory_descriptor(40, 10), wdf.STATUS_SUCCESS, 10),
        (lambda: memory_descriptor(101, 0), wdf.STATUS_INTEGER_OVERFLOW, None),
        (lambda: memory_descriptor(2**64 - 1, 2), wdf.STATUS_INTEGER_OVERFLOW, None),
    ],
)
def test_what_a_descriptor_comes_to(
    make: Callable[[], Any], status: Status, length: int | None
) -> None:
    answer, found = describe(make())
    assert answer == status
    assert (None if found is None else found.length) == length


def test_a_descriptor_longer_than_its_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        describe(descriptor("BUFFER", b"abc", 4))


# ---- arguments nobody should pass ----------------------------------------------------------------


@pytest.mark.parametrize("size", [2.7, True, "8", None, 2**64, -1])
def test_a_size_is_a_size_t(size: Any, driver: wdf.WDFDRIVER) -> None:
    kind = OverflowError if type(size) is int else TypeError
    for call in (
        lambda: wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, size),
        lambda: wdf.WdfMemoryCreatePreallocated(None, bytearray(8), size),
        lambda: wdf.WdfLookasideListCreate(None, size, wdf.PagedPool, None, 0),
        lambda: wdf.WdfMemoryCopyToBuffer(membuf.Memory(8), size, bytearray(8), 1),
        lambda: wdf.WdfMemoryCopyFromBuffer(membuf.Memory(8), 0, bytearray(8), size),
        lambda: wdf.ExAllocatePool2(wdf.POOL_FLAG_PAGED, size, b"Capt"),
        lambda: wdf.WDF_ALIGN_SIZE_UP(size, 8),
    ):
        with pytest.raises(kind):
            call()
    assert driver.children == ()


@pytest.mark.parametrize(
    ("size", "kind"), [(-1, OverflowError), (2**64, OverflowError), (2.5, TypeError)]
)
def test_the_size_of_a_context_is_a_size_t(size: Any, kind: type[Exception]) -> None:
    info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=size)
    with pytest.raises(kind):
        wdf.WdfObjectCreate(typed(info))


def test_a_callback_is_callable() -> None:
    attributes = typed(COUNTERS)
    attributes.EvtCleanupCallback = "cleanup"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="cleanup"):
        wdf.WdfObjectCreate(attributes)


def test_a_block_freed_by_the_python_face_is_freed() -> None:
    block = wdf.ExAllocatePoolWithTag(wdf.PagedPool, 8, b"Capt")
    assert block is not None
    block.free()
    for pointer in (block, block.address):
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.ExFreePool(pointer)
        assert (caught.value.code, caught.value.p1) == (0xC2, 7)
    other = membuf.pool.allocate(8)
    wdf.ExFreePool(other)
    assert other.freed


def test_a_view_of_a_block_leads_back_to_it() -> None:
    block = wdf.ExAllocatePoolWithTag(wdf.PagedPool, 8, b"Capt")
    with memoryview(block) as view:  # type: ignore[arg-type]
        wdf.ExFreePool(view)
    assert block is not None
    assert block.freed


def test_what_raises_in_the_callbacks_of_an_undeleted_object_comes_second() -> None:
    def cleanup(_: Any) -> None:
        raise ValueError("planted")

    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtCleanupCallback = cleanup
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.WdfObjectDereference(made(attributes))
    assert caught.value.p1 == wdf.WDF_OBJECT_ERROR


@pytest.mark.parametrize("tag", [2**32, -1])
def test_a_tag_is_a_ulong(tag: int) -> None:
    with pytest.raises(OverflowError):
        wdf.ExAllocatePoolWithTag(wdf.PagedPool, 8, tag)


@pytest.mark.parametrize("tag", [b"", b"Fives", 2.5, None])
def test_a_tag_is_a_number_or_one_to_four_characters(tag: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        wdf.ExAllocatePoolWithTag(wdf.PagedPool, 8, tag)


def test_a_buffer_that_is_none_or_no_buffer() -> None:
    _, memory, _ = wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 8)
    with pytest.raises(TypeError):
        wdf.WdfMemoryCopyFromBuffer(memory, 0, 5, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        wdf.WdfMemoryCopyToBuffer(memory, 0, b"abc", 1)
    with pytest.raises(TypeError):
        wdf.WdfMemoryCreatePreallocated(None, "text", 1)  # type: ignore[arg-type]


def test_buffers_of_other_shapes_count_in_bytes() -> None:
    memory = membuf.Memory(64)
    numbers = np.arange(4, dtype="<u4")
    assert wdf.WdfMemoryCopyFromBuffer(memory, 0, numbers, 16) == wdf.STATUS_SUCCESS
    assert bytes(memory.buffer[:16]) == numbers.tobytes()
    with pytest.raises(ValueError, match="16 bytes"):
        wdf.WdfMemoryCopyFromBuffer(memory, 0, numbers, 17)
    with pytest.raises(ValueError, match="0 bytes"):
        wdf.WdfMemoryCopyFromBuffer(memory, 0, np.zeros((0, 4)), 1)
    with pytest.raises(TypeError):
        wdf.WdfMemoryCopyFromBuffer(memory, 0, numbers[::2], 1)


def test_a_count_of_extended_parameters_past_their_end() -> None:
    with pytest.raises(ValueError, match="2"):
        wdf.ExAllocatePool3(wdf.POOL_FLAG_PAGED, 8, b"Capt", [wdf.POOL_EXTENDED_PARAMETER()], 2)


@pytest.mark.parametrize(
    ("parameter", "works"),
    [
        (wdf.POOL_EXTENDED_PARAMETER(Type=9), False),
        (wdf.POOL_EXTENDED_PARAMETER(Type=9, Optional=True), True),
        (wdf.POOL_EXTENDED_PARAMETER(wdf.PoolExtendedParameterNumaNode), False),
        (wdf.POOL_EXTENDED_PARAMETER(wdf.PoolExtendedParameterNumaNode, Optional=True), True),
        (wdf.POOL_EXTENDED_PARAMETER(wdf.PoolExtendedParameterPriority, Priority=16), True),
    ],
)
def test_extended_parameters(parameter: Any, works: bool) -> None:
    block = wdf.ExAllocatePool3(wdf.POOL_FLAG_PAGED, 8, b"Capt", [parameter], 1)
    assert (block is not None) is works
    if block is not None:
        assert bytes(block) == bytes(8)
        wdf.ExFreePool(block)


def test_extended_parameters_that_are_not_counted_are_not_read() -> None:
    unknown = wdf.POOL_EXTENDED_PARAMETER(Type=9)
    block = wdf.ExAllocatePool3(wdf.POOL_FLAG_PAGED, 8, b"Capt", [unknown], 0)
    assert block is not None
    wdf.ExFreePool(block)
    raising = wdf.POOL_FLAG_PAGED | wdf.POOL_FLAG_RAISE_ON_FAILURE
    with pytest.raises(membuf.InsufficientResourcesError):
        wdf.ExAllocatePool3(raising, 8, b"Capt", [unknown], 1)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((0x22, 0x800, wdf.METHOD_BUFFERED, wdf.FILE_ANY_ACCESS), 0x00222000),
        (
            (0x22, 0x800, wdf.METHOD_NEITHER, wdf.FILE_READ_ACCESS | wdf.FILE_WRITE_ACCESS),
            0x0022E003,
        ),
        ((7, 2, wdf.METHOD_BUFFERED, wdf.FILE_READ_ACCESS | wdf.FILE_WRITE_ACCESS), 0x0007C008),
    ],
)
def test_control_codes(parts: tuple[int, int, int, int], code: int) -> None:
    assert wdf.CTL_CODE(*parts) == code
    assert wdf.METHOD_FROM_CTL_CODE(code) == parts[2]
    assert wdf.DEVICE_TYPE_FROM_CTL_CODE(code) == parts[0]

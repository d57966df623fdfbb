"""The life cycles of a request's memory (requests 2.7), written the way a driver would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import DeviceTarget, local_target
from membuf.request import Request
from membuf.testing.expecting import Told, settled
from tests.lower import Lower, ended, formatted, memory_disk

IO_TYPES = [membuf.BUFFERED, membuf.DIRECT, membuf.NEITHER]


@pytest.fixture(params=IO_TYPES, ids=lambda kind: kind.name)
def io_type(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def lower() -> Iterator[Lower]:
    yield from ended(Lower())


def test_s2_forwarding_the_same_request(lower: Lower) -> None:
    upper, seen = Lower(lower=local_target(lower.device)), list[int]()
    with upper.device.open() as handle:
        pending = handle.start_read(bytearray(8))
        request = upper.one()
        memory = request.output_memory()
        request.format_read(memory)
        assert memory.reference_count == 2

        def routine(done: Any, *_: Any) -> None:
            seen.append(memory.reference_count)
            done.complete(information=done.information)

        request.send(routine)
        lower.one().complete(information=8)
        assert pending.wait() == (st.STATUS_SUCCESS, 8)
        assert seen == [2]
    upper.device.delete()


@pytest.mark.parametrize("way", ["reuse", "delete", "reformat"])
@pytest.mark.parametrize("synchronous", [False, True])
def test_s3_an_own_request_with_received_memory(lower: Lower, way: str, synchronous: bool) -> None:
    upper = Lower()
    if synchronous:
        lower.device.on_write(lambda request: request.complete(information=4))
    with upper.device.open() as handle, DeviceTarget(lower.device) as target:
        pending = handle.start_write(b"12345678")
        received = upper.one()
        memory = received.input_memory()
        own = formatted(target, memory, memory_offset=2, memory_length=4)
        told = Told()
        own.send(told, synchronous=synchronous)
        if not synchronous:
            below = lower.one()
            assert bytes(below.input_buffer()) == b"3456"
            below.complete(information=4)
        assert told.one()[2].information == 4
        told.forget()
        with pytest.raises(membuf.MembufError) as caught:
            received.complete(information=8)
        assert caught.value.bugcheck is not None
        assert caught.value.bugcheck[:2] == (0x10D, 3)
        assert not pending.done
        if way == "reuse":
            own.reuse()
        elif way == "delete":
            own.delete()
        else:
            own.format_write(b"other")
        received.complete(information=8)
        assert pending.wait() == (st.STATUS_SUCCESS, 8)
    upper.device.delete()


@pytest.mark.parametrize("preallocated", [False, True])
def test_s4_memory_deleted_in_flight(lower: Lower, preallocated: bool) -> None:
    events, own_bytes = list[str](), bytearray(b"kept by you")
    callbacks: dict[str, Callable[[Any], object]] = {
        "on_cleanup": lambda _: events.append("cleanup"),
        "on_destroy": lambda _: events.append("destroy"),
    }
    if preallocated:
        memory = membuf.Memory.preallocated(own_bytes, **callbacks)
    else:
        memory = membuf.Memory(11, **callbacks)
        memory.copy_from(own_bytes)
    with DeviceTarget(lower.device) as target:
        request = formatted(target, memory)
        request.send()
        memory.delete()
        assert events == ["cleanup"]
        received = lower.one()
        assert bytes(received.input_buffer()) == b"kept by you"
        received.complete(information=11)
        assert events == ["cleanup"]
        request.reuse()
        assert events == ["cleanup", "destroy"]
    assert own_bytes == b"kept by you"


def test_s5_an_own_request_reused(io_type: Any) -> None:
    device, memory = memory_disk(io_type), membuf.Memory(512)
    before = membuf.pool.default_domain().statistics().outstanding
    with DeviceTarget(device) as target:
        request, ended = Request(target), list[int]()
        for round_ in range(1000):
            request.reuse()
            request.format_read(memory, round_ * 16)
            request.send(lambda *told: ended.append(told[2].information))
        request.reuse()
        assert ended == [512] * 1000
    assert memory.reference_count == 1
    device.delete()
    settled(
        lambda: membuf.pool.default_domain().statistics().outstanding <= before + 3,
        "no block more than a few kept by lists",
    )

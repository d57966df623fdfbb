"""Allocation failing at every point: a status, no callback for what was not made, nothing left."""

from __future__ import annotations

from typing import Any

import pytest

import membuf
import membuf.verifier
from membuf import wdf

ANSWERS = {wdf.STATUS_SUCCESS, wdf.STATUS_INSUFFICIENT_RESOURCES}


def scenario(log: list[str]) -> list[tuple[Any, ...]]:
    """Every create once, with callbacks; what each answered."""
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.ContextTypeInfo = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=16)
    attributes.EvtCleanupCallback = lambda _: log.append("c")
    attributes.EvtDestroyCallback = lambda _: log.append("d")
    answers: list[tuple[Any, ...]] = [
        wdf.WdfObjectCreate(attributes),
        wdf.WdfMemoryCreate(attributes, wdf.PagedPool, 0, 100),
        wdf.WdfMemoryCreate(attributes, wdf.NonPagedPoolNx, 0, 10000),
        wdf.WdfMemoryCreatePreallocated(attributes, bytearray(8), 8),
        wdf.WdfLookasideListCreate(attributes, 4096, wdf.PagedPool, attributes, 0),
    ]
    pages = answers[-1][1]
    if pages is not None:
        answers += [wdf.WdfMemoryCreateFromLookaside(pages) for _ in range(3)]
    for call in (wdf.ExAllocatePoolWithTag, wdf.ExAllocatePoolZero):
        block = call(wdf.PagedPool, 100, b"Capt")
        if block is not None:
            wdf.ExFreePool(block)
    return answers


def points() -> int:
    """How many allocations the scenario makes."""
    with wdf.driver("Sample") as driver:
        before = driver.statistics().allocation_points
        scenario([])
        return driver.statistics().allocation_points - before


def test_the_scenario_allocates() -> None:
    assert points() >= 7


@pytest.mark.parametrize("after", range(1, points() + 1))
def test_a_failure_at_every_allocation(after: int) -> None:
    log: list[str] = []
    with wdf.driver("Sample") as driver:
        with membuf.verifier.faults(after=after):
            answers = scenario(log)
        assert log == []
        assert {status for status, *_ in answers} <= ANSWERS
        assert driver.statistics().failures > 0
        made = [thing for _, thing, *_ in answers if thing is not None]
        assert all((made is None) == (not wdf.NT_SUCCESS(status)) for status, made, *_ in answers)
        assert len(driver.children) == len(made)
    assert sorted(log) == ["c"] * len(made) + ["d"] * len(made)
    assert driver.statistics().outstanding == 0

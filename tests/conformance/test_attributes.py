"""Every call that takes attributes answers each row; one that fails calls back nobody."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from membuf import wdf
from membuf.base.errors import BugCheck
from tests.conformance.script import number, status_name

TABLE = tomllib.loads((Path(__file__).parent / "tables" / "attributes.toml").read_text())
Attributes = wdf.WDF_OBJECT_ATTRIBUTES

CALLS: dict[str, Callable[[Attributes, int], tuple[Any, ...]]] = {
    "object": lambda a, size: wdf.WdfObjectCreate(a),
    "memory": lambda a, size: wdf.WdfMemoryCreate(a, wdf.PagedPool, 0, size),
    "preallocated": lambda a, size: wdf.WdfMemoryCreatePreallocated(a, bytearray(64), size),
    "list": lambda a, size: wdf.WdfLookasideListCreate(a, size, wdf.PagedPool, None, 0),
    "list_memory": lambda a, size: wdf.WdfLookasideListCreate(None, size, wdf.PagedPool, a, 0),
    "collection": lambda a, size: wdf.WdfCollectionCreate(a),
    "spin_lock": lambda a, size: wdf.WdfSpinLockCreate(a),
    "wait_lock": lambda a, size: wdf.WdfWaitLockCreate(a),
    "context": lambda a, size: allocate_context(a),
    "driver": lambda a, size: create_driver(a),
}


def allocate_context(attributes: Attributes) -> tuple[Any, ...]:
    _, owner = wdf.WdfObjectCreate(None)
    return wdf.WdfObjectAllocateContext(owner, attributes)


def create_driver(attributes: Attributes) -> tuple[Any, ...]:
    config = wdf.WDF_DRIVER_CONFIG()
    wdf.WDF_DRIVER_CONFIG_INIT(config, None)
    status, made = wdf.WdfDriverCreate(config, DriverAttributes=attributes)
    if made is not None:
        made.unload()
    return status, made


def cases() -> list[Any]:
    """Every row with each call."""
    return [
        pytest.param(
            row, call, row.get("but", {}).get(call, row["expect"]), id=f"{row['id']}-{call}"
        )
        for row in TABLE["attributes"]
        for call in CALLS
        if not (call == "context" and "type" not in row and expects_success(row, call))
    ]


def expects_success(row: dict[str, Any], call: str) -> bool:
    """Whether a call gets as far as needing a type, which AllocateContext does at the end."""
    return bool(row.get("but", {}).get(call, row["expect"]) == "SUCCESS")


def attributes_of(row: dict[str, Any], log: list[str]) -> Attributes:
    """What a row says, with callbacks that log."""
    attributes = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.EvtCleanupCallback = lambda _: log.append("c")
    attributes.EvtDestroyCallback = lambda _: log.append("d")
    if "type" in row:
        attributes.ContextTypeInfo = type_info(row["type"])
    for field, value in row.get("set", {}).items():
        setattr(attributes, field, field_value(attributes, field, value))
    return attributes


def type_info(fields: dict[str, Any]) -> wdf.WDF_OBJECT_CONTEXT_TYPE_INFO:
    info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=16)
    info.Size += fields.get("Size", 0)
    info.ContextName = fields.get("ContextName", "T") or None
    info.ContextSize = fields.get("ContextSize", 16)
    return info


def field_value(attributes: Attributes, field: str, value: Any) -> Any:
    if field == "Size":
        return attributes.Size + value
    if field == "ParentObject":
        return parent(value)
    return number(value) if isinstance(value, str) else value


def parent(which: str) -> Any:
    """The driver, an object that is being deleted, one that is gone, or no object at all."""
    if which == "driver":
        return wdf.WdfGetDriver()
    if which == "wrong":
        return bytearray(8)
    _, owner = wdf.WdfObjectCreate(None)
    if which == "deleting":
        wdf.WdfObjectReference(owner)
    wdf.WdfObjectDelete(owner)
    return owner


def answer(row: dict[str, Any], call: str, log: list[str]) -> tuple[str, Any]:
    """What a call answers to a row: the status or bug check, and what it made."""
    attributes = attributes_of(row, log)
    try:
        status, made, *_ = CALLS[call](attributes, 0 if row.get("zero_size") else 64)
    except BugCheck as error:
        return f"BUGCHECK {error.code:X} {error.p1:X}", None
    return status_name(status), made


@pytest.mark.parametrize(("row", "call", "expected"), cases())
def test_attributes(row: dict[str, Any], call: str, expected: str) -> None:
    log: list[str] = []
    with wdf.driver("Sample"):
        came, made = answer(row, call, log)
        before_the_end = list(log) if call != "driver" else []
    assert came == expected
    assert (made is not None) == (expected == "SUCCESS")
    assert before_the_end == []
    assert (log == []) == (expected != "SUCCESS" or call == "list_memory")


def test_no_attributes_are_the_defaults() -> None:
    with wdf.driver("Sample") as driver:
        for name in ("object", "memory", "preallocated", "list", "list_memory"):
            status, made, *_ = CALLS[name](None, 64)  # type: ignore[arg-type]
            assert status == wdf.STATUS_SUCCESS
            assert made.parent is driver
        _, owner = wdf.WdfObjectCreate(None)
        answer = wdf.WdfObjectAllocateContext(owner, None)
    assert answer == (wdf.STATUS_WDF_PARENT_NOT_SPECIFIED, None)

"""The framework's face against the table of its names: none missing, none more, in the C order."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import tomllib
import types
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from membuf import wdf
from membuf.base.status import Status

TABLE = tomllib.loads((Path(__file__).parent / "wdf_names.toml").read_text())
OURS = {"driver"}


def passed(call: dict[str, Any]) -> list[str]:
    """The parameters that are passed, in C order."""
    return [p.split()[1] for p in call["parameters"] if not p.startswith("out ")]


def returned(call: dict[str, Any]) -> int:
    """How many values come back: the call's own, and its out parameters."""
    outs = sum(p.startswith("out ") for p in call["parameters"])
    return int(outs + (call["returns"] != "VOID"))


def functions() -> set[str]:
    """The functions of the face."""
    return {name for name in wdf.__all__ if inspect.isfunction(getattr(wdf, name))}


def test_the_functions_are_those_of_the_table() -> None:
    assert functions() - OURS == {call["name"] for call in TABLE["call"]}


@pytest.mark.parametrize("call", TABLE["call"], ids=lambda call: call["name"])
def test_a_call_takes_its_parameters_in_c_order(call: dict[str, Any]) -> None:
    parameters = inspect.signature(getattr(wdf, call["name"])).parameters.values()
    in_order = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    wanted = passed(call) if call["header"] != "ntdef.h" else ["status"]
    assert in_order == wanted
    assert all(p.default is p.empty for p in parameters if p.name in wanted)


@pytest.mark.parametrize("call", TABLE["call"], ids=lambda call: call["name"])
def test_a_call_answers_its_out_parameters(call: dict[str, Any]) -> None:
    answer = inspect.signature(getattr(wdf, call["name"])).return_annotation
    values = answer.count(",") + 1 if answer.startswith("tuple[") else int(answer not in NOTHING)
    assert values == returned(call)


NOTHING = ("None", "NoReturn")


@pytest.mark.parametrize("call", TABLE["call"], ids=lambda call: call["name"])
def test_a_call_lives_in_the_module_of_its_header(call: dict[str, Any]) -> None:
    header = call["header"].removesuffix(".h")
    module = vars(wdf)[header]
    assert isinstance(module, types.ModuleType)
    assert getattr(module, call["name"]) is getattr(wdf, call["name"])
    assert call["name"] in module.__all__


@pytest.mark.parametrize("structure", TABLE["structure"], ids=lambda s: s["name"])
def test_a_structure_has_its_fields_in_c_order(structure: dict[str, Any]) -> None:
    kind = getattr(wdf, structure["name"])
    assert [field.name for field in dataclasses.fields(kind) if field.repr] == structure["fields"]
    assert getattr(kind, "SIZEOF", None) == structure.get("sizeof")


def test_a_structure_has_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        wdf.WDF_OBJECT_ATTRIBUTES().EvtCleanUpCallback = print  # type: ignore[attr-defined]


def test_a_descriptor_has_the_members_of_its_union() -> None:
    union = wdf.WDF_MEMORY_DESCRIPTOR().u
    members = {
        name: [field.name for field in dataclasses.fields(getattr(union, name))]
        for name in (field.name for field in dataclasses.fields(union))
    }
    assert members == {
        "BufferType": ["Buffer", "Length"],
        "MdlType": ["Mdl", "BufferLength"],
        "HandleType": ["Memory", "Offsets"],
    }


@pytest.mark.parametrize(("name", "number"), TABLE["status"].items())
def test_a_status_has_its_number(name: str, number: int) -> None:
    status = getattr(wdf, name)
    assert (int(status), status.name) == (number, name)
    assert name in (wdf.wdfstatus if name.startswith("STATUS_WDF") else wdf.ntstatus).__all__


@pytest.mark.parametrize(
    ("kind", "name", "number"),
    [(kind, *pair) for kind, values in TABLE["enumeration"].items() for pair in values.items()],
)
def test_an_enumeration_has_its_numbers(kind: str, name: str, number: int) -> None:
    enumeration = getattr(wdf, kind)
    assert issubclass(enumeration, enum.IntEnum)
    assert getattr(wdf, name) is enumeration[name]
    assert getattr(wdf, name) == number


@pytest.mark.parametrize(("name", "number"), TABLE["constant"].items())
def test_a_constant_has_its_number(name: str, number: int) -> None:
    assert getattr(wdf, name) == number


@pytest.mark.parametrize("name", TABLE["null"])
def test_a_null_of_the_headers_is_none(name: str) -> None:
    assert getattr(wdf, name) is None
    assert name in wdf.__all__


def test_every_member_of_an_enumeration_is_a_name_of_the_face() -> None:
    enumerations = [
        value
        for value in vars(wdf).values()
        if isinstance(value, type) and issubclass(value, enum.IntEnum)
    ]
    names = {name for enumeration in enumerations for name in enumeration.__members__}
    assert names <= set(wdf.__all__)
    assert len(names) > 100


def test_handles_are_the_objects_themselves() -> None:
    import membuf

    assert wdf.WDFOBJECT is membuf.Object
    assert wdf.WDFMEMORY is membuf.Memory
    assert wdf.WDFLOOKASIDE is membuf.LookasideList
    assert issubclass(wdf.WDFDRIVER, membuf.Domain)


def test_the_annotations_resolve() -> None:
    answer = get_type_hints(wdf.WdfObjectCreate, vars(wdf.wdfobject))["return"]
    assert get_args(answer)[0] is Status

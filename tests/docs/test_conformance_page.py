"""The conformance page cannot say what is not so: its checks, and the lies planted for them."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs._ext import conformance_data as page
from tests.conformance.cases import ids
from tests.conformance.test_scripts import FACES, rows


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> page.Data:
    """What the page is made of now."""
    return page.load(page.run_cases(tmp_path_factory.mktemp("run") / "conformance.json"))


@pytest.mark.slow
def test_the_page_contradicts_nothing(real: page.Data) -> None:
    assert page.problems(real) == []


@pytest.mark.slow
def test_the_run_has_every_case_on_every_face_it_is_for(real: page.Data) -> None:
    ran = {result["case"] for result in real.results if result["case"]}
    assert ran == set(ids())
    wanted = {(row["id"], face) for row in rows() for face in row.get("faces", FACES)}
    assert wanted <= {(r["case"], face) for r in real.results for face in r["faces"]}


@pytest.mark.slow
def test_a_strict_row_ran_in_a_strict_driver(real: page.Data) -> None:
    strict = {row["id"] for row in rows() if row.get("options", {}).get("strict")}
    ran = {r["case"] for r in real.results if r["modes"] == ["strict"]}
    assert strict
    assert strict <= ran


@pytest.mark.slow
def test_every_case_is_on_the_page(real: page.Data) -> None:
    parts = ("objects", "pool", "requests", "rules")
    shown = {row.split(" | ")[0] for part in parts for row in page.case_table(real, part)}
    assert {f"| {case}" for case in ids()} <= shown
    assert {f"| {case}" for case in real.not_held()} <= shown


@pytest.mark.slow
def test_every_call_is_on_the_page(real: page.Data) -> None:
    text = "\n".join([*page.wdf_table(real), *page.python_table(real)])
    names = [call["name"] for call in real.names["call"]] + real.run["functions"]["python"]
    assert [name for name in names if f"`{name}`" not in text] == []


# ---- planted lies --------------------------------------------------------------------------------


def result(case: str | None, *, mode: str = "default", **fields: Any) -> dict[str, Any]:
    """The result of a test."""
    whole = {"case": case, "title": "t", "test": f"tests/t.py::{case}", "outcome": "passed"}
    return {**whole, "faces": ["wdf"], "modes": [mode], "calls": ["WdfObjectCreate"], **fields}


def honest() -> page.Data:
    """A small page on which everything is right."""
    return page.Data(
        run={
            "functions": {"wdf": ["WdfObjectCreate"], "python": ["Object"]},
            "results": [result("C1"), result("C1-strict", mode="strict"), result(None)],
        },
        coverage={
            "published": {"objects": [1, 2], "pool": [], "requests": []},
            "not_covered": [{"cases": ["C2"], "reason": "later"}],
            "not_exercised": [],
        },
        differences={
            "published": {"X": 2},
            "difference": [
                difference("X1", held=["C1", "C1-strict"], strict="another"),
                difference("X2", not_held="nothing to call"),
            ],
        },
        names={"call": [{"name": "WdfObjectCreate", "header": "wdfobject.h"}]},
    )


def difference(name: str, **fields: Any) -> dict[str, Any]:
    """An entry of the list of differences."""
    return {"id": name, "documents": "a", "source": "b", "default": "a", **fields}


LIES: dict[str, tuple[Callable[[page.Data], object], str]] = {
    "a case that failed": (
        lambda data: data.results[0].update(outcome="failed"),
        "C1: failed",
    ),
    "a case whose result is missing": (
        lambda data: data.run.update(results=[]),
        "C1: neither held nor listed in coverage.toml",
    ),
    "a case that is held and listed": (
        lambda data: data.results.append(result("C2")),
        "C2: both held and listed in coverage.toml",
    ),
    "a case that is not published": (
        lambda data: data.results.append(result("C3")),
        "C3: not among the published cases",
    ),
    "a call that no test makes": (
        lambda data: data.names["call"].append({"name": "WdfSilent", "header": "wdfobject.h"}),
        "WdfSilent: no test calls it; add a case, or list it under not_exercised",
    ),
    "a call that is listed in vain": (
        lambda data: data.coverage["not_exercised"].append(
            {"call": "WdfObjectCreate", "reason": "no"}
        ),
        "WdfObjectCreate: listed under not_exercised, but called",
    ),
    "a listed call that there is not": (
        lambda data: data.coverage["not_exercised"].append({"call": "WdfNone", "reason": "no"}),
        "WdfNone: listed under not_exercised, but no call of wdf_names.toml",
    ),
    "a difference that is missing": (
        lambda data: data.differences["difference"].pop(),
        "X2: missing in differences.toml, or not a difference of the specification",
    ),
    "a difference that is told twice": (
        lambda data: data.differences["difference"].append(difference("X2", not_held="no")),
        "X2: twice in differences.toml",
    ),
    "a difference without proof or reason": (
        lambda data: data.differences["difference"][1].pop("not_held"),
        "X2: needs either held or not_held",
    ),
    "a proof that was not run": (
        lambda data: data.differences["difference"][0].update(held=["C1", "C1-strict", "C9"]),
        "X1: C9 was not run",
    ),
    "a strict answer that is held in default mode only": (
        lambda data: data.differences["difference"][0].update(held=["C1"]),
        "X1: held in default mode, not in {'strict'}",
    ),
}


def test_an_honest_page_has_no_problems() -> None:
    assert page.problems(honest()) == []


@pytest.mark.parametrize(("plant", "report"), LIES.values(), ids=LIES)
def test_a_lie_is_reported(plant: Callable[[page.Data], object], report: str) -> None:
    data = copy.deepcopy(honest())
    plant(data)
    assert report in page.problems(data)


def test_a_failure_is_shown() -> None:
    data = honest()
    data.results[0]["outcome"] = "failed"
    assert "| C1 | t |  | **failed** |  |" in page.case_table(data, "objects")
    assert "| `wdfobject.h` | `WdfObjectCreate` | C1 | 1 | **failed** |" in page.wdf_table(data)


def test_a_case_that_is_not_held_is_shown_with_its_reason() -> None:
    assert "| C2 | *not held: later* | | | |" in page.case_table(honest(), "objects")


RUN = """
import pytest
from tests.conformance.cases import case
from membuf import wdf

@case("C1")
def test_ok():
    with wdf.driver("Sample", strict=True):
        wdf.WdfObjectDelete(wdf.WdfObjectCreate(None)[1])

@case("C2")
def test_bad():
    assert wdf is None

@pytest.fixture
def broken():
    yield
    raise RuntimeError

@case("C4")
def test_bad_at_its_end(broken):
    assert wdf is not None
"""


# The plugin, told that a folder of its own is that of the cases.
SHIFTED = """
import pathlib, sys
from tests.conformance import calls, results
results.FOLDER = pathlib.Path.cwd()
calls.TESTS = str(results.FOLDER)
import pytest
pytest.main(["-p", "tests.conformance.results", "--results", "out.json"])
"""


def test_a_run_tells_what_failed_and_what_was_called(tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(RUN)
    subprocess.run(
        [sys.executable, "-c", SHIFTED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(page.ROOT), "PATH": ""},
        capture_output=True,
        check=True,
    )
    run = json.loads((tmp_path / "out.json").read_text())
    found = {entry["case"]: entry for entry in run["results"]}
    assert {case: entry["outcome"] for case, entry in found.items()} == {
        "C1": "passed",
        "C2": "failed",
        "C4": "failed",
    }
    assert found["C1"]["calls"] == ["WdfObjectCreate", "WdfObjectDelete", "driver"]
    assert found["C1"]["modes"] == ["strict"]

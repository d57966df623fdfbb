"""Every row of the tables holds on each face it is for, and each expectation of it is looked at."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.faces import PythonFace
from tests.conformance.script import Run, parse
from tests.conformance.wdf_face import WdfFace

TABLES = Path(__file__).parent / "tables"
FACES: dict[str, type[PythonFace | WdfFace]] = {"python": PythonFace, "wdf": WdfFace}


def rows() -> list[dict[str, Any]]:
    """Every row of every table of steps."""
    return [
        {**row, "table": path.stem}
        for path in sorted(TABLES.glob("*.toml"))
        for row in tomllib.loads(path.read_text()).get("case", [])
    ]


def runs() -> list[Any]:
    """Every row with each face it is for."""
    return [
        pytest.param(row, face, id=f"{row['id']}-{face}")
        for row in rows()
        for face in row.get("faces", FACES)
    ]


def run(row: dict[str, Any], face: str) -> Run:
    """Run a row on a face."""
    taken = FACES[face](**row.get("options", {}))
    taken.run.inside = row.get("inside", {})
    try:
        taken.run.take(row["steps"])
    finally:
        taken.close()
    return taken.run


@pytest.mark.parametrize(("row", "face"), runs())
def test_a_case_holds(row: dict[str, Any], face: str) -> None:
    done = run(row, face)
    assert done.failures == []
    assert done.checked == len(expectations(row))


def expectations(row: dict[str, Any]) -> list[str]:
    """The steps of a row that expect something, those in callbacks included."""
    return [step for step in steps_of(row) if "->" in step]


@pytest.mark.parametrize(("row", "face"), runs())
def test_a_case_can_fail(row: dict[str, Any], face: str) -> None:
    """With what is expected exchanged, every expectation of the row is reported."""
    wrong = {**row, "steps": spoil(row["steps"])}
    wrong["inside"] = {event: spoil(steps) for event, steps in row.get("inside", {}).items()}
    assert len(run(wrong, face).failures) == len(expectations(row)) > 0


def spoil(steps: list[str]) -> list[str]:
    """The steps, expecting what no call answers."""
    return [re.sub(r"->.*", "-> NO_SUCH_STATUS", step) for step in steps]


@pytest.mark.parametrize(
    ("steps", "failures"),
    [
        (["object X", "delete X", "log -> 'c:X d:X'"], 0),
        (["object X", "delete X", "log -> 'd:X c:X'"], 1),
        (["memory M 0"], 1),
        (["memory M 0 -> INVALID_PARAMETER"], 0),
        (["memory M 0 -> BUFFER_TOO_SMALL"], 1),
        (["memory M 8", "size M -> 9"], 1),
        (["memory M 8 -> BUGCHECK 10D 5"], 1),
        (["memory M 8 -> raises ValueError"], 1),
        (["no_such_verb"], 1),
    ],
)
@pytest.mark.parametrize("face", FACES)
def test_the_runner_sees_what_is_wrong(steps: list[str], failures: int, face: str) -> None:
    assert len(run({"steps": steps}, face).failures) == failures


def test_every_verb_is_used_by_some_row() -> None:
    used = {parse(step).verb for row in rows() for step in steps_of(row)}
    defined = {
        name.removeprefix("do_")
        for face in FACES.values()
        for name in dir(face)
        if name.startswith("do_")
    }
    assert defined - used == set()


def steps_of(row: dict[str, Any]) -> list[str]:
    """Every step of a row, those in callbacks included."""
    return [*row["steps"], *(s for inner in row.get("inside", {}).values() for s in inner)]

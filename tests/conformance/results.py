"""A pytest plugin that writes what came of the cases, as data for the documentation.

    python -m pytest -p tests.conformance.results --results FILE tests/conformance ...

Every test of a case is written, with the functions it called; so is every other test, but those
about the tables themselves.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.calls import Seen, faces, watching
from tests.conformance.cases import FOLDER

SEEN = pytest.StashKey[Seen]()
ABOUT_THE_TABLES = {"test_coverage.py", "test_wdf_names.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the name of the file to write."""
    parser.addoption("--results", type=Path, required=True, help="where to write the results")


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(Results(config.getoption("--results")))


class Results:
    """The results of a run.

    Args:
        path: the file they are written to at its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, list[dict[str, Any]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Watch the test itself, without its fixtures."""
        with watching() as seen:
            item.stash[SEEN] = seen
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note how a phase of the test ended."""
        report = yield
        entries = self.results.setdefault(item.nodeid, described(item))
        for entry in entries:
            if report.when == "call":
                entry.update(observed(item.stash[SEEN], entry))
            if report.outcome != "passed":
                entry["outcome"] = report.outcome
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        data = {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release().split('-')[0]}",
            "functions": faces(),
            "results": [entry for entries in self.results.values() for entry in entries],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(data, indent=1) + "\n")


def described(item: pytest.Item) -> list[dict[str, Any]]:
    """What is known of a test before it runs: one entry for each case it holds."""
    test = item.nodeid.partition("[")[0]
    common = {"test": test, "outcome": "passed", "faces": [], "modes": [], "calls": []}
    if item.path.name in ABOUT_THE_TABLES or "can_fail" in item.name:
        return []
    parameters = getattr(item, "callspec", None)
    given = parameters.params if parameters is not None else {}
    if isinstance(given.get("face"), str):
        common["faces"] = [given["face"]]
    rows = [value for value in given.values() if isinstance(value, dict) and "id" in value]
    if item.path.is_relative_to(FOLDER) and rows:
        titles = {row["id"]: row.get("title") or summary(row) for row in rows}
        return [{"case": case, "title": title, **common} for case, title in titles.items()]
    if item.path.name == "test_scripts.py":
        return []
    names = getattr(getattr(item, "function", None), "cases", (None,))
    return [{"case": name, "title": sentence(item), **common} for name in names]


def summary(row: dict[str, Any]) -> str:
    """A row without a title, in one line."""
    told = ((key, value) for key, value in row.items() if key not in {"id", "but"})
    return ", ".join(f"{key} {value}" for key, value in told)


def sentence(item: pytest.Item) -> str:
    """What a test says of itself by its name."""
    name = getattr(item, "originalname", None) or item.name
    return str(name).removeprefix("test_").replace("_", " ")


def observed(seen: Seen, entry: dict[str, Any]) -> dict[str, Any]:
    """What was seen of a test while it ran."""
    return {
        "calls": sorted(seen.calls),
        "faces": entry["faces"] or faces_of(entry["case"] or "", seen.calls),
        "modes": sorted(seen.modes) or ["default"],
    }


def faces_of(case: str, calls: set[str]) -> list[str]:
    """The faces that a test is about: the one its case names, or those it calls."""
    named = case.rpartition("-")[2]
    if named in {"python", "wdf"}:
        return [named]
    wdf = set(faces()["wdf"])
    return sorted({"wdf" if name in wdf else "python" for name in calls})

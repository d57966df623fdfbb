"""What the conformance page is made of: the results of a run, the lists beside the cases, checks.

Everything on the page comes from `Data`; `problems` says where the parts of it contradict each
other. Nothing here needs Sphinx.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFORMANCE = ROOT / "tests" / "conformance"
LETTERS = {"objects": "C", "pool": "P", "requests": "Q"}

_NUMBERED = re.compile(r"([CPQ]\d+)(?![\d.])")


@dataclass(frozen=True)
class Data:
    """The results of a run, and what the tests' folder says beside its cases.

    Args:
        run: what `tests.conformance.results` wrote.
        coverage: coverage.toml.
        differences: differences.toml.
        names: wdf_names.toml.
    """

    run: dict[str, Any]
    coverage: dict[str, Any]
    differences: dict[str, Any]
    names: dict[str, Any]

    @property
    def results(self) -> list[dict[str, Any]]:
        """Every test that was watched; those of cases have one in `case`."""
        results: list[dict[str, Any]] = self.run["results"]
        return results

    def of_case(self, case: str) -> list[dict[str, Any]]:
        """The results of a case, or of a test by its name."""
        return [r for r in self.results if case in {r["case"], r["test"]}]

    def published(self) -> list[str]:
        """The numbered cases of the specification, in its order."""
        numbers: dict[str, list[int]] = self.coverage["published"]
        return [f"{LETTERS[spec]}{n}" for spec, cases in numbers.items() for n in cases]

    def held(self) -> dict[str, list[dict[str, Any]]]:
        """The results by the numbered case they are about."""
        held: dict[str, list[dict[str, Any]]] = {}
        for result in self.results:
            if (number := numbered(result["case"])) is not None:
                held.setdefault(number, []).append(result)
        return held

    def not_held(self) -> dict[str, str]:
        """The cases that nothing holds, and why."""
        entries = self.coverage["not_covered"]
        return {case: entry["reason"] for entry in entries for case in entry["cases"]}


def run_cases(path: Path) -> dict[str, Any]:
    """Run the cases, and the tests of the framework's face, on the installed package.

    Args:
        path: where to leave the results.

    Raises:
        RuntimeError: pytest did not get as far as a result.
    """
    tests = ["tests/conformance", *sorted(map(str, ROOT.glob("tests/unit/test_wdf_*.py")))]
    plugin = ["-p", "tests.conformance.results", "--results", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the cases did not run: {done.stdout}{done.stderr}")
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def load(run: dict[str, Any]) -> Data:
    """The results of a run with the lists of this checkout."""
    lists = ("coverage", "differences", "wdf_names")
    return Data(run, *(tomllib.loads((CONFORMANCE / f"{name}.toml").read_text()) for name in lists))


def numbered(case: str | None) -> str | None:
    """The number of the case that a row or procedure is about: C28 of C28-strict."""
    found = _NUMBERED.match(case or "")
    return found[1] if found else None


# ---- what may not be -----------------------------------------------------------------------------


def problems(data: Data) -> list[str]:
    """Where the page would say something that is not so."""
    return [
        *failures(data),
        *gaps(data),
        *untested_calls(data),
        *loose_differences(data),
    ]


def failures(data: Data) -> Iterator[str]:
    """Tests that did not pass."""
    for result in data.results:
        if result["outcome"] != "passed":
            yield f"{result['case'] or result['test']}: {result['outcome']}"


def gaps(data: Data) -> Iterator[str]:
    """Published cases without a result or a reason, or with both."""
    held, not_held = data.held(), data.not_held()
    for case in data.published():
        if (case in held) == (case in not_held):
            what = "both held and listed" if case in held else "neither held nor listed"
            yield f"{case}: {what} in coverage.toml"
    for case in sorted({*held, *not_held} - set(data.published())):
        yield f"{case}: not among the published cases"


def untested_calls(data: Data) -> Iterator[str]:
    """Calls of the framework's face that no test made and that are not listed, or are in vain."""
    called = {name for result in data.results for name in result["calls"]}
    listed = {entry["call"] for entry in data.coverage.get("not_exercised", [])}
    known = {call["name"] for call in data.names["call"]}
    for name in sorted(known - called - listed):
        yield f"{name}: no test calls it; add a case, or list it under not_exercised"
    for name in sorted(listed & called):
        yield f"{name}: listed under not_exercised, but called"
    for name in sorted(listed - known):
        yield f"{name}: listed under not_exercised, but no call of wdf_names.toml"


def loose_differences(data: Data) -> Iterator[str]:
    """Differences without proof, and numbers of the specification's lists that are missing."""
    entries = data.differences["difference"]
    numbers = [entry["id"] for entry in entries]
    for number in sorted(expected_differences(data) ^ set(numbers)):
        yield f"{number}: missing in differences.toml, or not a difference of the specification"
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        yield f"{number}: twice in differences.toml"
    for entry in entries:
        if ("held" in entry) == ("not_held" in entry):
            yield f"{entry['id']}: needs either held or not_held"
        yield from unproven(data, entry)


def unproven(data: Data, entry: dict[str, Any]) -> Iterator[str]:
    """What a difference names as its proof and is not."""
    results = [result for name in entry.get("held", []) for result in data.of_case(name)]
    for name in entry.get("held", []):
        if not data.of_case(name):
            yield f"{entry['id']}: {name} was not run"
    modes = {mode for result in results for mode in result["modes"]}
    wanted = {"default", "strict"} if "strict" in entry else {"default"}
    if results and not wanted <= modes:
        yield f"{entry['id']}: held in {', '.join(sorted(modes))} mode, not in {wanted - modes}"


def expected_differences(data: Data) -> set[str]:
    """The numbers of the specification's own lists of differences."""
    counts: dict[str, int] = data.differences["published"]
    return {f"{letter}{n}" for letter, count in counts.items() for n in range(1, count + 1)}


# ---- tables --------------------------------------------------------------------------------------


def summary_table(data: Data) -> list[str]:
    """How many cases of each part of the specification are held."""
    held, not_held = data.held(), data.not_held()
    rows = ["| part | published | held | not held | tests |", "|---|--:|--:|--:|--:|"]
    for spec, letter in LETTERS.items():
        cases = [case for case in data.published() if case.startswith(letter)]
        tests = sum(len(held.get(case, [])) for case in cases)
        absent = sum(case in not_held for case in cases)
        rows.append(
            f"| {letter}: {PARTS[spec]} | {len(cases)} | {len(cases) - absent} "
            f"| {absent} | {tests} |"
        )
    others = [r for r in data.results if r["case"] and numbered(r["case"]) is None]
    rows.append(f"| rules outside the numbered cases | | | | {len(others)} |")
    return rows


PARTS = {
    "objects": "objects, memory objects, lookaside lists",
    "pool": "pool, MDLs, DMA",
    "requests": "requests, targets, queues",
}


def case_table(data: Data, part: str) -> list[str]:
    """Every numbered case of a part of the specification, in order; the rest under `rules`."""
    rows = ["| case | what | Python | WDF | strict |", "|---|---|---|---|---|"]
    if part == "rules":
        results = [r for r in data.results if r["case"] and numbered(r["case"]) is None]
        return rows + list(case_rows(results))
    held, not_held = data.held(), data.not_held()
    for case in data.published():
        if case.startswith(LETTERS[part]):
            rows += case_rows(held.get(case, []))
            if case in not_held:
                rows.append(f"| {case} | *not held: {cell(not_held[case])}* | | | |")
    return rows


def case_rows(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A row for each case of some results."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        cases.setdefault(result["case"], []).append(result)
    for case, ran in cases.items():
        python = verdict([r for r in ran if "python" in r["faces"]])
        wdf = [r for r in ran if "wdf" in r["faces"]]
        default = verdict([r for r in wdf if "default" in r["modes"]])
        strict = verdict([r for r in wdf if "strict" in r["modes"]])
        yield f"| {case} | {cell(ran[0]['title'])} | {python} | {default} | {strict} |"


def verdict(results: list[dict[str, Any]]) -> str:
    """What came of a case on a face."""
    if not results:
        return ""
    return "held" if all(r["outcome"] == "passed" for r in results) else "**failed**"


def wdf_table(data: Data) -> list[str]:
    """Every call of the framework's face with its cases, by header."""
    rows = ["| header | call | cases | other tests | result |", "|---|---|---|--:|---|"]
    headers = {call["name"]: call["header"] for call in data.names["call"]}
    in_order = sorted(headers, key=lambda name: (headers[name], name))
    return rows + [f"| `{headers[name]}` {call_row(data, name)}" for name in in_order]


def python_table(data: Data) -> list[str]:
    """Every function, class and method of the Python face with its cases."""
    rows = ["| call | cases | other tests | result |", "|---|---|--:|---|"]
    return rows + [call_row(data, name) for name in data.run["functions"]["python"]]


def call_row(data: Data, name: str) -> str:
    """A call, the cases that make it, and what came of them."""
    made = [result for result in data.results if name in result["calls"]]
    cases = short_list({r["case"] for r in made if r["case"]})
    others = sum(result["case"] is None for result in made)
    listed = {e["call"]: e["reason"] for e in data.coverage.get("not_exercised", [])}
    came = verdict(made) or cell(f"*{listed.get(name, 'no case')}*")
    return f"| `{name}` | {cases} | {others or ''} | {came} |"


def short_list(cases: Iterable[str]) -> str:
    """Cases in a line: numbered ones by number, and how many rules there are beside."""
    numbers = {number for case in cases if (number := numbered(case)) is not None}
    rules = {case for case in cases if numbered(case) is None}
    words = sorted(numbers, key=lambda case: (case[0], int(case[1:])))
    words += [f"{len(rules)} rule{'s' * (len(rules) > 1)}"] if rules else []
    return ", ".join(words)


def difference_rows(data: Data, letter: str) -> list[str]:
    """The differences of one of the specification's lists."""
    rows = ["| # | documents | source | membuf | held by |", "|---|---|---|---|---|"]
    for entry in data.differences["difference"]:
        if entry["id"].rstrip("0123456789") == letter:
            strict = f"; strict: {entry['strict']}" if "strict" in entry else ""
            ours = entry["default"] + strict
            proof = ", ".join(map(proof_name, entry.get("held", [])))
            proof = proof or f"*nothing: {entry['not_held']}*"
            told = map(cell, (entry["id"], entry["documents"], entry["source"], ours, proof))
            rows.append(f"| {' | '.join(told)} |")
    return rows


def proof_name(name: str) -> str:
    """A case as it is, a test by its file and name."""
    file, _, test = name.partition("::")
    return f"{Path(file).name}: {test.removeprefix('test_').replace('_', ' ')}" if test else name


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return " ".join(text.replace("|", "\\|").split())

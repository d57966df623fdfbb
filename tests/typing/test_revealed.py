"""What type checkers see is what is meant: mypy and pyright agree with the files in `cases`.

A line `reveal_type(x)  # int` in a case must reveal exactly that to both checkers. Names are
compared without their modules, since the checkers write those differently. The cases are run as
well: a type that is right of a call that fails is worth nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.meta.checks.tree import ROOT

CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))
EXPECTED = re.compile(r"^\s*reveal_type\(.*\)\s+# (?P<type>.+)$")
MYPY = re.compile(r'^[^:]+:(?P<line>\d+): note: Revealed type is "(?P<type>.*)"$', re.MULTILINE)
PYRIGHT = re.compile(
    r'^.*:(?P<line>\d+):\d+ - information: Type of ".*" is "(?P<type>.*)"$', re.MULTILINE
)
ERROR = re.compile(r"^.*(?::\d+: error:|\d - error:).*$", re.MULTILINE)


def expected(case: Path) -> dict[int, str]:
    """The types a case says are revealed, by line number."""
    return {
        number: plain(match["type"])
        for number, line in enumerate(case.read_text().splitlines(), start=1)
        if (match := EXPECTED.match(line))
    }


def plain(type_name: str) -> str:
    """A type without modules and without the marks of inference."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)|\?$|\*", "", type_name)


def revealed_by_mypy(case: Path) -> tuple[dict[int, str], list[str]]:
    """The types mypy reveals by line, and its errors."""
    output = checked(
        sys.executable, "-m", "mypy", "--config-file", f"{ROOT / 'pyproject.toml'}", f"{case}"
    )
    return found(MYPY, case, output)


def revealed_by_pyright(case: Path) -> tuple[dict[int, str], list[str]]:
    """The types pyright reveals by line, and its errors."""
    output = checked(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, f"{case}")
    return found(PYRIGHT, case, output)


def checked(*command: str) -> str:
    """What a checker prints of a case; its exit code is in what it prints."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def found(pattern: re.Pattern[str], case: Path, output: str) -> tuple[dict[int, str], list[str]]:
    """The revealed types and the errors that a checker's output has for a case."""
    types = {int(match["line"]): plain(match["type"]) for match in pattern.finditer(output)}
    return types, [match[0] for match in ERROR.finditer(output) if case.name in match[0]]


CHECKERS = pytest.mark.parametrize("reveal", [revealed_by_mypy, revealed_by_pyright])
Reveal = Callable[[Path], tuple[dict[int, str], list[str]]]


@CHECKERS
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_checker_sees_what_is_meant(reveal: Reveal, case: Path) -> None:
    types, errors = reveal(case)
    assert (types, errors) == (expected(case), [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_case_runs(case: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(case)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@CHECKERS
def test_a_wrong_type_is_reported(reveal: Reveal, tmp_path: Path) -> None:
    case = tmp_path / "planted.py"
    case.write_text(
        "from typing import reveal_type\n"
        "import membuf\n"
        "reveal_type(membuf.align_up(1, 8))  # str\n"
        "membuf.align_up('1', 8)\n"
    )
    types, errors = reveal(case)
    assert types == {3: "int"}
    assert types != expected(case)
    assert len(errors) == 1

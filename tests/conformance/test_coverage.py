"""Every published case is held or listed with the reason why not, and never both."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

from tests.conformance.cases import ids
from tests.conformance.test_scripts import rows

COVERAGE = tomllib.loads((Path(__file__).parent / "coverage.toml").read_text())

_CASE = re.compile(r"[CPQ]\d+(?![\d.])")


def published() -> set[str]:
    """The cases of the specification that are published."""
    numbers = COVERAGE["published"]
    letters = {"objects": "C", "pool": "P", "requests": "Q"}
    return {f"{letters[spec]}{n}" for spec, cases in numbers.items() for n in cases}


def held() -> set[str]:
    """The cases that some row or procedure holds."""
    return {found.group() for name in ids() if (found := _CASE.match(name))}


def left_out() -> list[str]:
    """The cases that are listed as not covered."""
    return [case for entry in COVERAGE["not_covered"] for case in entry["cases"]]


def test_every_published_case_is_held_or_listed() -> None:
    assert published() - held() - set(left_out()) == set()


def test_nothing_is_both_held_and_listed() -> None:
    assert held() & set(left_out()) == set()


def test_only_published_cases_are_named() -> None:
    assert held() | set(left_out()) <= published()
    assert {entry["case"] for entry in COVERAGE["partly"]} <= held()


def test_no_case_is_listed_and_no_row_is_named_twice() -> None:
    counts = Counter([*left_out(), *ids()])
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_omission_has_its_reason() -> None:
    reasons = [
        *(entry["reason"] for entry in COVERAGE["not_covered"]),
        *(entry["missing"] for entry in COVERAGE["partly"]),
        *(entry["reason"] for entry in COVERAGE["does_not_apply"]),
        *(entry["reason"] for entry in COVERAGE["not_exercised"]),
    ]
    assert min(len(reason) for reason in reasons) > 10


def test_rows_have_titles() -> None:
    assert [row["id"] for row in rows() if not row.get("title")] == []

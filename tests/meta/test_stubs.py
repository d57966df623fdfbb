"""The stubs say what the running modules say; and stubtest sees it where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.checks.stubs import stub_errors
from tests.meta.checks.tree import ROOT

OPTIONS = (
    f"--mypy-config-file={ROOT / 'pyproject.toml'}",
    f"--allowlist={ROOT / 'tests' / 'typing' / 'stubtest-allowed.txt'}",
    "--ignore-unused-allowlist",
)


def test_stubs_and_modules_agree() -> None:
    assert stub_errors("membuf", *OPTIONS) == ""


@pytest.mark.parametrize(
    "stub",
    [
        "def f(size: int) -> int: ...",
        "def f(length: int, zero: bool) -> int: ...",
        "def g() -> int: ...",
    ],
    ids=["renamed argument", "argument too many", "no such function"],
)
def test_a_stub_that_lies_is_reported(tmp_path: Path, stub: str) -> None:
    (tmp_path / "planted.py").write_text("def f(length):\n    return length\n")
    (tmp_path / "planted.pyi").write_text(stub + "\n")
    assert "planted" in stub_errors("planted", search=tmp_path)


def test_a_stub_that_tells_the_truth_is_not(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("def f(length):\n    return length\n")
    (tmp_path / "planted.pyi").write_text("def f(length: int) -> int: ...\n")
    assert stub_errors("planted", search=tmp_path) == ""

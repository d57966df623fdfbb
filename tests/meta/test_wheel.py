"""What is installed is the package, all of it and nothing else; and the check sees the rest."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.meta.checks.tree import PACKAGE, ROOT, tracked_files
from tests.meta.checks.wheel import defects

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SOURCE = [
    name.removeprefix("src/")
    for name in tracked_files()
    if name.startswith("src/membuf/") and name.endswith((".py", ".pyi"))
]


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The files of the installed membuf; of a wheel built here if the tree is installed."""
    names = [str(name) for name in importlib.metadata.files("membuf") or []]
    if "membuf/__init__.py" in names:
        return [name for name in names if not name.endswith(".pyc")]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", str(tmp_path), str(ROOT)],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_is_complete_and_clean(installed: list[str]) -> None:
    assert defects(installed, SOURCE, SUFFIX) == []


GOOD = ["membuf/__init__.py", "membuf/py.typed", "membuf/_native.pyi", f"membuf/_native{SUFFIX}"]


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (GOOD[1:], "membuf/__init__.py: missing"),
        ([name for name in GOOD if "typed" not in name], "membuf/py.typed: missing"),
        ([*GOOD, "membuf/_native/pool.c"], "membuf/_native/pool.c: has no place in a wheel"),
        ([*GOOD, "tests/conftest.py"], "tests/conftest.py: has no place in a wheel"),
        (
            [*GOOD[:3], "membuf/_native.cpython-399-x.so"],
            f"membuf/_native.pyi: a stub without a module built for {SUFFIX}",
        ),
    ],
)
def test_a_defect_is_reported(names: list[str], finding: str) -> None:
    assert defects(names, [], SUFFIX) == [finding]


def test_a_forgotten_module_is_reported() -> None:
    assert defects(GOOD, ["membuf/pool/limits.py"], SUFFIX) == ["membuf/pool/limits.py: missing"]
    assert PACKAGE.is_dir()

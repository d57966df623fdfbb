"""Imports point one way, in Python, Cython and C; and the check sees it where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.checks.layering import interpreter_uses, violations
from tests.meta.checks.tree import PACKAGE


def test_the_package_keeps_the_direction_of_flow() -> None:
    assert violations(PACKAGE) == []


def test_the_block_store_knows_no_interpreter() -> None:
    assert interpreter_uses(PACKAGE / "_native" / "store") == []


@pytest.mark.parametrize("line", ["#include <Python.h>", '#  include "../native.h"'])
def test_a_store_that_knows_one_is_reported(tmp_path: Path, line: str) -> None:
    (tmp_path / "region.c").write_text(f"#include <sys/mman.h>\n{line}\n")
    (finding,) = interpreter_uses(tmp_path)
    assert finding.startswith("region.c:2:")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pool/tags.py", "import membuf.memory"),
        ("pool/tags.py", "from membuf.target.file import FileTarget"),
        ("pool/tags.py", "from membuf import target"),
        ("pool/tags.py", "from membuf import Memory"),
        ("pool/tags.py", "import membuf"),
        ("pool/tags.py", "from ..memory import objects"),
        ("pool/tags.py", "def late():\n    from membuf.memory import objects"),
        ("pool/tags.py", "import importlib\nimportlib.import_module('membuf.bus')"),
        ("base/errors.py", "import membuf._native"),
        ("request/io.py", "import membuf.wdf"),
        ("bus/files.py", "import membuf.cli.copy"),
        ("memory/store.pyx", "from membuf.request cimport io"),
        ("memory/store.pyx", "cimport membuf.target.ring as ring"),
        ("memory/store.pxd", "from ..target.ring cimport Ring"),
        ("_native/errors.c", 'module = PyImport_ImportModule("membuf.target.file");'),
        ("newfolder/part.py", "import membuf.pool"),
    ],
)
def test_a_wrong_import_is_reported(tmp_path: Path, name: str, line: str) -> None:
    package = plant(tmp_path, name, line)
    (finding,) = violations(package)
    assert finding.startswith(f"{name}:")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("target/file.py", "from membuf.base import errors\nfrom membuf.request import io"),
        ("target/ring.pyx", "from membuf.memory cimport objects\ncimport cython, libc.stdint"),
        ("pool/tags.py", "from membuf import _native\nfrom . import sizes"),
        ("wdf/memory.py", "import membuf\nfrom membuf.bus import files"),
        ("_native/errors.c", 'module = PyImport_ImportModule("membuf.base.errors");'),
        ("_native/lists.c", 'module = PyImport_ImportModule("membuf.pool.statistics");'),
        ("__init__.py", "from membuf.bus import open_target"),
    ],
)
def test_a_right_import_is_not(tmp_path: Path, name: str, line: str) -> None:
    assert violations(plant(tmp_path, name, line)) == []


def plant(folder: Path, name: str, line: str) -> Path:
    """A package with one file in it."""
    package = folder / "membuf"
    file = package / name
    file.parent.mkdir(parents=True)
    file.write_text(line + "\n")
    return package

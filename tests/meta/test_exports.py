"""An extension module exports its initialization and nothing else; and the check sees more.

A symbol that leaks out of the core could be taken for one of another library in the process.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

import membuf

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
MODULES = sorted(Path(membuf._native.__file__).parent.rglob(f"*{SUFFIX}"))


def exported(module: Path) -> list[str]:
    """The symbols a shared library offers to others."""
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=just-symbols", str(module)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.split() if name not in {"_init", "_fini"}]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name.partition(".")[0])
def test_a_module_exports_its_initialization_alone(module: Path) -> None:
    assert exported(module) == [f"PyInit_{module.name.partition('.')[0]}"]


def test_one_symbol_more_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "planted.c"
    source.write_text("void PyInit_planted(void) {} void helper(void) {} static int hidden;")
    library = tmp_path / "planted.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    assert sorted(exported(library)) == ["PyInit_planted", "helper"]

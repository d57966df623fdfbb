"""No tracked file names a folder of somebody's machine; and the check finds one it plants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.checks.paths import machine_paths
from tests.meta.checks.tree import ROOT, tracked_files


def test_no_tracked_file_names_a_folder_of_a_machine() -> None:
    assert machine_paths(ROOT, tracked_files()) == []


@pytest.mark.parametrize("folder", ["home", "root", "work", "Users", "opt"])
def test_such_a_folder_is_reported(tmp_path: Path, folder: str) -> None:
    (tmp_path / "notes.md").write_text(f"first line\nsee /{folder}/somebody/notes\n")
    (finding,) = machine_paths(tmp_path, ["notes.md"])
    assert finding.startswith("notes.md:2:")


@pytest.mark.parametrize(
    "text", ["/dev/zero", "/tmp/x", "$HOME/work/x", "docs/home/index", "a/work/b"]
)
def test_folders_that_are_the_same_everywhere_are_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.md").write_text(text)
    assert machine_paths(tmp_path, ["notes.md"]) == []

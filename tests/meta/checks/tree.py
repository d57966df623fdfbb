"""The files of this checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "src" / "membuf"


def tracked_files(root: Path = ROOT) -> list[str]:
    """The names of the files that are, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (root / name).is_file())


def suite_files(root: Path = ROOT) -> list[Path]:
    """The Python files of the test suite."""
    return [
        root / name
        for name in tracked_files(root)
        if name.startswith("tests/") and name.endswith(".py")
    ]

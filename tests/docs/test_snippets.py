"""Every code block of the documentation is a file, and every such file runs.

A snippet is run in an empty folder, with warnings as errors. Where a file of the same name with
the suffix `.out` lies beside it, the snippet must print exactly that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
SNIPPETS = DOCS / "snippets"
RUNNERS = {
    ".py": [sys.executable, "-W", "error"],
    ".sh": [shutil.which("bash") or "bash", "-euo", "pipefail"],
}
# Blocks that are not code: drawings and what a program prints are `text` and come from a file too.
FENCE = re.compile(r"^(?:`{3,}|:{3,})(\{?[\w-]+\}?)(.*)$", re.MULTILINE)
SIDES = ("kmdf.c", "wdf.py", "python.py")
PROSE = {
    "{toctree}", "{eval-rst}", "{note}", "{warning}", "{status-table}", "{case-table}",
    "{conformance}", "{side-by-side}",
}  # fmt: skip


def run(snippet: Path, folder: Path) -> str:
    """What a snippet prints; its failure is a failure of the test."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [*RUNNERS[snippet.suffix], str(snippet)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{snippet} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def loose_blocks(page: str) -> list[str]:
    """The code blocks of a page that are not taken from a file."""
    allowed = PROSE | {"{literalinclude}"}
    return [match[0] for match in FENCE.finditer(page) if match[1] not in allowed]


def included(page: Path) -> set[Path]:
    """The files a page takes its code blocks from."""
    names = re.findall(r"\{literalinclude\} (\S+)", page.read_text())
    tasks = re.findall(r"\{side-by-side\} (\S+)", page.read_text())
    return {(page.parent / name).resolve() for name in names} | {
        SNIPPETS / "porting" / task / side for task in tasks for side in SIDES
    }


ALL = sorted(path for path in SNIPPETS.rglob("*") if path.suffix in RUNNERS)
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("snippet", ALL, ids=lambda path: str(path.relative_to(SNIPPETS)))
def test_a_snippet_runs_and_prints_what_the_page_shows(snippet: Path, tmp_path: Path) -> None:
    printed = run(snippet, tmp_path)
    expected = snippet.with_suffix(".out")
    if expected.exists():
        assert printed == expected.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_every_code_block_of_a_page_is_a_file(page: Path) -> None:
    assert loose_blocks(page.read_text()) == []


def test_every_snippet_is_shown_somewhere() -> None:
    shown = set().union(*map(included, PAGES)) | {SNIPPETS / "readme.py"}
    files = {path for path in SNIPPETS.rglob("*") if path.is_file() and path.name != "ruff.toml"}
    assert files - shown == set()


def test_a_snippet_that_fails_is_reported(tmp_path: Path) -> None:
    snippet = tmp_path / "planted.py"
    snippet.write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n")
    with pytest.raises(AssertionError, match="DeprecationWarning"):
        run(snippet, tmp_path)


def test_a_code_block_without_a_file_is_reported() -> None:
    assert loose_blocks("text\n\n```python\nprint(1)\n```\n") == ["```python"]
    assert loose_blocks("```{literalinclude} x.py\n```\n") == []

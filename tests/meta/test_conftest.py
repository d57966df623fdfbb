"""The fixture that every test runs under sees a test that leaves something."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.meta.checks.tree import ROOT

TESTS = {
    "a block in a global": "held = []\ndef test(): held.append(membuf.Memory(64, tag='Leak'))",
    "a view of a deleted object": (
        "held = []\n"
        "def test():\n"
        "    memory = membuf.Memory(64, tag='Leak')\n"
        "    held.append(memory.buffer)\n"
        "    memory.delete()"
    ),
}


def ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def outcome(folder: Path, text: str, before: Callable[[], None] | None = None) -> str:
    """What pytest says of a test file under the fixture of this suite."""
    (folder / "conftest.py").write_text("from tests.conftest import nothing_is_left\n")
    (folder / "test_planted.py").write_text(f"import membuf\n{text}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        preexec_fn=before,
    )
    return done.stdout


@pytest.mark.parametrize("text", TESTS.values(), ids=TESTS)
def test_what_a_test_leaves_is_reported(tmp_path: Path, text: str) -> None:
    output = outcome(tmp_path, text)
    assert "1 passed, 1 error" in output
    assert "blocks not given back: 1" in output
    assert "tag 'Leak'" in output


def test_what_only_the_collector_frees_is_no_leak(tmp_path: Path) -> None:
    text = "def test():\n    cycle = [membuf.Memory(64)]\n    cycle.append(cycle)"
    assert "1 passed in" in outcome(tmp_path, text)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_a_signal_ignored_by_who_started_the_suite_is_heard(tmp_path: Path, name: str) -> None:
    text = (
        "import signal, subprocess, sys\n"
        "def test():\n"
        f"    assert signal.getsignal(signal.{name}) is not signal.SIG_IGN\n"
        "    child = [sys.executable, '-c', 'import signal; signal.raise_signal(signal."
        f"{name})']\n"
        "    assert subprocess.run(child, stderr=subprocess.DEVNULL).returncode != 0"
    )
    assert "1 passed in" in outcome(tmp_path, text, before=ignore_signals)

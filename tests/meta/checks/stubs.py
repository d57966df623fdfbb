"""Stubs say of a module what the running module says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def stub_errors(module: str, *options: str, search: Path | None = None) -> str:
    """What stubtest says about a module and those below it; empty where stub and module agree.

    Args:
        module: The module's full name.
        options: Further options for stubtest.
        search: A folder to import the module from, in place of the installed one.
    """
    folders = {} if search is None else {"MYPYPATH": str(search), "PYTHONPATH": str(search)}
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", module, "--concise", *options],
        env=os.environ | folders,
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr

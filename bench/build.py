"""Compiles the benchmarks' own C files, into build/bench."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def program(source: str, *libraries: str) -> Path:
    """The program made of a C file of this folder.

    Raises:
        subprocess.CalledProcessError: it does not compile: a header or a library is missing.
    """
    return compiled(source, Path(source).stem, *libraries)


def compiled(source: str, name: str, *options: str) -> Path:
    """The file made of a C file, compiled when that is newer."""
    target, path = ROOT / "build" / "bench" / name, HERE / source
    if not target.exists() or target.stat().st_mtime < path.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{name}.{os.getpid()}")
        command = ["cc", "-O3", "-o", str(draft), str(path), *options]
        subprocess.run(command, check=True, capture_output=True, text=True)
        draft.replace(target)
    return target

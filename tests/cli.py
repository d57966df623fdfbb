"""Running the command line as a user does: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "membuf.cli")
MIB = 1 << 20


def membuf(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `membuf ARGUMENTS`; standard output and error are kept, as text."""
    options = {"stdin": subprocess.DEVNULL, "text": True, "timeout": 120} | options
    if "stdout" not in options:
        options["stdout"] = subprocess.PIPE
    return subprocess.run([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, **options)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start `membuf ARGUMENTS`; its standard error can be read."""
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, **options)


def copied(*arguments: object, **options: Any) -> dict[str, Any]:
    """Run `membuf copy --json ARGUMENTS`, which must succeed; its result."""
    done = membuf("copy", "--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["pool"]["outstanding"] == 0
    return result


def refused(code: int, *arguments: object, **options: Any) -> str:
    """Run `membuf copy ARGUMENTS`, which must fail with an exit code; what it said."""
    done = membuf("copy", *arguments, **options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    said: str = done.stderr
    return said


def patched(statements: str, *arguments: object, **options: Any) -> Any:
    """Run `membuf ARGUMENTS` after Python statements that plant a defect."""
    program = f"{statements}\nimport sys\nfrom membuf.cli import main\nmain()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL, "text": True, "timeout": 120} | options
    return subprocess.run(command, capture_output=True, **options)


def make_data(path: Path, size: int, seed: int = 1) -> bytes:
    """Fill a file with bytes that do not repeat, and return them."""
    import random

    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return data


def make_sparse(path: Path, size: int, parts: dict[int, bytes]) -> None:
    """Make a file of holes with some data."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)


def extents(path: Path) -> list[tuple[int, int]]:
    """Where a file has data, as the file system tells: (first, end) pairs."""
    found: list[tuple[int, int]] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        end = 0
        while end < size:
            try:
                first = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), first, os.SEEK_HOLE)
            found.append((first, end))
    return found


def without_privileges(*command: str) -> list[str]:
    """A command line that runs a command bound by permissions, also where the tests are root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--", *command]


@contextmanager
def loop_device(file: Path) -> Iterator[Path]:
    """A block device over a file; root only."""
    attached = subprocess.run(
        ["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True
    )
    device = Path(attached.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)

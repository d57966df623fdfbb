"""What the tests share: a recorder for callbacks, figures of a tag, child interpreters."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import membuf

ROOT = Path(__file__).resolve().parent.parent
# A sanitizer takes over malloc, mlock and faults, and more address space than can be limited. What
# is about these is left out of its runs, as what is slow is.
without_sanitizer = pytest.mark.slow


class Recorder:
    """Callbacks that write down what ran, in order: ``c:NAME`` and ``d:NAME``."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def hooks(
        self,
        name: str,
        cleanup: Callable[[Any], object] | None = None,
        destroy: Callable[[Any], object] | None = None,
    ) -> dict[str, Callable[[Any], None]]:
        """The two callbacks of an object, as keyword arguments; each may do something more."""

        def on_cleanup(handle: Any) -> None:
            self.log.append(f"c:{name}")
            if cleanup is not None:
                cleanup(handle)

        def on_destroy(handle: Any) -> None:
            self.log.append(f"d:{name}")
            if destroy is not None:
                destroy(handle)

        return {"on_cleanup": on_cleanup, "on_destroy": on_destroy}

    @property
    def text(self) -> str:
        """The log in one line."""
        return " ".join(self.log)


def raises(error: BaseException) -> Callable[[Any], None]:
    """A callback that raises."""

    def callback(handle: Any) -> None:
        raise error

    return callback


def figures(tag: str, pool: int = membuf.NONPAGED) -> tuple[int, int, int]:
    """Allocations, frees and bytes of a tag in the current domain; zeros where it is unknown."""
    for record in membuf.pool.statistics().tags:
        if (record.tag, int(record.pool)) == (tag, int(pool)):
            return record.allocations, record.frees, record.bytes
    return 0, 0, 0


# After the import: nobody may not be able to read where the interpreter and membuf lie.
DROP = "import membuf, os, re, resource\nos.getuid() or os.setuid(65534)\n"


def run_python(
    code: str,
    *arguments: str,
    limits: Mapping[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
    unprivileged: bool = False,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run code in a child interpreter.

    Args:
        code: the program; indentation common to all lines is removed.
        arguments: what it finds in ``sys.argv[1:]``.
        limits: soft and hard limits by ``resource.RLIMIT_...``.
        environment: variables beside the present ones.
        unprivileged: whether root becomes nobody, without capabilities, once membuf is imported.
        timeout: seconds until it counts as hung.
    """

    def prepare() -> None:
        for which, limit in (limits or {}).items():
            resource.setrlimit(which, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", (DROP if unprivileged else "") + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": search_path(), **(environment or {})},
        preexec_fn=prepare,
        timeout=timeout,
    )


def search_path() -> str:
    """Where a child finds what this process finds, the tests' helpers among it."""
    return os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))


def assert_silent(child: subprocess.CompletedProcess[str]) -> None:
    """The child ended well and had nothing to complain about."""
    assert (child.returncode, child.stderr) == (0, "")

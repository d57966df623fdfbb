"""Importing membuf beside importing numpy: a fresh process each, timed inside, files cached."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from bench.case import Figure, Group, Row, Settings

MODULES = ("membuf", "numpy", "pyarrow")
ROUNDS = 5
PROGRAM = """
import time, resource
start = time.perf_counter_ns()
import {0}
elapsed = time.perf_counter_ns() - start
print(elapsed)
"""


def _once(module: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """The modules in turn; nanoseconds, the best of the rounds."""
    best = dict.fromkeys(MODULES, float("inf"))
    for _ in range(1 if settings.quick else ROUNDS):
        for module in MODULES:
            best[module] = min(best[module], _once(module))
    return {module: Figure(value) for module, value in best.items()}


GROUP = Group(
    title="Import time",
    rows=(
        Row("import membuf", "membuf", "numpy", 0.3, 0.15),
        Row("import membuf", "membuf", "pyarrow"),
    ),
    measure=measure,
)

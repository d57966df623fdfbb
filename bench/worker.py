"""One process of a group: measures it once and prints the figures. Started by process.py."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.case import Figure, Group, Settings


def main(module: str, quick: str, folder: str) -> None:
    """Measures the group of a module; the last line printed is JSON."""
    group: Group = importlib.import_module(module).GROUP
    made = Settings.of_quick_run if quick == "quick" else Settings.of_full_run
    figures = _within(group.stack, partial(group.measure, made(Path(folder))))
    print(json.dumps({name: asdict(figure) for name, figure in figures.items()}))


def _within(stack: int | None, measure: Callable[[], Mapping[str, Figure]]) -> Mapping[str, Figure]:
    """The figures, measured in a thread with a stack of so many bytes if one is asked for."""
    if stack is None:
        return measure()
    threading.stack_size(stack)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(measure).result()


if __name__ == "__main__":
    main(*sys.argv[1:])

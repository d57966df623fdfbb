"""What our side of a transfer costs: the same sending as for files, on a ring that does nothing.

32 operations on their way, IORING_OP_NOP instead of reads. The figures are nanoseconds an operation
of processor time above a C loop over such a ring (noop.c, which hands entries over eight at a time
as our engine does): checks, holds, bookkeeping, the interpreter and the event loop. A request is an
object with the framework's states and reference ledger; a callback alone does without one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import membuf
from bench.build import program
from bench.case import KIB, Figure, Group, Row, Settings
from bench.macro import senders
from bench.macro.senders import Load, Outcome

DEPTH = 32
ROUNDS = 5
OPERATIONS = 100_000


def missing(settings: Settings) -> str | None:
    """Why it is not measured here."""
    try:
        program("macro/noop.c", "-luring")
        _target(_load(settings)).close()
    except subprocess.CalledProcessError:
        return "liburing's headers are not installed"
    except (ImportError, membuf.MembufError) as error:
        return str(error)
    return None


def _load(settings: Settings) -> Load:
    seconds = settings.seconds / ROUNDS
    return Load(settings.folder / "nothing", 1024 * KIB, 4 * KIB, DEPTH, seconds)


def _target(load: Load) -> Any:
    from membuf.bus.file import FileTarget
    from membuf.bus.limits import limits_of
    from membuf.target.uring import UringEngine

    membuf.target.uring.DEPTH = load.depth  # type: ignore[misc]
    senders.make_file(load.path, load.size)
    fd = os.open(load.path, os.O_RDWR)
    limits = limits_of(fd, str(load.path), direct=False)
    return FileTarget(fd, limits, str(load.path), UringEngine(idles=True))


def _c_loop(settings: Settings) -> float:
    operations = OPERATIONS // 100 if settings.quick else OPERATIONS
    command = [str(program("macro/noop.c", "-luring")), str(DEPTH), str(operations), str(ROUNDS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """The ways and the C loop in turn; the best of the rounds."""
    load = _load(settings)
    ways: dict[str, Callable[[Load, Any], Outcome]] = {
        "callbacks": senders.callbacks,
        "requests": senders.requests,
        "await": senders.awaits,
        "batches": senders.batches,
    }
    best = dict.fromkeys(["C loop", *ways], float("inf"))
    with _target(load) as target:
        for _ in range(ROUNDS):
            best["C loop"] = min(best["C loop"], _c_loop(settings))
            for way, send in ways.items():
                best[way] = min(best[way], send(load, target).cpu_ns)
    above = {f"{way}, above C": Figure(best[way] - best["C loop"]) for way in ways}
    return above | {way: Figure(value) for way, value in best.items()}


GROUP = Group(
    title="Software cost of a transfer, above a C loop",
    rows=(
        Row("a callback", "callbacks, above C", None, 300, 150),
        Row("an await", "await, above C", None, 2500, 1500),
        Row("an item of a batch", "batches, above C", None, 40, 25),
        Row("a request sent again by its completion", "requests, above C", None),
        Row("an item of a batch, whole", "batches", "C loop"),
    ),
    measure=measure,
    missing=missing,
)

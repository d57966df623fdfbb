"""Instruction counts of the hot paths: a guard against regressions where time is too noisy.

    python -m bench.instructions             compare with the recorded counts; exit 1 if one grew
    python -m bench.instructions --plant     the same with work added to each path: must report it
    python -m bench.instructions --functions show each function's share
    python -m bench.instructions --record    write down today's counts

Counted by valgrind (callgrind): instructions executed inside membuf's native core an operation,
the interpreter's left out, and what starting up takes subtracted. The counts depend on the
compiler, not on the machine or its load.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import membuf

RECORDED = Path(__file__).with_suffix(".json")
ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 0.03
TIMES = 5000
NOTHING = "nothing"
OURS = re.compile(r"/_native\.[\w-]+\.so$")


@dataclass(frozen=True)
class HotPath:
    """Statements run once before, the one that is counted, and what plants a regression in it."""

    before: str
    counted: str
    planted: str = "memoryview(kept)"


SHARED = "kept = membuf.Memory(4096); data = bytes(64); root = membuf.Object()\n"
HOT_PATHS = {
    NOTHING: HotPath("", "pass", "pass"),
    "lookaside allocate + delete": HotPath(
        "pages = membuf.LookasideList(4096, tag='Page')", "m = pages.allocate(); m.delete()"
    ),
    "lookaside allocate + drop": HotPath(
        "pages = membuf.LookasideList(4096, tag='Page')", "pages.allocate()"
    ),
    "lookaside allocate(parent) + delete": HotPath(
        "pages = membuf.LookasideList(4096, tag='Page')",
        "m = pages.allocate(parent=root); m.delete()",
    ),
    "Memory(4096) + delete": HotPath("", "m = membuf.Memory(4096); m.delete()"),
    "Memory(64, tag, parent) + delete of the tree": HotPath(
        "", "membuf.Memory(64, tag='Tree', parent=root)"
    ),
    "copy_from 64 B": HotPath("", "kept.copy_from(data, 64)"),
    "memoryview of a memory": HotPath("", "memoryview(kept)"),
}


def run_path(name: str, planted: bool) -> None:
    """Runs a path in this process, for callgrind to watch."""
    path = HOT_PATHS[name]
    body = f"    {path.counted}\n" + (f"    {path.planted}\n" if planted else "")
    exec(
        f"{SHARED}{path.before}\nfor _ in repeat(None, TIMES):\n{body}root.delete()",
        {"membuf": membuf, "repeat": repeat, "TIMES": TIMES},
    )


def native_costs(profile: Iterable[str]) -> Counter[str]:
    """Instructions by function of membuf's shared objects, from the lines of a callgrind file.

    Names are written once, as `(id) name`, and then as `(id)`. The line after a `calls=` line is
    the cost of what was called, which is counted where it was spent.
    """
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    function, ours, called = "", False, False
    for line in profile:
        kind, equals, value = line.rstrip().partition("=")
        if equals and kind in {"ob", "fn"}:
            name = _resolve(names, "fn" if kind == "fn" else "ob", value)
            if kind == "fn":
                function = name
            else:
                ours = OURS.search(name) is not None
        elif equals and kind in {"cob", "cfn"}:
            _resolve(names, kind[1:], value)
        elif equals and kind == "calls":
            called = True
        elif re.match(r"[+*\d-]", line):
            if ours and not called:
                costs[function] += int(line.split()[1])
            called = False
    return costs


def _resolve(names: dict[str, str], kind: str, value: str) -> str:
    number, _, name = value.partition(" ")
    if name:
        names[kind + number] = name
    return names[kind + number]


def counts(names: Iterable[str], planted: bool) -> dict[str, Counter[str]]:
    """Native instructions an operation of each path, by function."""
    start = _profile(NOTHING, planted)
    found: dict[str, Counter[str]] = {}
    for name in names:
        spent = _profile(name, planted) - start
        found[name] = +Counter({function: round(n / TIMES) for function, n in spent.items()})
    return found


def _profile(name: str, planted: bool) -> Counter[str]:
    with tempfile.NamedTemporaryFile("r", prefix="callgrind-") as profile:
        valgrind = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            f"--callgrind-out-file={profile.name}",
        ]
        program = f"from bench.instructions import run_path; run_path({name!r}, {planted})"
        subprocess.run([*valgrind, sys.executable, "-c", program], check=True, cwd=ROOT)
        return native_costs(profile)


def grown(recorded: dict[str, int], counted: dict[str, int]) -> Iterator[str]:
    """What to say about each path that costs more than was recorded, or is not recorded."""
    for name, now in counted.items():
        before = recorded.get(name)
        if before is None:
            yield f"{name}: {now} instructions, none recorded; --record writes them down"
        elif now > before * (1 + TOLERANCE):
            yield f"{name}: {now} instructions, recorded are {before} ({now / before - 1:+.1%})"


def main(
    plant: Annotated[bool, typer.Option(help="add work to each path: must be reported")] = False,
    functions: Annotated[bool, typer.Option(help="show each function's share")] = False,
    record: Annotated[bool, typer.Option(help="write down today's counts")] = False,
    only: Annotated[str, typer.Option(help="paths with this in their name")] = "",
) -> None:
    """Count the native instructions of the hot paths and compare them with the recorded ones."""
    console = Console()
    names = [name for name in HOT_PATHS if name != NOTHING and only in name]
    costs = counts(names, plant)
    totals = {name: cost.total() for name, cost in costs.items()}
    document = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"instructions": {}}
    if record:
        document = {"compiler": _compiler(), "instructions": document["instructions"] | totals}
        RECORDED.write_text(json.dumps(document, indent=2) + "\n")
    recorded = document["instructions"]
    console.print(_table(recorded, costs, functions))
    if document.get("compiler") != _compiler():
        console.print(f"recorded with {document.get('compiler')}, this is {_compiler()}")
    findings = list(grown(recorded, totals))
    for finding in findings:
        console.print(f"[red]grown[/red] {finding}")
    raise typer.Exit(code=1 if findings else 0)


def _compiler() -> str:
    first = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return f"{first.stdout.splitlines()[0]}, Python {'.'.join(platform.python_version_tuple()[:2])}"


def _table(recorded: dict[str, int], costs: dict[str, Counter[str]], functions: bool) -> Table:
    table = Table(title="native instructions an operation")
    for heading in ("path", "recorded", "now"):
        table.add_column(heading, justify="left" if heading == "path" else "right")
    for name, cost in costs.items():
        table.add_row(name, str(recorded.get(name, "")), str(cost.total()))
        for function, share in cost.most_common() if functions else ():
            table.add_row(f"    {function}", "", str(share), style="dim")
    return table


if __name__ == "__main__":
    typer.run(main)

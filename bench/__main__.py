"""Command line: measure, show, and write down."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.case import Settings
from bench.groups import MODULES
from bench.process import ROOT, measure_groups
from bench.report import markdown, plot, terminal
from bench.report.machine import Machine, machine
from bench.result import GroupResult

PAGES = {ROOT / "README.md": True, ROOT / "docs" / "explanation" / "benchmarks.md": False}
PLOT = ROOT / "docs" / "_static" / "allocation.svg"
RESULTS = ROOT / "build" / "bench" / "results.json"
BUSY = 0.25  # of the cores taken by others: from here on a warning


def main(
    only: Annotated[list[str] | None, typer.Option(help="a group; may be repeated")] = None,
    quick: Annotated[bool, typer.Option(help="see that it runs; the figures mean little")] = False,
    processes: Annotated[int | None, typer.Option(help="of each group; 5 if not given")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="file; - prints only JSON")] = None,
    write: Annotated[
        bool,
        typer.Option(
            help="fill the tables of README and docs, draw the plot; other groups' "
            "rows stay as they were"
        ),
    ] = False,
    folder: Annotated[Path, typer.Option(help="on the disk to measure")] = ROOT / "build",
) -> None:
    """Measure membuf beside its peers and show every row with its bar, goal and verdict."""
    names = _chosen(only)
    here = machine()
    console = Console(stderr=json_to == Path("-"))
    if here.load > BUSY * here.cores and not quick:
        console.print(f"[yellow]Others are using this machine (load {here.load:.1f}).")
    results, settings = _measure(names, quick, processes, folder, console)
    document = json.dumps(_document(results, here, settings), indent=1)
    if json_to == Path("-"):
        print(document)
        return
    target = json_to or RESULTS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(document + "\n")
    head = f"best of {settings.rounds} rounds, median of {settings.processes} processes"
    terminal.show(console, results, here, head)
    if write:
        _write(results, here)


def _chosen(only: list[str] | None) -> list[str]:
    unknown = set(only or ()) - MODULES.keys()
    if unknown:
        raise typer.BadParameter(
            f"no such group: {', '.join(unknown)}; there are {', '.join(MODULES)}"
        )
    return [name for name in MODULES if not only or name in only]


def _measure(
    names: list[str], quick: bool, processes: int | None, folder: Path, console: Console
) -> tuple[list[GroupResult], Settings]:
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=folder))
    try:
        made = Settings.of_quick_run if quick else Settings.of_full_run
        settings = made(scratch)
        settings = replace(settings, processes=processes or settings.processes)
        with console.status("") as status:
            results = measure_groups(names, settings, status.update)
    finally:
        shutil.rmtree(scratch)
    return results, settings


def _document(results: list[GroupResult], here: Machine, settings: Settings) -> dict[str, Any]:
    groups = [asdict(group) for group in results]
    for group, result in zip(groups, results, strict=True):
        for row, of in zip(group["rows"], result.rows, strict=True):
            row["verdict"] = of.verdict
    return {
        "machine": asdict(here),
        "settings": {**asdict(settings), "folder": None},
        "groups": groups,
    }


def _write(results: list[GroupResult], here: Machine) -> None:
    for page, brief in PAGES.items():
        new = markdown.table(results, here, brief=brief)
        markdown.put_between_markers(page, markdown.merged(markdown.between_markers(page), new))
    for group in results:
        if group.curves:
            plot.draw(PLOT, group.curves, "allocate and free one block, nothing else alive")


if __name__ == "__main__":
    typer.run(main)

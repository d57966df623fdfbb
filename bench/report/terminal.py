"""The results as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.report.machine import Machine
from bench.report.text import HEADINGS, NUMERIC, cells
from bench.result import GroupResult

WIDE = 130
NARROW = ("what", "membuf", "ratio", "bar", "verdict")
"""The columns of a terminal with fewer than `WIDE`: the others would leave room for none."""

COLOURS = {"met goal": "green", "met bar": "yellow", "for comparison": "dim"}


def show(console: Console, results: list[GroupResult], machine: Machine, head: str) -> None:
    """Prints every group as a section of one table, with what the terminal has room for."""
    kept = HEADINGS if console.width >= WIDE else NARROW
    table = Table(title=head, caption=str(machine), caption_justify="left")
    for heading in kept:
        table.add_column(heading, justify="right" if heading in NUMERIC else "left")
    for group in results:
        table.add_section()
        table.add_row(f"[bold]{group.title}")
        for row in group.rows:
            shown = dict(zip(HEADINGS, cells(row), strict=True))
            verdict = shown["verdict"]
            colour = COLOURS.get(verdict, "red" if verdict.startswith("missed") else "dim")
            shown["verdict"] = f"[{colour}]{verdict}"
            table.add_row(*(shown[heading] for heading in kept))
    console.print(table)

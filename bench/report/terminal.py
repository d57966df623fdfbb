"""The results as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.report.machine import Machine
from bench.report.text import HEADINGS, NUMERIC, cells
from bench.result import GroupResult

COLOURS = {"met goal": "green", "met bar": "yellow", "for comparison": "dim"}


def show(console: Console, results: list[GroupResult], machine: Machine, head: str) -> None:
    """Prints every group as a section of one table."""
    table = Table(title=head, caption=str(machine), caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in NUMERIC else "left")
    for group in results:
        table.add_section()
        table.add_row(f"[bold]{group.title}")
        for row in group.rows:
            shown = list(cells(row))
            verdict = shown[HEADINGS.index("verdict")]
            colour = COLOURS.get(verdict, "red" if verdict.startswith("missed") else "dim")
            shown[HEADINGS.index("verdict")] = f"[{colour}]{verdict}"
            table.add_row(*shown)
    console.print(table)

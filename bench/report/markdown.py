"""The results as Markdown, and their places in the README and in the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.report.machine import Machine
from bench.report.text import HEADINGS, NUMERIC, cells
from bench.result import GroupResult, RowResult

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
INTRODUCTION = """\
Ratio: our time over the peer's, both measured in turn in the same process; rates, whose bar has a
≥, are better higher. Bar and goal were set before measuring. Method, times, faults, memory, and the
rows in which a peer wins: [docs/explanation/benchmarks.md](docs/explanation/benchmarks.md).
"""
BRIEF = ("what", "against", "ratio", "bar", "goal", "verdict")


def table(results: list[GroupResult], machine: Machine, *, brief: bool) -> str:
    """A table under a line that names the machine.

    Args:
        results: Every group.
        machine: Where they were measured.
        brief: Only what was promised, without times, faults and memory.
    """
    headings = BRIEF if brief else HEADINGS
    lines = [
        *([INTRODUCTION] if brief else []),
        f"Measured on a {machine}",
        "",
        _line(headings),
        _line("--:" if heading in NUMERIC else "---" for heading in headings),
    ]
    for group in results:
        rows = [row for row in group.rows if not brief or row.row.bar is not None]
        if rows:
            lines.append(_line([f"**{group.title}**"] + [""] * (len(headings) - 1)))
            lines += [_line(_chosen(row, headings)) for row in rows]
    return "\n".join(lines) + "\n"


def _chosen(row: RowResult, headings: Iterable[str]) -> list[str]:
    shown = dict(zip(HEADINGS, cells(row), strict=True))
    shown["ratio"] = shown["ratio"] or shown["membuf"]  # a figure that stands alone
    return [shown[heading] for heading in headings]


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def merged(old: str, new: str) -> str:
    """A table with the groups of a newer one: in place of its own, or at its end."""
    head, groups = _sections(new)
    _, kept = _sections(old)
    return head + "".join((kept | groups).values())


def _sections(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first group of a table, and the lines of each group by its title."""
    head, groups, title = "", dict[str, str](), ""
    for line in text.splitlines(keepends=True):
        if line.startswith("| **"):
            title = line
        if title:
            groups[title] = groups.get(title, "") + line
        else:
            head += line
    return head, groups


def between_markers(path: Path) -> str:
    """What stands between the markers of a file; see `put_between_markers`."""
    return path.read_text().partition(f"{BEGIN}\n")[2].partition(END)[0]


def put_between_markers(path: Path, text: str) -> None:
    """Replaces what stands between the markers of a file.

    Raises:
        ValueError: the file has no markers, or not one of each in their order.
    """
    whole = path.read_text()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise ValueError(f"{path}: expected {BEGIN} and {END} once each, in this order")
    before, _, rest = whole.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")

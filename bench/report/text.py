"""Numbers and rows as words, the same for the terminal and for Markdown."""

from __future__ import annotations

from bench.case import KIB, MIB, Row
from bench.result import RowResult, Side

STEPS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
HEADINGS = (
    "what",
    "against",
    "membuf",
    "peer",
    "ratio",
    "bar",
    "goal",
    "verdict",
    "faults",
    "peak",
)
NUMERIC = {"membuf", "peer", "ratio", "bar", "goal", "faults", "peak"}
ABSENT = "-"


def cells(result: RowResult) -> tuple[str, ...]:
    """A row under HEADINGS. Faults an operation and peak memory are ours : the peer's."""
    row = result.row
    return (
        row.what,
        row.peer_name,
        _value(result.ours, row.unit),
        _value(result.peer, row.unit),
        "" if result.compared is None or row.peer is None else number(result.compared),
        _target(row, row.bar),
        _target(row, row.goal),
        result.verdict,
        _pair(result, "faults"),
        _pair(result, "peak"),
    )


def _target(row: Row, value: float | None) -> str:
    """A bar or goal: of a ratio, or without a peer of the figure itself."""
    if value is None:
        return ""
    sign = "≤" if row.better == "lower" else "≥"
    return f"{sign} {number(value) if row.peer is not None else quantity(value, row.unit)}"


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def quantity(value: float, unit: str) -> str:
    """A figure with its unit; times in the largest unit that leaves a whole number."""
    if unit != "ns":
        return f"{number(value)} {unit}"
    for size, name in STEPS:
        if value >= size:
            return f"{number(value / size)} {name}"
    return f"{number(value)} ns"


def memory(size: float) -> str:
    """Bytes, roughly."""
    return f"{size / MIB:.0f} MiB" if size >= MIB else f"{size / KIB:.0f} KiB"


def _value(side: Side | None, unit: str) -> str:
    return "" if side is None else quantity(side.value, unit)


def _pair(result: RowResult, field: str) -> str:
    """Both sides, or nothing where neither has any."""
    sides = [side for side in (result.ours, result.peer) if side is not None]
    if not any(getattr(side, field) for side in sides):
        return ""
    return " : ".join(_one(side, field) for side in sides)


def _one(side: Side, field: str) -> str:
    value = getattr(side, field)
    if value is None:
        return ABSENT
    return memory(value) if field == "peak" else f"{value:.2g}"

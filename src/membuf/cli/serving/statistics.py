"""The counters of a server as a table, with rates since its start and since the last table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from membuf.cli.units import format_rate, format_seconds, format_size
from membuf.pool import PoolType, TagStatistics, default_domain

if TYPE_CHECKING:
    from membuf.bus.nbd import ServerStatistics

_BYTES = ("bytes_read", "bytes_written")


class Meter:
    """Makes the tables of a server; each knows when the last was made."""

    def __init__(self) -> None:
        self._last: ServerStatistics | None = None

    def table(self, now: ServerStatistics) -> list[str]:
        """The lines of a table."""
        last, self._last = self._last, now
        span = now.seconds - (0.0 if last is None else last.seconds)
        since = "" if last is None else f", {format_seconds(span)} since the last table"
        clients = f"{now.connections} now, {now.connections_total} in all, {now.refused} refused"
        requests = (
            f"{now.in_flight} on their way, {now.peak_in_flight} at most, {now.errors} failed"
        )
        lines = [
            f"statistics after {format_seconds(now.seconds)}{since}",
            f"  connections  {clients}",
            f"  requests     {requests}",
        ]
        head = ["command", "requests", "since start"] + ["since last"] * (last is not None)
        rows = [tuple(head), *_commands(now, last, span), *_amounts(now, last, span)]
        tags = [record for record in default_domain().statistics().tags if record.allocations]
        held = [("tag", "pool", "outstanding", "bytes"), *map(_holding, tags)]
        for table in (rows, held):
            lines += ["", *("  " + line for line in _aligned(table))]
        return lines


def as_figures(now: ServerStatistics) -> dict[str, Any]:
    """The same for a program, in bytes and seconds."""
    return {
        "seconds": round(now.seconds, 3),
        "connections": now.connections,
        "connections_total": now.connections_total,
        "refused": now.refused,
        "requests": dict(now.requests),
        "bytes_read": now.bytes_read,
        "bytes_written": now.bytes_written,
        "errors": now.errors,
        "in_flight": now.in_flight,
        "peak_in_flight": now.peak_in_flight,
        "pool": [
            {
                "tag": record.tag,
                "pool": PoolType(record.pool).name.lower(),
                "outstanding": record.outstanding,
                "bytes": record.bytes,
            }
            for record in default_domain().statistics().tags
        ],
    }


def _commands(
    now: ServerStatistics, last: ServerStatistics | None, span: float
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, count in now.requests.items():
        if count or name in ("read", "write"):
            rates = [_a_second(count, now.seconds)]
            if last is not None:
                rates.append(_a_second(count - last.requests[name], span))
            rows.append((name, f"{count}", *rates))
    return rows


def _amounts(
    now: ServerStatistics, last: ServerStatistics | None, span: float
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in _BYTES:
        count = getattr(now, name)
        rates = [format_rate(count, now.seconds)]
        if last is not None:
            rates.append(format_rate(count - getattr(last, name), span))
        rows.append((name.replace("_", " "), format_size(count), *rates))
    return rows


def _a_second(count: int, seconds: float) -> str:
    rate = count / max(seconds, 1e-9)
    return f"{rate:.0f}/s" if rate >= 100 or not count else f"{rate:.1f}/s"


def _holding(record: TagStatistics) -> tuple[str, ...]:
    pool = "non-paged" if record.pool == PoolType.NONPAGED else "paged"
    return (record.tag, pool, f"{record.outstanding}", format_size(record.bytes))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines: words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {index for index, title in enumerate(rows[0]) if title in ("command", "tag", "pool")}
    return [
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

"""What a copy did, for people and for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from membuf.cli.copying.job import STANDARD_STREAM, Job, Result
from membuf.cli.failure import CommandError
from membuf.cli.units import format_rate, format_seconds, format_size
from membuf.pool import PoolType, TagStatistics

COLUMNS = ("tag", "pool", "allocations", "hits", "hit rate", "peak", "outstanding")


def as_json(job: Job, result: Result) -> str:
    """One object with everything that the report says, sizes in bytes."""
    pool = result.statistics
    return json.dumps(
        {
            "ok": True,
            "source": job.source,
            "destination": job.destination,
            "bytes": result.bytes,
            "bytes_written": result.bytes_written,
            "hole_bytes": result.bytes - result.bytes_written,
            "seconds": round(result.seconds, 6),
            "bytes_per_second": round(result.bytes_written / result.seconds),
            "durable": result.durable,
            "verified": result.verified,
            "direct": job.direct,
            "block_size": job.block_size,
            "queue_depth": job.queue_depth,
            "engine": {"source": result.engines[0], "destination": result.engines[1]},
            **_more(result),
            "pool": {
                "outstanding": pool.outstanding,
                "peak_bytes": pool.peak_charged_bytes,
                "tags": [_tag_object(record) for record in pool.tags],
            },
        },
        indent=2,
    )


def _more(result: Result) -> dict[str, Any]:
    """What only some copies have to say."""
    more: dict[str, Any] = {} if result.durable else {"caveat": result.caveat}
    source, destination = result.connections
    if (source, destination) != (None, None):
        more["connections"] = {"source": source, "destination": destination}
    return more


def failure_as_json(job: Job, failure: CommandError) -> str:
    """One object that says how a copy failed."""
    return json.dumps(
        {
            "ok": False,
            "source": job.source,
            "destination": job.destination,
            "error": str(failure),
            "offset": failure.offset,
            "errno": failure.errno,
            "exit_code": int(failure.code),
        },
        indent=2,
    )


def show(job: Job, result: Result, *, to_error: bool) -> None:
    """Print the report: tables on a terminal, plain lines elsewhere.

    Args:
        job: what was copied.
        result: what came of it.
        to_error: print on standard error, because the copy went to standard output.
    """
    stream = sys.stderr if to_error else sys.stdout
    if stream.isatty():
        _show_on_terminal(job, result, to_error=to_error)
    else:
        rows = [COLUMNS, *map(_row, result.statistics.tags)]
        print("\n".join([*_lines(job, result), "", *_aligned(rows)]), file=stream, flush=True)


def _lines(job: Job, result: Result) -> list[str]:
    size, written = result.bytes, result.bytes_written
    rate = format_rate(written, result.seconds)
    moved = format_size(size)
    if written != size:
        moved += f" ({format_size(written)} of data, {format_size(size - written)} of holes)"
    safe = "durable" if result.durable else f"handed on ({result.caveat})"
    if result.verified:
        safe += ", read back and verified"
    how = "direct" if job.direct else "buffered"
    engines = " and ".join(dict.fromkeys(map(_moved_by, result.engines, result.connections)))
    blocks = f"{job.queue_depth} x {format_size(job.block_size)}"
    source = "standard input" if job.source == STANDARD_STREAM else job.source
    destination = "standard output" if job.destination == STANDARD_STREAM else job.destination
    return [
        f"copied {source} to {destination}",
        f"  {moved} in {format_seconds(result.seconds)}, {rate}",
        f"  {safe}",
        f"  {how}, {blocks}, {engines}",
    ]


def _moved_by(engine: str, connections: int | None) -> str:
    if connections is None:
        return engine
    return f"{engine} ({connections} {'connection' if connections == 1 else 'connections'})"


def _row(record: TagStatistics) -> tuple[str, ...]:
    rate = record.hits / record.allocations if record.allocations else 0.0
    return (
        record.tag,
        "non-paged" if record.pool == PoolType.NONPAGED else "paged",
        f"{record.allocations}",
        f"{record.hits}",
        f"{rate:.1%}",
        format_size(record.peak_bytes),
        f"{record.outstanding}",
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _tag_object(record: TagStatistics) -> dict[str, Any]:
    return {
        "tag": record.tag,
        "pool": PoolType(record.pool).name.lower(),
        "allocations": record.allocations,
        "hits": record.hits,
        "peak_bytes": record.peak_bytes,
        "outstanding": record.outstanding,
    }


def _show_on_terminal(job: Job, result: Result, *, to_error: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(stderr=to_error, highlight=False)
    title, *lines = map(escape, _lines(job, result))
    console.print(f"[bold green]✔[/] [bold]{title}[/]")
    console.print("\n".join(lines))
    table = Table(
        box=SIMPLE_HEAD, title="\n  who held memory", title_justify="left", title_style="bold"
    )
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in {"tag", "pool"} else "right")
    for record in result.statistics.tags:
        *cells, outstanding = _row(record)
        colour = "green" if record.outstanding == 0 else "bold red"
        table.add_row(*cells, f"[{colour}]{outstanding}[/]")
    console.print(table)

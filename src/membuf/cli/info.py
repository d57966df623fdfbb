"""`membuf info URI`: the command line that says what a target is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from membuf.cli.looking import Finding, Map

HELP: Final = """
Say what is at the other end of URI: a target's name, or a path.

Of an NBD server all exports are listed, or the one that URI names is described. Of a file, a block
device or another target it says the size, what transfers must keep to, what moves the bytes, and
how much of it is data. Nothing is written.
"""

EPILOG: Final = """
\b
Examples:
  membuf info "nbd+unix:///?socket=ram.sock"     all exports of a server
  membuf info nbd://localhost/disk --map         one, and where its data are
  membuf info disk.img --json                    a file, for a program
  membuf info "delay(time=1ms)+ram:64MiB"        a target under a filter

\b
Exit codes:
    0  here it is
    1  it could be opened, but not be read
    2  a wrong command line or URI
    3  nobody is there, it is no NBD server, it has no such export, or may not
       be opened
  141  nobody reads the output any more
"""

_WIDTH: Final = 12
_SHOWN: Final = 40

URI: Final = typer.Argument(metavar="URI", help="NBD URI, target's name, or path.")
MAP: Final = typer.Option("--map", help="List where there is data, and where holes.")
TIMEOUT: Final = typer.Option(
    "--timeout", metavar="SECONDS", min=0.1, help="How long a server may take to answer."
)
JSON: Final = typer.Option("--json", help="Print one object.")


def command(
    uri: Annotated[str, URI],
    map: Annotated[bool, MAP] = False,
    timeout: Annotated[float, TIMEOUT] = 30,
    json: Annotated[bool, JSON] = False,
) -> None:
    """Look, and say what was found."""
    from membuf.base.errors import MembufError
    from membuf.cli.failure import CommandError, ExitCode
    from membuf.cli.looking import look

    try:
        try:
            finding = look(uri, maps=map, seconds=timeout)
        except (MembufError, MemoryError) as error:
            raise CommandError(str(error) or "out of memory", ExitCode.FAILED) from error
        _print(finding, as_json=json, maps=map)
    except CommandError as failure:
        _complain(failure, as_json=json)
        raise typer.Exit(failure.code) from None


def _complain(failure: Any, *, as_json: bool) -> None:
    from membuf.cli.serving.voice import Voice

    if as_json:
        import json

        answer = {"ok": False, "error": str(failure), "exit_code": int(failure.code)}
        typer.echo(json.dumps(answer, indent=2))
    Voice(as_json=False, quiet=False, verbose=False).failure(failure)


def _print(finding: Finding, *, as_json: bool, maps: bool) -> None:
    import os
    import sys

    from membuf.cli.failure import system_failure

    try:
        if as_json:
            print(_as_json(finding, maps=maps))
        elif sys.stdout.isatty():
            _show_on_terminal(finding, maps=maps)
        else:
            for title, facts in _sections(finding):
                print(title)
                for name, value in facts:
                    print(f"  {name:{_WIDTH}} {value}")
            if maps and finding.map is not None:
                print("", *("  " + line for line in _map_lines(finding.map)), sep="\n")
        sys.stdout.flush()
    except OSError as error:
        # What could not be printed would be tried again, and complained of, when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise system_failure("cannot write standard output", error) from error


def _as_json(finding: Finding, *, maps: bool) -> str:
    import json

    answer: dict[str, Any] = {"ok": True, "name": finding.name, "kind": finding.kind}
    answer |= finding.figures
    if "place" in finding.figures:
        answer["exports"] = [
            {key: value for key, value in export.items() if key != "can"}
            for export in finding.exports
        ]
    found = finding.map
    if found is not None:
        answer |= {"data_bytes": found.data, "hole_bytes": found.holes, "complete": found.whole}
        if maps:
            answer["extents"] = [
                {"offset": one.offset, "length": one.length, "data": one.data}
                for one in found.listed
            ]
            answer["extents_cut"] = found.cut
    return json.dumps(answer, indent=2)


# ---- in words ------------------------------------------------------------------------------------


def _sections(finding: Finding) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titles, each with its facts."""
    if "place" not in finding.figures:
        return [(printable(finding.name), _facts(finding))]
    tls = "with TLS" if finding.figures["tls"] else "without TLS"
    count = len(finding.exports)
    what = f"{count} export{'s' * (count != 1)}"
    sections: list[tuple[str, list[tuple[str, str]]]] = [
        (printable(finding.name), [("kind", f"NBD server, {tls}"), ("exports", what)])
    ]
    if not finding.figures["listed"]:
        sections[0][1].pop()
    for export in finding.exports:
        name = printable(export["name"])
        title = f"export '{name}'" if export["name"] else "the default export"
        sections.append((title, _facts_of_export(export)))
    if finding.map is not None:
        sections[-1][1].append(_data(finding.map))
    return sections


def _facts_of_export(export: dict[str, Any]) -> list[tuple[str, str]]:
    from membuf.cli.units import format_size

    blocks = export["block_sizes"]
    smallest, preferred, largest = map(
        format_size, (blocks["minimum"], blocks["preferred"], blocks["maximum"])
    )
    facts = [
        ("description", printable(export["description"])),
        ("size", _size(export["size"])),
        ("access", "read and write" if export["writable"] else "read-only"),
        ("can", ", ".join(export["can"]) or "nothing beyond reads"),
        ("blocks", f"{smallest} at least, {preferred} preferred, {largest} at most"),
        ("contexts", ", ".join(map(printable, export["contexts"])) or "none"),
        ("replies", "structured" if export["structured_replies"] else "simple"),
    ]
    return [(name, value) for name, value in facts if value]


def _facts(finding: Finding) -> list[tuple[str, str]]:
    figures = finding.figures
    kind = finding.kind
    filters = figures.get("filters")
    facts = [
        ("kind", f"{kind} under {', '.join(filters)}" if filters else kind),
        ("access", "read and write" if figures["writable"] else "read-only"),
    ]
    if figures.get("stream"):
        return [*facts, ("size", "none: it is read as a stream")]
    alignment = figures["offset_alignment"]
    facts.insert(1, ("size", _size(figures["size"])))
    facts.append(("alignment", "any" if alignment == 1 else f"{alignment} bytes"))
    if "direct" in figures:
        direct = figures["direct"]
        facts.append(
            (
                "direct I/O",
                "not possible"
                if direct is None
                else f"offsets of {direct['offset']} bytes, memory of {direct['memory']}",
            )
        )
    if finding.kind in ("file", "block device"):
        facts.append(("engine", figures["engine"]))
    if finding.map is not None:
        facts.append(_data(finding.map))
    return facts


def _data(found: Map) -> tuple[str, str]:
    from membuf.cli.units import format_size

    words = f"{format_size(found.data)} of data, {format_size(found.holes)} of holes"
    return "content", words if found.whole else f"{words}, up to {format_size(found.end)}"


def _size(size: int | None) -> str:
    from membuf.cli.units import format_size

    if size is None:
        return "told only when it is opened"
    return f"{size} B" if size < 1024 else f"{format_size(size)} ({size} bytes)"


def _map_rows(found: Map) -> list[tuple[str, str, str, str]]:
    from membuf.cli.looking import shown_extents
    from membuf.cli.units import format_size

    return [
        (
            f"{one.offset}",
            f"{one.length}",
            format_size(one.length),
            "data" if one.data else "hole",
        )
        for one in shown_extents(found, _SHOWN)
    ]


def _map_lines(found: Map) -> list[str]:
    rows = [("offset", "length", "", "what"), *_map_rows(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return lines + [_rest(found)] * bool(_rest(found))


def _rest(found: Map) -> str:
    more = len(found.listed) - _SHOWN
    if found.cut:
        return f"and more: --json lists the first {len(found.listed)}"
    return f"and {more} more: --json lists them" if more > 0 else ""


def printable(text: str) -> str:
    r"""Text of others, without what a terminal would obey.

    >>> printable("disk \x1b[2J")
    'disk \\x1b[2J'
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def _show_on_terminal(finding: Finding, *, maps: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for title, facts in _sections(finding):
        console.print(Text(title, style="bold"), soft_wrap=True)
        table = Table.grid(padding=(0, 1))
        table.add_column(style="cyan", min_width=_WIDTH + 2)
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(Text(f"  {name}"), Text(value))
        console.print(table)
    if not maps or finding.map is None:
        return
    table = Table(box=SIMPLE_HEAD)
    for column in ("offset", "length", "", "what"):
        table.add_column(column, justify="right")
    for *cells, what in _map_rows(finding.map):
        table.add_row(*cells, Text(what, style="green" if what == "data" else "dim"))
    console.print(table)
    if _rest(finding.map):
        console.print(f"  {_rest(finding.map)}")

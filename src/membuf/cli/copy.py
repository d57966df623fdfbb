"""`membuf copy SRC DST`: the command line of the copy."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
from typing import Annotated, Final

import typer

from membuf.base.errors import MembufError
from membuf.cli import report
from membuf.cli.copying import STANDARD_STREAM, Job, Result, Silent, copy
from membuf.cli.failure import CommandError, ExitCode, Interrupted
from membuf.cli.progress import make_progress
from membuf.cli.signals import Signals
from membuf.cli.units import parse_size

SMALLEST_BLOCK: Final = 512
LARGEST_BLOCK: Final = 1 << 30

HELP: Final = """
Copy SRC to DST, and return when the copy is durable.

A file appears under its name when it is complete: one that was there before is replaced in one
step, or stays what it was. Block devices, pipes and standard output are written in place. Progress
goes to standard error, the result to standard output (to standard error if the copy goes there).
"""

EPILOG: Final = """
Examples:

membuf copy disk.img copy.img
"""


class EngineName(enum.StrEnum):
    """What moves the bytes."""

    AUTO = "auto"
    IO_URING = "io_uring"
    THREADS = "threads"


def block_size(text: str) -> int:
    """The block size that an option says.

    Raises:
        typer.BadParameter: it is no size, or out of range.
    """
    try:
        size = parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not SMALLEST_BLOCK <= size <= LARGEST_BLOCK:
        raise typer.BadParameter(f"a block has {SMALLEST_BLOCK} bytes to 1 GiB; got {size} bytes")
    return size


def command(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="File, block device or pipe; - is standard input.")
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="File, block device or pipe; - is standard output.")
    ],
    block_size: Annotated[
        int,
        typer.Option(
            "--block-size",
            "-b",
            metavar="SIZE",
            parser=block_size,
            help="Bytes of a memory object, like 64KiB or 1M (kB and MB count in 1000).",
        ),
    ] = "1MiB",  # type: ignore[assignment]  # the parser makes the number
    queue_depth: Annotated[
        int,
        typer.Option("--queue-depth", "-q", min=1, max=1024, help="Requests on their way at once."),
    ] = 8,
    direct: Annotated[
        bool, typer.Option("--direct", help="Bypass the page cache (O_DIRECT).")
    ] = False,
    sparse: Annotated[
        bool | None,
        typer.Option(
            "--sparse/--no-sparse",
            help="Make holes of zeros, too / write every byte. Without either the holes of SRC "
            "become holes of DST.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read DST back and compare SHA-256 checksums.")
    ] = False,
    engine: Annotated[
        EngineName, typer.Option("--engine", "-e", help="What moves the bytes.")
    ] = EngineName.AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Run the copy that the command line describes."""
    job = Job(
        source=source,
        destination=destination,
        block_size=block_size,
        queue_depth=queue_depth,
        direct=direct,
        sparse=sparse,
        verify=verify,
        engine=engine.value,
    )
    raise typer.Exit(run(job, as_json=json, quiet=quiet))


def run(job: Job, *, as_json: bool, quiet: bool) -> int:
    """Do a job and tell how it went; the exit code."""
    try:
        _tell(job, _copy(job, quiet=quiet), as_json=as_json)
    except CommandError as failure:
        _complain(job, failure, as_json=as_json)
        return failure.code
    return ExitCode.OK


def _copy(job: Job, *, quiet: bool) -> Result:
    with Signals() as signals:
        try:
            if quiet:
                return copy(job, Silent(), signals)
            with make_progress() as progress:
                return copy(job, progress, signals)
        except (MembufError, MemoryError) as error:
            raise CommandError(str(error) or "out of memory", ExitCode.FAILED) from error
        except Interrupted as interrupted:
            name = signal.Signals(interrupted.number).name
            raise CommandError(f"stopped by {name}", 128 + interrupted.number) from None


def _tell(job: Job, result: Result, *, as_json: bool) -> None:
    to_error = job.destination == STANDARD_STREAM
    try:
        if as_json:
            print(report.as_json(job, result), file=sys.stderr if to_error else sys.stdout)
        else:
            report.show(job, result, to_error=to_error)
        sys.stdout.flush()
    except OSError as error:
        # What could not be printed would be tried again, and complained of, when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(
            f"{job.destination} is complete, but the result could not be printed: {error.strerror}",
            ExitCode.FAILED,
            number=error.errno,
        ) from error


def _complain(job: Job, failure: CommandError, *, as_json: bool) -> None:
    # The exit code says it, too, where nobody reads standard error any more.
    with contextlib.suppress(OSError):
        typer.secho("membuf: ", err=True, nl=False, bold=True)
        typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
        typer.echo(str(failure), err=True)
        if failure.hint:
            typer.secho("membuf: ", err=True, nl=False, bold=True)
            typer.echo(f"hint: {failure.hint}", err=True)
    if as_json and job.destination != STANDARD_STREAM:
        print(report.failure_as_json(job, failure))

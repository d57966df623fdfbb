"""Running a copy, and telling what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import typer

from membuf.base.errors import MembufError
from membuf.cli.copying import report
from membuf.cli.copying.engine import copy
from membuf.cli.copying.job import STANDARD_STREAM, Job, Result, Silent, Stopped
from membuf.cli.failure import CommandError, ExitCode, Interrupted
from membuf.cli.progress import make_progress
from membuf.cli.signals import Signals


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
            state = interrupted.state if isinstance(interrupted, Stopped) else ""
            raise CommandError(f"stopped by {name}", 128 + interrupted.number, hint=state) from None


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

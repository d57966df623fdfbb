"""The commands and options of `membuf` as a whole."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from membuf.cli import copy, info, serve


def main() -> None:
    """Run the command line of this process; what `membuf` and `python -m membuf.cli` call.

    Raises:
        SystemExit: always, with the exit code.

    >>> import sys
    >>> sys.argv = ["membuf", "--version"]
    >>> try:
    ...     main()
    ... except SystemExit as exit:
    ...     exit.code
    membuf ...
    0
    """
    _open_missing_streams()
    _app()()


def _open_missing_streams() -> None:
    """Fill in what the caller closed of descriptors 0 to 2, so that no file is opened as one.

    Standard input is then open for writing only and the others for reading only: using them is an
    error, as it should be.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())


def _app() -> typer.Typer:
    app = typer.Typer(
        name="membuf",
        # Frames would leave too little room for the words at 80 columns.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_membuf,
    )
    app.command("copy", help=copy.HELP, epilog=copy.EPILOG)(copy.command)
    app.command("info", help=info.HELP, epilog=info.EPILOG)(info.command)
    app.command("serve", help=serve.HELP, epilog=serve.EPILOG)(serve.command)
    return app


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"membuf {version('membuf')}")
        raise typer.Exit


def _membuf(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Memory objects, lookaside lists and I/O targets after the Windows Driver Frameworks."""

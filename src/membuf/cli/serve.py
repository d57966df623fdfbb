"""`membuf serve DRIVER --nbd URI`: the command line of the server."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from membuf.bus.nbd import NbdUri, TlsServer

HELP: Final = """
Serve DRIVER as a disk to NBD clients, until a signal ends it.

DRIVER is a Python file, module:attribute, or a target's name (ram:64MiB, file:PATH,
delay(time=1ms)+file:PATH, nbd://HOST/NAME). Of a Python file the function open(**settings) is
called, and what it returns is served; without one its `device`, or the only device in it.

A handler that is a plain function runs on the event loop of the server, and must not block; have
--threads call it if it does. Coroutine handlers run on that loop.
"""

EPILOG: Final = """
\b
Examples:
  membuf serve ram:64MiB --nbd "nbd+unix:///?socket=ram.sock"
  membuf serve driver.py --set size=1GiB --reload --nbd nbd://localhost
  membuf serve --read-only file:disk.img --nbd nbd://0.0.0.0/disk
  membuf serve file:disk.img --nbd nbds://0.0.0.0 --tls-certificates pki

\b
Signals:
  SIGTERM, SIGINT  take no more requests, finish those that there are, end;
                   once more: end at once
  SIGHUP           load DRIVER anew; clients are to connect again
  SIGUSR1          print statistics on standard error

\b
Exit codes:
    0  ended by SIGTERM or Ctrl-C, as is meant
    1  requests were left unanswered when --drain was over
    2  a wrong command line, URI or setting
    3  DRIVER cannot be loaded, or URI cannot be listened at
  130  Ctrl-C before it served, or twice (SIGTERM: 143)
"""


class Tls(enum.StrEnum):
    """Whether connections are secured."""

    OFF = "off"
    ALLOW = "allow"
    REQUIRE = "require"


def setting(text: str) -> tuple[str, str]:
    """The name and the value of a setting.

    Raises:
        typer.BadParameter: it is none.
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"{text!r} is no setting: write it like size=1GiB")
    return name, value


def permissions(text: str | int) -> int:
    """The permissions that octal digits say.

    Raises:
        typer.BadParameter: they are none.
    """
    try:
        mode = int(str(text).removeprefix("0o"), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise typer.BadParameter(f"{text!r} are no permissions: write them like 0660")
    return mode


DRIVER: Final = typer.Argument(metavar="DRIVER", help="What is served.")
NBD: Final = typer.Option(
    "--nbd",
    metavar="URI",
    help="Where: nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH (nbds for TLS).",
)
EXPORT: Final = typer.Option(
    "--export", metavar="NAME", help="Name of the export, if it is not in URI."
)
SET: Final = typer.Option(
    "--set",
    metavar="KEY=VALUE",
    parser=setting,
    help="A setting for the driver's open(); once for each.",
)
READ_ONLY: Final = typer.Option("--read-only", help="Let nobody write.")
TLS: Final = typer.Option(
    "--tls",
    metavar="off|allow|require",
    help="Whether clients may or must use TLS.  [default: require with nbds, else off]",
    show_default=False,
)
CERTIFICATES: Final = typer.Option(
    "--tls-certificates",
    metavar="DIR",
    help="Folder with server-cert.pem and server-key.pem, if it is not in URI.",
)
VERIFY: Final = typer.Option(
    "--tls-verify-clients", help="Take only clients that show a certificate of DIR/ca-cert.pem."
)
MODE: Final = typer.Option(
    "--socket-mode",
    metavar="OCTAL",
    parser=permissions,
    show_default=False,
    help="Permissions of a unix socket.  [default: 0600]",
)
THREADS: Final = typer.Option(
    "--threads",
    metavar="N",
    min=0,
    max=1024,
    help="Threads that call plain handlers, if they block.",
)
RELOAD: Final = typer.Option(
    "--reload", help="Load DRIVER anew when it, or a module beside it, changes."
)
CONNECTIONS: Final = typer.Option("--max-connections", metavar="N", min=1, help="Clients at once.")
TIMEOUT: Final = typer.Option(
    "--timeout",
    metavar="SECONDS",
    min=0.1,
    help="Drop a client that leaves a request half sent, or replies untaken, for so long.",
)
DRAIN: Final = typer.Option(
    "--drain", metavar="SECONDS", min=0, help="How long requests may take when it ends."
)
JSON: Final = typer.Option(
    "--json", help="Print what happens on standard output, an object a line."
)
QUIET: Final = typer.Option("--quiet", help="Print only what goes wrong.")
VERBOSE: Final = typer.Option(
    "--verbose", "-v", help="Print errors with their traceback, and why connections end."
)


def command(
    driver: Annotated[str, DRIVER],
    nbd: Annotated[str, NBD],
    export: Annotated[str | None, EXPORT] = None,
    settings: Annotated[list[Any] | None, SET] = None,
    read_only: Annotated[bool, READ_ONLY] = False,
    tls: Annotated[Tls | None, TLS] = None,
    tls_certificates: Annotated[Path | None, CERTIFICATES] = None,
    tls_verify_clients: Annotated[bool, VERIFY] = False,
    socket_mode: Annotated[int | None, MODE] = None,
    threads: Annotated[int, THREADS] = 0,
    reload: Annotated[bool, RELOAD] = False,
    max_connections: Annotated[int, CONNECTIONS] = 1024,
    timeout: Annotated[float, TIMEOUT] = 60,
    drain: Annotated[float, DRAIN] = 10,
    json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
    verbose: Annotated[bool, VERBOSE] = False,
) -> None:
    """Serve what the command line describes."""
    from membuf.cli.serving.job import Job
    from membuf.cli.serving.running import run

    uri, secured = _secured(_uri(nbd, export), tls, tls_certificates, verify=tls_verify_clients)
    job = Job(
        driver=driver,
        uri=uri,
        settings=_settings(settings or []),
        readonly=read_only,
        tls=secured,
        permissions=_permissions(uri, socket_mode),
        threads=threads,
        watch=reload,
        connections=max_connections,
        stall_seconds=timeout,
        drain_seconds=drain,
        as_json=json,
        quiet=quiet,
        verbose=verbose,
    )
    raise typer.Exit(run(job))


def _uri(text: str, export: str | None) -> NbdUri:
    from dataclasses import replace

    from membuf.base.errors import InvalidParameterError
    from membuf.bus.nbd.uri import parse_uri

    try:
        uri = parse_uri(text)
    except InvalidParameterError as error:
        raise _wrong("--nbd", str(error)) from None
    if export is None:
        return uri
    if uri.export not in ("", export):
        raise _wrong("--export", f"{text} names the export {uri.export!r} already")
    return replace(uri, export=export)


def _permissions(uri: NbdUri, mode: int | None) -> int:
    if mode is None:
        return 0o600
    if uri.socket is None:
        raise _wrong("--socket-mode", f"{uri} has no socket in the file system")
    return mode


def _settings(pairs: list[tuple[str, str]]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for name, value in pairs:
        if name in settings:
            raise _wrong("--set", f"{name} is set twice")
        settings[name] = value
    return settings


def _secured(
    uri: NbdUri, mode: Tls | None, certificates: Path | None, *, verify: bool
) -> tuple[NbdUri, TlsServer | None]:
    """What clients are to connect to, and how the server secures it."""
    from dataclasses import replace

    from membuf.bus.nbd.tls import AUTHORITY, TlsServer

    if mode is None:
        mode = Tls.REQUIRE if uri.tls else Tls.OFF
    elif mode is Tls.OFF and uri.tls:
        raise _wrong(
            "--tls", f"{uri} asks for TLS: say nbd in place of nbds, or leave out --tls off"
        )
    folder = certificates or (None if uri.tls_certificates is None else Path(uri.tls_certificates))
    if mode is Tls.OFF:
        if certificates is not None or verify:
            option = "--tls-verify-clients" if certificates is None else "--tls-certificates"
            raise _wrong(option, "for TLS say nbds in place of nbd, or --tls allow")
        return uri, None
    if folder is None:
        raise _wrong(
            "--tls-certificates", "TLS needs a folder with server-cert.pem, server-key.pem"
        )
    if mode is Tls.REQUIRE or uri.tls:
        authority = (folder / AUTHORITY).exists()
        uri = replace(uri, tls=True, tls_certificates=str(folder) if authority else None)
    return uri, TlsServer(str(folder), verify, require=mode is Tls.REQUIRE)


def _wrong(option: str, why: str) -> typer.BadParameter:
    return typer.BadParameter(f"{option}: {why}")

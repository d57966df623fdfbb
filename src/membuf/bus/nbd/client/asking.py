"""What a server has: its exports, and what each of them is."""

from __future__ import annotations

from membuf.bus.nbd.client.dialing import CONNECT_SECONDS, Dialer
from membuf.bus.nbd.client.greeting import ExportInfo, Greeting
from membuf.bus.nbd.uri import NbdUri, parse_uri


def list_exports(
    uri: str | NbdUri, *, connect_timeout: float = CONNECT_SECONDS
) -> list[ExportInfo]:
    """The exports of a server, as it lists them; none is opened.

    Args:
        uri: names the server; the export in it does not matter.
        connect_timeout: seconds for all of it.

    Raises:
        TargetError: there is no such server, it does not list, or what listens is none.
        AccessDeniedError: it does not let this client ask.

    >>> import tempfile, membuf
    >>> from membuf.bus.nbd import Server
    >>> with tempfile.TemporaryDirectory() as folder, membuf.open_target("ram:1MiB") as disk:
    ...     with Server({"a": disk, "b": disk}, f"nbd+unix:///?socket={folder}/s") as server:
    ...         [(export.name, export.size) for export in list_exports(server.uri)]
    [('a', 1048576), ('b', 1048576)]
    """
    return _dialer(uri, connect_timeout).ask(Greeting.list_exports)


def describe(uri: str | NbdUri, *, connect_timeout: float = CONNECT_SECONDS) -> ExportInfo:
    """What a server says of an export.

    Args:
        uri: names it.
        connect_timeout: seconds for all of it.

    Raises:
        TargetNotFoundError: there is no such socket or export.
        MembufError: see `list_exports`.

    >>> import tempfile, membuf
    >>> from membuf.bus.nbd import Server
    >>> with tempfile.TemporaryDirectory() as folder, membuf.open_target("ram:1MiB") as disk:
    ...     with Server(disk, f"nbd+unix:///?socket={folder}/s") as server:
    ...         info = describe(server.uri)
    >>> info.size, info.writable, info.contexts
    (1048576, True, ('base:allocation',))
    """
    where = parse_uri(uri) if isinstance(uri, str) else uri
    return _dialer(where, connect_timeout).ask(lambda greeting: greeting.describe(where.export))


def _dialer(uri: str | NbdUri, seconds: float) -> Dialer:
    return Dialer(parse_uri(uri) if isinstance(uri, str) else uri, seconds)

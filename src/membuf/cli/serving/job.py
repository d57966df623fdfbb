"""What a `membuf serve` is to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.bus.nbd import NbdUri, TlsServer


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be served, where, and how.

    Attributes:
        driver: a Python file, `module:attribute`, or a target's name.
        uri: where, and the export's name.
        settings: for the driver's `open`.
        readonly: whether nobody may write.
        tls: how connections are secured; None for no TLS.
        permissions: of the file of a unix socket.
        threads: that call the driver's plain handlers; 0: the event loop does.
        watch: whether a driver that changes is loaded anew.
        connections: clients at once.
        stall_seconds: how long a client may stand still.
        drain_seconds: how long requests that are on their way may take at the end.
        as_json: whether programs read what is said.
        quiet: whether only errors are said.
        verbose: whether all is said that is known of errors.
    """

    driver: str
    uri: NbdUri
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    readonly: bool = False
    tls: TlsServer | None = None
    permissions: int = 0o600
    threads: int = 0
    watch: bool = False
    connections: int = 1024
    stall_seconds: float = 60.0
    drain_seconds: float = 10.0
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False

"""NBD, the protocol of network block devices: disks of other processes, and serving one's own."""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

from membuf.bus.nbd.uri import NbdUri, parse_uri

if _typing.TYPE_CHECKING:
    from membuf.bus.nbd.client.asking import describe, list_exports
    from membuf.bus.nbd.client.greeting import ExportInfo
    from membuf.bus.nbd.client.target import NbdTarget
    from membuf.bus.nbd.server.limits import ServerLimits
    from membuf.bus.nbd.server.server import Server, ServerStatistics
    from membuf.bus.nbd.tls import TlsServer

__all__ = [
    "ExportInfo",
    "NbdTarget",
    "NbdUri",
    "Server",
    "ServerLimits",
    "ServerStatistics",
    "TlsServer",
    "describe",
    "list_exports",
    "parse_uri",
]

_LATER: _typing.Final = {
    "ExportInfo": "membuf.bus.nbd.client.greeting",
    "ServerLimits": "membuf.bus.nbd.server.limits",
    "NbdTarget": "membuf.bus.nbd.client.target",
    "Server": "membuf.bus.nbd.server.server",
    "ServerStatistics": "membuf.bus.nbd.server.server",
    "TlsServer": "membuf.bus.nbd.tls",
    "describe": "membuf.bus.nbd.client.asking",
    "list_exports": "membuf.bus.nbd.client.asking",
}
"""Names whose modules load asyncio, sockets or TLS: when they are first asked for."""


def __getattr__(name: str) -> _typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_LATER[name]), name)
    return value

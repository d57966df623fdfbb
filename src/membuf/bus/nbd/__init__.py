"""NBD, the protocol of network block devices: disks of other processes, and serving one's own."""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

from membuf.bus.nbd.uri import NbdUri, parse_uri

if _typing.TYPE_CHECKING:
    from membuf.bus.nbd.server.limits import Limits
    from membuf.bus.nbd.server.server import Server, ServerStatistics

__all__ = [
    "Limits",
    "NbdUri",
    "Server",
    "ServerStatistics",
    "parse_uri",
]

_LATER: _typing.Final = {
    "Limits": "membuf.bus.nbd.server.limits",
    "Server": "membuf.bus.nbd.server.server",
    "ServerStatistics": "membuf.bus.nbd.server.server",
}
"""Names whose modules load asyncio, sockets or TLS: when they are first asked for."""


def __getattr__(name: str) -> _typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_LATER[name]), name)
    return value

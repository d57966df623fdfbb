"""NBD, the protocol of network block devices: disks of other processes, and serving one's own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from membuf.bus.nbd.uri import NbdUri, parse_uri

if TYPE_CHECKING:
    from membuf.bus.nbd.server.limits import Limits
    from membuf.bus.nbd.server.server import Server, ServerStatistics

__all__ = [
    "Limits",
    "NbdUri",
    "Server",
    "ServerStatistics",
    "parse_uri",
]

_LATER: Final = {
    "Limits": "membuf.bus.nbd.server.limits",
    "Server": "membuf.bus.nbd.server.server",
    "ServerStatistics": "membuf.bus.nbd.server.server",
}
"""Names whose modules load asyncio, sockets or TLS: when they are first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value

"""What is at the other end of a target, and how it is named: `open_target`."""

from __future__ import annotations

from functools import partial as _partial
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from membuf.bus.device import DeviceTarget, local_target
from membuf.bus.file import FileTarget
from membuf.bus.filters import copy_on_write
from membuf.bus.limits import Limits
from membuf.bus.registry import open_target, register_filter, register_scheme
from membuf.bus.remote import RemoteTarget
from membuf.bus.store import NullTarget, RamTarget
from membuf.request.storage import Extent

if _TYPE_CHECKING:
    from membuf.bus.nbd.client.target import NbdTarget as _NbdTarget

__all__ = [
    "DeviceTarget",
    "Extent",
    "FileTarget",
    "Limits",
    "NullTarget",
    "RamTarget",
    "RemoteTarget",
    "copy_on_write",
    "local_target",
    "open_target",
    "register_filter",
    "register_scheme",
]


def _open_nbd(scheme: str, rest: str, **options: _Any) -> _NbdTarget:
    """Open an export of an NBD server; sockets and TLS are loaded by who does."""
    from membuf.bus.nbd.client.target import open_nbd

    return open_nbd(f"{scheme}:{rest}", **options)


for _scheme in ("nbd", "nbds", "nbd+unix", "nbds+unix"):
    register_scheme(_scheme, _partial(_open_nbd, _scheme))

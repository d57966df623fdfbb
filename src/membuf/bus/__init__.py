"""What is at the other end of a target, and how it is named: `open_target`."""

from __future__ import annotations

from membuf.bus.device import DeviceTarget, local_target
from membuf.bus.file import FileTarget
from membuf.bus.filters import copy_on_write
from membuf.bus.limits import Limits
from membuf.bus.registry import open_target, register_filter, register_scheme
from membuf.bus.remote import RemoteTarget
from membuf.bus.store import NullTarget, RamTarget
from membuf.request.storage import Extent

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

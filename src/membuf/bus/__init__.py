"""What is at the other end of a target, and how it is named: `open_target`."""

from __future__ import annotations

from membuf.bus.file import Extent, FileTarget
from membuf.bus.limits import Limits
from membuf.bus.registry import open_target, register_scheme

__all__ = ["Extent", "FileTarget", "Limits", "open_target", "register_scheme"]

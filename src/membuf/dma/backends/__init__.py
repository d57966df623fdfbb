"""Where device addresses come from."""

from membuf.dma.backends.backend import Backend, CannotMapError
from membuf.dma.backends.choice import backend_of
from membuf.dma.backends.identity import Identity
from membuf.dma.backends.sim import Sim
from membuf.dma.backends.window import Access, Element, Window

__all__ = [
    "Access",
    "Backend",
    "CannotMapError",
    "Element",
    "Identity",
    "Sim",
    "Window",
    "backend_of",
]

"""Memory objects: bytes with an owner, and descriptions of them for a call."""

from membuf._native import Memory
from membuf.memory.collection import Collection
from membuf.memory.descriptor import DescriptorType, MemoryDescriptor, check_range
from membuf.memory.locks import SpinLock, WaitLock

__all__ = [
    "Collection",
    "DescriptorType",
    "Memory",
    "MemoryDescriptor",
    "SpinLock",
    "WaitLock",
    "check_range",
]

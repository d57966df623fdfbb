"""Memory objects: bytes with an owner, and descriptions of them for a call."""

from membuf._native import Memory
from membuf.memory.descriptor import DescriptorType, MemoryDescriptor, check_range

__all__ = ["DescriptorType", "Memory", "MemoryDescriptor", "check_range"]

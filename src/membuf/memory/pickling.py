"""Pickling of memory objects: out of band from protocol 5 on, in band before.

An unpickled memory object stands over the buffer that was received (source "preallocated",
read-only as received), or over pool memory where the bytes had to be copied.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from membuf._native import Memory

_OUT_OF_BAND = 5


def reduce(memory: Memory, protocol: int) -> tuple[Callable[..., Memory], tuple[Any, ...]]:
    """What `copyreg` is told: how to make the object again, and from what.

    >>> import membuf
    >>> m = membuf.Memory(4, tag="Pick"); m.copy_from(b"data")
    >>> copy = pickle.loads(pickle.dumps(m))
    >>> bytes(copy.buffer), copy.tag
    (b'data', 'Pick')
    """
    if protocol >= _OUT_OF_BAND:
        return _restore, (pickle.PickleBuffer(memory), memory.tag, memory.readonly)
    return _restore, (bytes(memory), memory.tag, memory.readonly)


def _restore(buffer: Any, tag: str | None, readonly: bool) -> Memory:
    """The receiver's side: over the buffer as it came, unless it came as bytes of the stream."""
    if isinstance(buffer, (bytes, bytearray)) and not readonly:
        memory = Memory(len(buffer), tag=tag)
        memory.copy_from(buffer)
        return memory
    return Memory.preallocated(buffer, tag=tag)

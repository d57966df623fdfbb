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
    tag = memory.tag
    if protocol >= _OUT_OF_BAND:
        return _over, (pickle.PickleBuffer(memory), tag)
    return (_over if memory.readonly else _copied), (bytes(memory), tag)


def _over(buffer: Any, tag: str | None) -> Memory:
    """The receiver's side: over the buffer as it came."""
    return Memory.preallocated(buffer, tag=tag)


def _copied(content: bytes, tag: str | None) -> Memory:
    """The receiver's side of older protocols: bytes of the stream cannot be written to."""
    memory = Memory(len(content), tag=tag)
    memory.copy_from(content)
    return memory

"""Objects, memory, lookaside lists, pool, domains."""

from __future__ import annotations

from typing import reveal_type

import membuf

root = membuf.Object(name="root", on_cleanup=lambda item: None)
reveal_type(root)  # Object
reveal_type(root.parent)  # Object | None
reveal_type(root.children)  # tuple[Object, ...]
reveal_type(root.reference_count)  # int
reveal_type(root.deleted)  # bool


class Position:
    """A context of one's own."""

    offset = 0


reveal_type(root.add_context(Position))  # Position
reveal_type(root.get_context(Position))  # Position | None

memory = membuf.Memory(4096, tag="Type", parent=root, pool=membuf.PAGED, alignment=4096)
reveal_type(memory)  # Memory
reveal_type(memory.size)  # int
reveal_type(memory.tag)  # str | None
reveal_type(memory.buffer)  # memoryview[int]
reveal_type(memoryview(memory))  # memoryview[int]
reveal_type(len(memory))  # int
memory.copy_from(b"bytes", offset=8)
memory.copy_to(bytearray(8))
reveal_type(membuf.Memory.preallocated(bytearray(8)))  # Memory

with membuf.Object() as owner:
    reveal_type(owner)  # Object

pages = membuf.LookasideList(4096, tag="Page", parent=root)
reveal_type(pages.allocate())  # Memory
reveal_type(pages.statistics())  # LookasideStatistics
reveal_type(pages.statistics().hit_rate)  # float

block = membuf.pool.allocate(100, tag="Locl", zero=True)
reveal_type(block)  # Block
membuf.pool.free(block, tag="Locl")

with membuf.Domain(tag="Type", limit=1 << 20) as domain:
    reveal_type(domain)  # Domain
    reveal_type(domain.statistics())  # PoolStatistics
    reveal_type(domain.statistics().tags)  # tuple[TagStatistics, ...]

reveal_type(membuf.align_up(5, 8))  # int
reveal_type(membuf.MembufError("no").status)  # Status

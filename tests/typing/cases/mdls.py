"""MDLs: what they describe, hold and claim."""

from __future__ import annotations

from typing import reveal_type

import membuf
import membuf.mdl
import membuf.verifier

mdl = membuf.Mdl(bytearray(10_000), 100)
reveal_type(mdl)  # Mdl
reveal_type(mdl.address)  # int
reveal_type(mdl.next)  # Mdl | None
reveal_type(mdl.buffer)  # memoryview[int]
reveal_type(memoryview(mdl))  # memoryview[int]
reveal_type(mdl.guarantees)  # frozenset[str]

mdl.lock("read")
reveal_type(mdl.partial(10, 20))  # Mdl
reveal_type(mdl.iovecs())  # list[memoryview[int]]
reveal_type(mdl.system_address)  # int | None
mdl.unlock()
reveal_type(mdl.chain(membuf.Mdl(b"end")))  # Mdl

with membuf.mdl.allocate_pages(4096) as pages:
    reveal_type(pages)  # Mdl

reveal_type(membuf.verifier.report().mdls)  # tuple[LiveMdl, ...]

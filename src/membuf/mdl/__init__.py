"""MDLs: which pages a run of bytes spans, and what may be claimed of them.

>>> import membuf
>>> mdl = membuf.Mdl(bytearray(10000))
>>> mdl.lock()
>>> mdl.byte_count, "resident" in mdl.guarantees
(10000, True)
>>> mdl.unlock()
"""

from membuf.mdl.fresh import allocate_pages
from membuf.mdl.mdl import Mdl
from membuf.mdl.pages import (
    MAXIMUM_BYTE_COUNT,
    PAGE_SIZE,
    byte_offset,
    bytes_to_pages,
    page_align,
    round_to_pages,
    span_pages,
)

__all__ = [
    "MAXIMUM_BYTE_COUNT",
    "PAGE_SIZE",
    "Mdl",
    "allocate_pages",
    "byte_offset",
    "bytes_to_pages",
    "page_align",
    "round_to_pages",
    "span_pages",
]

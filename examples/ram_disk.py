"""A disk in memory, with a handler for each thing that a client can ask of a disk.

Serve it, and use it from another terminal:

    membuf serve examples/ram_disk.py --nbd "nbd+unix:///?socket=ram.sock" --set size=1GiB
    nbdinfo "nbd+unix:///?socket=ram.sock"
    qemu-img convert -n disk.qcow2 "nbd+unix:///?socket=ram.sock"

To try next: print `request.offset` in a handler while mkfs runs on the disk; take `clear` out and
see what a client does instead; put the disk under a filter, as `delay` or `stats`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import membuf
from membuf.request import ReceivedRequest
from membuf.target.filters.options import size as size_of

BLOCK = 65536  # memory is given back, and reported as a hole, in blocks of this size


def open(size: str = "64MiB") -> membuf.Disk:  # noqa: A001 - what `membuf serve` calls
    """Make the disk; nothing occupies memory until it is written."""
    length = size_of(size)
    if not length:
        raise ValueError("size must be above 0")
    disk = membuf.Disk("ram", size=length)
    attach(disk, mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return disk


def attach(disk: membuf.Disk, store: mmap.mmap) -> None:
    """Give the disk its handlers."""
    view = memoryview(store)
    written = bytearray(-(-len(store) // BLOCK))  # 1 for each block that is no hole

    @disk.on_read
    def read(request: ReceivedRequest) -> None:
        begin, length = request.offset, request.length
        request.output_memory().copy_from(view[begin : begin + length])
        request.complete(information=length)

    @disk.on_write
    def write(request: ReceivedRequest) -> None:
        begin, length = request.offset, request.length
        request.input_memory().copy_to(view[begin : begin + length])
        first, stop = begin // BLOCK, (begin + length - 1) // BLOCK + 1
        written[first:stop] = b"\1" * (stop - first)
        request.complete(information=length)

    @disk.on_trim
    @disk.on_zero
    def clear(offset: int, length: int) -> None:
        end = offset + length
        first, last = -(-offset // BLOCK), end // BLOCK
        if first >= last:  # no block of it is whole
            view[offset:end] = bytes(length)
            return
        view[offset : first * BLOCK] = bytes(first * BLOCK - offset)
        view[last * BLOCK : end] = bytes(end - last * BLOCK)
        store.madvise(mmap.MADV_DONTNEED, first * BLOCK, (last - first) * BLOCK)
        written[first:last] = bytes(last - first)

    @disk.on_extents
    def extents(offset: int, length: int) -> Iterator[membuf.Extent]:
        block, stop = offset // BLOCK, -(-(offset + length) // BLOCK)
        while (block := written.find(1, block, stop)) >= 0:
            yield membuf.Extent(block * BLOCK, BLOCK, data=True)
            block += 1

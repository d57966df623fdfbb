"""A filter that notices when what is read is not what was written."""

# pyright: reportPrivateUsage=false
# A target and what stands over it are one machine.
from __future__ import annotations

import errno
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from membuf.base.errors import InvalidParameterError, from_errno
from membuf.request.storage import Range
from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Steps
from membuf.target.filters.options import size
from membuf.target.storage import changed_by
from membuf.target.target import READ, WRITE

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target


class Checksum(Filter):
    """Keeps a checksum of every block that is written whole, and verifies it when it is read whole.

    The sums are kept in memory while the target is open. A block that is written in part is not
    known any more, nor is one that several writes had at once. One that is written during a read is
    not verified by it.

    Args:
        lower: the target below.
        block: bytes of a block.
        parent: the object whose deletion closes both.

    >>> import tempfile, membuf
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     with membuf.open_target(f"checksum(block=4)+file:{file.name}") as target:
    ...         count = target.write(b"good")
    ...         count = file.write(b"evil"); file.flush()
    ...         target.read(bytearray(4))
    Traceback (most recent call last):
    ...
    membuf.TargetError: [Errno 5] block 0 (4 bytes at 0) is not what was written: Input/output error
    """

    filter_name: ClassVar[str] = "checksum"
    options: ClassVar[Options] = {"block": size}

    def __init__(self, lower: Target, *, block: int = 4096, parent: Object | None = None) -> None:
        if block < 1 or lower._port.stream:  # noqa: SLF001
            raise InvalidParameterError(
                f"a checksum needs blocks of at least 1 byte and a target with offsets; got block "
                f"{block} and {lower!r}"
            )
        super().__init__(lower, parent=parent)
        self._block = block
        self._lock = threading.Lock()
        # Of a block, a list of its own sum: another write puts another list there.
        self._sums: dict[int, list[int]] = {}
        self._writers: Counter[int] = Counter()
        self._met: set[int] = set()
        """Blocks with several writes on their way: which of them comes last, nobody knows."""

    def steps(self, transfer: Transfer) -> Steps:
        """Send it on; take the sums of a write, verify those of a read."""
        if transfer.kind == WRITE and transfer.length:
            return self._write(transfer)
        if transfer.kind == READ:
            return self._read(transfer)
        return self._pass(transfer)

    def _pass(self, transfer: Transfer) -> Steps:
        control = transfer.control
        changed = changed_by(control) if control is not None else []
        self._forget(changed)
        try:
            return (yield transfer.down())
        finally:
            self._forget(changed)

    def _forget(self, ranges: list[Range]) -> None:
        """Nothing is known any more of blocks whose bytes change otherwise than by a write."""
        for range_ in ranges:
            first, last = range_.offset // self._block, range_.offset + range_.length - 1
            with self._lock:
                for block in [b for b in self._sums if first <= b <= last // self._block]:
                    del self._sums[block]

    def _write(self, transfer: Transfer) -> Steps:
        first = transfer.offset // self._block
        touched = range(first, (transfer.offset + transfer.length - 1) // self._block + 1)
        sums = dict(self._sums_of(transfer, transfer.length))
        with self._lock:
            for block in touched:
                self._sums.pop(block, None)
                if self._writers[block]:
                    self._met.add(block)
                self._writers[block] += 1
        written = 0
        try:
            written = yield transfer.down()
        finally:
            with self._lock:
                self._end_write(touched, sums if written == transfer.length else {})
        return written

    def _end_write(self, touched: range, sums: dict[int, int]) -> None:
        for block in touched:
            self._writers[block] -= 1
            if self._writers[block]:
                continue
            del self._writers[block]
            if block in self._met:
                self._met.discard(block)
            elif block in sums:
                self._sums[block] = [sums[block]]

    def _read(self, transfer: Transfer) -> Steps:
        with self._lock:
            known = self._known(transfer)
        count = yield transfer.down()
        for block, found in self._sums_of(transfer, count):
            kept = known.get(block)
            if kept is None or kept[0] == found:
                continue
            if self._sums.get(block) is kept:
                raise from_errno(
                    errno.EIO,
                    f"block {block} ({self._block} bytes at {block * self._block}) is not what "
                    "was written",
                )
        return count

    def _known(self, transfer: Transfer) -> dict[int, list[int]]:
        first = transfer.offset // self._block
        last = (transfer.offset + transfer.length) // self._block
        return {block: self._sums[block] for block in range(first, last + 1) if block in self._sums}

    def _sums_of(self, transfer: Transfer, count: int) -> Iterator[tuple[int, int]]:
        """The sums of the blocks that the first `count` bytes of a transfer hold whole."""
        views = transfer.views()
        data = views[0] if len(views) == 1 else memoryview(b"".join(views))
        start = -transfer.offset % self._block
        block = (transfer.offset + start) // self._block
        while start + self._block <= count:
            yield block, zlib.crc32(data[start : start + self._block])
            start += self._block
            block += 1

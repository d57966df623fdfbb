r"""A disk that keeps equal blocks once, and all of them compressed, in one SQLite file.

    membuf serve examples/compressed_disk.py --nbd "nbd+unix:///?socket=small.sock" \
        --set store=small.db --set size=10GiB --set block=16KiB
    qemu-img convert -n debian.qcow2 "nbd+unix:///?socket=small.sock"
    python examples/compressed_disk.py small.db       # what that has saved (stop the server before)

Every block is named by its SHA-256: a block that is there already is only counted once more. Blocks
of zeros are not kept at all, and are reported as holes.

A flush is a commit: what was written before it survives a crash, and what was written after it is
gone as a whole, as with the cache of a hard disk. A sequential queue has the handlers run one at a
time, so that they need no lock. They do block while the database works; where there are many
clients, serve with `--threads`.

To try next: zlib's levels (`LEVEL`), another block size (large blocks compress better, small ones
are equal more often), `limit=` for a disk that is full before its size says so.
"""

from __future__ import annotations

import errno
import hashlib
import sqlite3
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import membuf
from membuf.base import status as st
from membuf.base.errors import from_errno
from membuf.request import ControlCode, ReceivedRequest
from membuf.target.filters.options import size as size_of

T = TypeVar("T")
LEVEL = 1
SAVINGS = ControlCode(0x8000, 0x800).encode()  # its answer: the three numbers of `Savings`, u64
NUMBERS = struct.Struct("<QQQ")
SCHEMA = """
CREATE TABLE IF NOT EXISTS disk (size INTEGER, block INTEGER);
CREATE TABLE IF NOT EXISTS chunk (
    id INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, uses INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS place (block INTEGER PRIMARY KEY, chunk INTEGER NOT NULL);
"""


class Savings(NamedTuple):
    """What a store holds, in bytes.

    Attributes:
        used: blocks that are not zero, as their clients see them.
        distinct: the different ones among them.
        stored: these, compressed.
    """

    used: int
    distinct: int
    stored: int

    def __str__(self) -> str:
        ratio = self.used / self.stored if self.stored else 1.0
        return (
            f"{self.used} bytes used, {self.distinct} after deduplication, {self.stored} stored: "
            f"{ratio:.1f} to 1"
        )


class Store:
    """Blocks by their number, in a database.

    Args:
        path: the file; it is made where there is none.
        size: the bytes of the disk; None for what the file says.
        block: the bytes of a block; None for what the file says.
        limit: how many bytes of compressed blocks it may hold.
    """

    def __init__(
        self, path: str, size: int | None, block: int | None, limit: int | None = None
    ) -> None:
        self.database = sqlite3.connect(path, timeout=0, check_same_thread=False)
        try:
            self.size, self.block = self._prepare(path, size, block)
            self.stored = self.savings().stored
        except BaseException:
            self.database.close()
            raise
        self.limit = limit
        self.failed = False

    def _prepare(self, path: str, size: int | None, block: int | None) -> tuple[int, int]:
        """Lock the file, and read or write what the disk is."""
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.executescript(SCHEMA)
        row: tuple[int, int] | None
        row = self.database.execute("SELECT size, block FROM disk").fetchone()
        if row is None:
            if size is None:
                raise ValueError(f"{path} is new: it needs a size, as in size=1GiB")
            row = size, block or 16384
            self.database.execute("INSERT INTO disk VALUES (?, ?)", row)
            self.database.commit()
        if size not in (None, row[0]) or block not in (None, row[1]):
            raise ValueError(
                f"{path} is a disk of size={row[0]} and block={row[1]}; leave them out"
            )
        return row

    # ---- whole blocks ---------------------------------------------------------------------------

    def load(self, number: int) -> bytes | None:
        """The bytes of a block; None where it is a hole."""
        row = self.database.execute(
            "SELECT data FROM chunk JOIN place ON chunk = id WHERE block = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        data: bytes = row[0]
        return data if len(data) == self.block else zlib.decompress(data)

    def save(self, number: int, data: bytes) -> None:
        """Set the bytes of a block."""
        if not data.strip(b"\0"):
            self.drop(number)
            return
        name = hashlib.sha256(data).digest()
        row = self.database.execute("SELECT id FROM chunk WHERE name = ?", (name,)).fetchone()
        chunk = self._add(name, data) if row is None else row[0]
        # The new use is counted before the old one goes: they may be of the same chunk.
        self.database.execute("UPDATE chunk SET uses = uses + 1 WHERE id = ?", (chunk,))
        self.drop(number)
        self.database.execute("INSERT INTO place VALUES (?, ?)", (number, chunk))

    def _add(self, name: bytes, data: bytes) -> int:
        packed = zlib.compress(data, LEVEL)
        if len(packed) >= len(data):
            packed = data
        if self.limit is not None and self.stored + len(packed) > self.limit:
            raise from_errno(errno.ENOSPC, f"the store holds {self.stored} bytes already")
        self.stored += len(packed)
        added = self.database.execute("INSERT INTO chunk VALUES (NULL, ?, 0, ?)", (name, packed))
        return int(added.lastrowid or 0)

    def drop(self, number: int) -> None:
        """Make a block a hole; a chunk that nobody uses any more goes with it."""
        row = self.database.execute(
            "DELETE FROM place WHERE block = ? RETURNING chunk", (number,)
        ).fetchone()
        if row is None:
            return
        self.database.execute("UPDATE chunk SET uses = uses - 1 WHERE id = ?", row)
        gone = self.database.execute(
            "DELETE FROM chunk WHERE id = ? AND uses = 0 RETURNING length(data)", row
        ).fetchone()
        self.stored -= gone[0] if gone else 0

    # ---- any bytes ------------------------------------------------------------------------------

    def pieces(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """The blocks of a range: number, and where in it the range begins and ends."""
        end = offset + length
        while offset < end:
            number, begin = divmod(offset, self.block)
            stop = min(self.block, begin + end - offset)
            yield number, begin, stop
            offset += stop - begin

    def read(self, offset: int, view: memoryview) -> None:
        """Fill a view."""
        for number, begin, stop in self.pieces(offset, len(view)):
            data = self.load(number)
            view[: stop - begin] = bytes(stop - begin) if data is None else data[begin:stop]
            view = view[stop - begin :]

    def write(self, offset: int, view: memoryview) -> None:
        """Set bytes; a block that is set in part is read before."""
        for number, begin, stop in self.pieces(offset, len(view)):
            part, view = view[: stop - begin], view[stop - begin :]
            if len(part) == self.block:
                self.save(number, bytes(part))
                continue
            data = bytearray(self.load(number) or self.block)
            data[begin:stop] = part
            self.save(number, bytes(data))

    def clear(self, offset: int, length: int) -> None:
        """Have bytes read as zeros."""
        for number, begin, stop in self.pieces(offset, length):
            if stop - begin == self.block:
                self.drop(number)
            else:
                self.write(number * self.block + begin, memoryview(bytes(stop - begin)))

    def extents(self, offset: int, length: int) -> Iterator[membuf.Extent]:
        """The blocks that are no holes."""
        first, last = offset // self.block, (offset + length - 1) // self.block
        rows = self.database.execute(
            "SELECT block FROM place WHERE block BETWEEN ? AND ? ORDER BY block", (first, last)
        )
        for (number,) in rows:
            yield membuf.Extent(number * self.block, self.block, data=True)

    def savings(self) -> Savings:
        """What it holds."""
        row = self.database.execute("SELECT sum(uses), count(*), sum(length(data)) FROM chunk")
        uses, count, stored = row.fetchone()
        return Savings((uses or 0) * self.block, count * self.block, stored or 0)

    def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Do some work, with its errors as those of a disk.

        When the database has failed it may have taken back what was not flushed. So it is not
        asked again: a write that is lost must not be followed by a flush that ends well.
        """
        if self.failed:
            raise from_errno(errno.EIO, "the store has failed")
        try:
            return work(*arguments)
        except (sqlite3.Error, zlib.error) as error:
            self.failed = True
            raise from_errno(errno.EIO, f"the store has failed: {error}") from error

    def close(self) -> None:
        """Commit and close."""
        if not self.failed:
            self.database.commit()
        self.database.close()


def open(  # noqa: A001 - what `membuf serve` calls
    store: str, size: str = "", block: str = "", limit: str = ""
) -> membuf.Disk:
    """Make the disk: `store=` its file; `size=` and `block=` (4 to 64 KiB) where that is new."""
    settings = {"size": size, "block": block, "limit": limit}
    try:
        numbers = {name: size_of(text) for name, text in settings.items() if text}
    except ValueError as error:
        raise ValueError(f"size, block and limit are sizes; got {settings}: {error}") from None
    length, bytes_a_block = numbers.get("size"), numbers.get("block")
    if bytes_a_block not in (None, 4096, 8192, 16384, 32768, 65536):
        raise ValueError(f"block is 4KiB, 8KiB, 16KiB, 32KiB or 64KiB; got {block!r}")
    if length == 0:
        raise ValueError("size must be above 0")
    try:
        kept = Store(store, length, bytes_a_block, numbers.get("limit"))
    except sqlite3.Error as error:
        raise ValueError(f"{store} cannot be used as a store: {error}") from None
    disk = membuf.Disk(
        "small", size=kept.size, preferred_size=kept.block, on_cleanup=lambda _: kept.close()
    )
    disk.queue("one at a time", dispatch="sequential", default=True)
    attach(disk, kept)
    return disk


def attach(disk: membuf.Disk, store: Store) -> None:
    """Give the disk its handlers."""

    def end(request: ReceivedRequest, work: Callable[..., object], *arguments: object) -> None:
        try:
            store.run(work, *arguments)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=request.length)

    @disk.on_read
    def read(request: ReceivedRequest) -> None:
        end(request, store.read, request.offset, request.output_buffer())

    @disk.on_write
    def write(request: ReceivedRequest) -> None:
        end(request, store.write, request.offset, request.input_buffer())

    @disk.on_flush
    def flush(request: ReceivedRequest) -> None:
        end(request, store.database.commit)

    @disk.on_trim
    @disk.on_zero
    def clear(offset: int, length: int) -> None:
        store.run(store.clear, offset, length)

    @disk.on_extents
    def extents(offset: int, length: int) -> list[membuf.Extent]:
        return store.run(lambda: list(store.extents(offset, length)))

    @disk.on_ioctl
    def control(request: ReceivedRequest) -> None:
        if request.code != SAVINGS or request.output_length < NUMBERS.size:
            request.complete(st.STATUS_INVALID_DEVICE_REQUEST)
            return
        request.output_memory().copy_from(NUMBERS.pack(*store.savings()))
        request.complete(information=NUMBERS.size)


def main() -> None:
    """Say what a store saves."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: compressed_disk.py FILE")
    store = Store(sys.argv[1], None, None)
    print(store.savings())
    store.close()


if __name__ == "__main__":
    main()

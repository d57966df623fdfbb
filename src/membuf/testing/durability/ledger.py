"""What was written to a disk, and what of it must be there after a crash."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from typing import Final

from membuf.base.errors import InvalidParameterError

Read = Callable[[int, int], bytes]

_MOST_SHOWN: Final = 8
_PIECE_SECTORS: Final = 1024
_HEAD: Final = struct.Struct("<8s8sQQ")
_MAGIC: Final = b"membuf\0\1"


class LostWriteError(AssertionError):
    """A disk does not hold what it must hold.

    Attributes:
        defects: what was found, a sentence for each sector.

    >>> LostWriteError(["sector 2 (at 1024) holds zeros; it must hold write 1"]).defects
    ['sector 2 (at 1024) holds zeros; it must hold write 1']
    """

    def __init__(self, defects: list[str]) -> None:
        shown = [f"  {defect}" for defect in defects[:_MOST_SHOWN]]
        if len(defects) > _MOST_SHOWN:
            shown.append("  ...")
        super().__init__(f"{len(defects)} sectors are not what they must be:\n" + "\n".join(shown))
        self.defects = defects


class Write:
    """One write to the disk, which is told apart from every other in each of its sectors.

    Attributes:
        sequence: its number; a later write to a sector has a higher one.
        offset: where, in bytes.
        length: how many bytes.
        zero: whether it makes zeros.
        acknowledged: whether the disk said that it is done.

    >>> write = Ledger(4096).write(0, 1024)
    >>> write, len(write.data), list(write.sectors), write.acknowledged
    (write 1, 1024, [0, 1], False)
    """

    __slots__ = ("_ledger", "acknowledged", "length", "offset", "sequence", "zero")

    def __init__(
        self, ledger: Ledger, sequence: int, offset: int, length: int, *, zero: bool
    ) -> None:
        self._ledger = ledger
        self.sequence, self.offset, self.length, self.zero = sequence, offset, length, zero
        self.acknowledged = False

    @property
    def data(self) -> bytes:
        """The bytes to write."""
        if self.zero:
            return bytes(self.length)
        return b"".join(self._ledger.content(self, number) for number in self.sectors)

    @property
    def sectors(self) -> range:
        """The numbers of the sectors that it writes."""
        size = self._ledger.sector
        return range(self.offset // size, (self.offset + self.length) // size)

    def __repr__(self) -> str:
        return f"zeros {self.sequence}" if self.zero else f"write {self.sequence}"


class Ledger:
    """Notes every write to a disk, and says what the disk must hold.

    Begin with a disk of zeros. Note a write before it is sent and when it has ended, and a flush
    likewise. After a crash, `check` reads the disk: a sector must hold the last write to it that
    was durable (acknowledged before a flush began that ended well, or durable in itself), or a
    later one; nothing else.

    No two writes to a sector may be on their way at once: nobody could say which one came last.

    Args:
        size: bytes of the disk.
        sector: bytes of a sector, which is written whole or not at all.

    >>> disk = bytearray(4096)
    >>> ledger = Ledger(len(disk))
    >>> write = ledger.write(512, 1024)
    >>> disk[512:1024] = write.data[:512]
    >>> ledger.check(lambda offset, length: disk[offset : offset + length])  # it may be there
    >>> ledger.acknowledged(write, durable=True)
    >>> ledger.check(lambda offset, length: disk[offset : offset + length])
    Traceback (most recent call last):
    ...
    membuf.testing.durability.ledger.LostWriteError: 1 sectors are not what they must be:
      sector 2 (at 1024) holds zeros; it must hold write 1
    """

    def __init__(self, size: int, *, sector: int = 512) -> None:
        if sector < _HEAD.size or size < sector:
            raise InvalidParameterError(
                f"a sector has at least {_HEAD.size} bytes and a disk one sector; got {sector}, "
                f"{size}"
            )
        self.sector, self.count = sector, size // sector
        self._identity = random.SystemRandom().randbytes(8)
        self._origin = Write(self, 0, 0, size, zero=True)
        self._origin.acknowledged = True
        # Of each sector the writes that it may hold, the last durable one first.
        self._histories: dict[int, list[Write]] = {}
        self._busy: set[int] = set()
        self._volatile: dict[int, Write] = {}
        self.writes = self.flushes = self.checks = 0

    # ---- noting ---------------------------------------------------------------------------------

    def write(self, offset: int, length: int, *, zero: bool = False) -> Write:
        """Note that a write, or one of zeros, is about to be sent; its `data` are what to write.

        Raises:
            InvalidParameterError: it is no whole number of sectors of the disk, or a write to one
                of them is on its way.
        """
        if (offset | length) % self.sector or not 0 < length <= self.count * self.sector - offset:
            raise InvalidParameterError(f"{length} bytes at {offset} are no sectors of the disk")
        self.writes += 1
        write = Write(self, self.writes, offset, length, zero=zero)
        if not self._busy.isdisjoint(write.sectors):
            raise InvalidParameterError(f"a write to {offset} + {length} is on its way already")
        self._busy.update(write.sectors)
        for number in write.sectors:
            self._histories.setdefault(number, [self._origin]).append(write)
        return write

    def acknowledged(self, write: Write, *, durable: bool = False) -> None:
        """Note that a write has ended well.

        Args:
            write: which one.
            durable: whether that means that it survives from now on (FUA).
        """
        self._busy.difference_update(write.sectors)
        write.acknowledged = True
        if durable:
            self._settle(write)
        else:
            self._volatile[write.sequence] = write

    def failed(self, write: Write) -> None:
        """Note that a write has ended with an error: it may be there, or in part, or not."""
        self._busy.difference_update(write.sectors)

    def flush(self) -> tuple[Write, ...]:
        """Note that a flush is about to be sent; what it returns goes to `flushed`."""
        return tuple(self._volatile.values())

    def flushed(self, writes: tuple[Write, ...]) -> None:
        """Note that a flush has ended well: what was acknowledged before it began survives."""
        self.flushes += 1
        for write in writes:
            self._settle(write)

    def crashed(self) -> None:
        """Note that what was on its way never ends, and that what was not durable may be gone."""
        self._busy.clear()
        self._volatile.clear()

    def _settle(self, write: Write) -> None:
        self._volatile.pop(write.sequence, None)
        for number in write.sectors:
            history = self._histories[number]
            if write in history:
                del history[: history.index(write)]

    def place(self, dice: random.Random, most: int = 32) -> tuple[int, int] | None:
        """Somewhere to write, as offset and length; None where what was tried is busy.

        Args:
            dice: decides.
            most: sectors at most.
        """
        count = dice.randint(1, min(most, self.count))
        first = dice.randrange(self.count - count + 1)
        if not self._busy.isdisjoint(range(first, first + count)):
            return None
        return first * self.sector, count * self.sector

    # ---- checking -------------------------------------------------------------------------------

    def check(self, read: Read, *, crashed: bool = True) -> None:
        """Read the disk, and see whether it holds what it must hold.

        What is found after a crash is what must be there from then on, until it is written again.

        Args:
            read: `read(offset, length)` returns bytes of the disk.
            crashed: whether it lost what was not durable. If not, whatever was acknowledged must
                be there.

        Raises:
            LostWriteError: it does not.
        """
        self.checks += 1
        defects: list[str] = []
        for first in range(0, self.count, _PIECE_SECTORS):
            count = min(_PIECE_SECTORS, self.count - first)
            data = bytes(read(first * self.sector, count * self.sector))
            for index in range(count):
                found = data[index * self.sector : (index + 1) * self.sector]
                defect = self._look_at(first + index, found, crashed=crashed)
                if defect is not None:
                    defects.append(defect)
        if defects:
            raise LostWriteError(defects)

    def content(self, write: Write, number: int) -> bytes:
        """What a sector holds once a write is there."""
        if write.zero:
            return bytes(self.sector)
        head = _HEAD.pack(_MAGIC, self._identity, write.sequence, number)
        return head + hashlib.shake_128(head).digest(self.sector - _HEAD.size)

    def _look_at(self, number: int, found: bytes, *, crashed: bool) -> str | None:
        """What is wrong with a sector, if anything."""
        may = self._may_hold(number, crashed=crashed)
        for write in may:
            if found == self.content(write, number):
                if crashed and number not in self._busy and len(may) > 1:
                    self._histories[number] = [write]
                return None
        return self._describe(number, found, may)

    def _may_hold(self, number: int, *, crashed: bool) -> list[Write]:
        """The writes that a sector may hold, the latest first."""
        history = self._histories.get(number, [self._origin])
        if not crashed:
            known = [index for index, write in enumerate(history) if write.acknowledged]
            last = known[-1] if known else 0
            history = history[last:]
        return history[::-1]

    def _describe(self, number: int, found: bytes, may: list[Write]) -> str:
        names = " or ".join(map(repr, reversed(may)))
        return (
            f"sector {number} (at {number * self.sector}) holds {self._name(number, found)}; "
            f"it must hold {names}"
        )

    def _name(self, number: int, found: bytes) -> str:
        if not any(found):
            return "zeros"
        head = found.ljust(_HEAD.size)[: _HEAD.size]
        magic, identity, sequence, home = _HEAD.unpack(head)
        if magic != _MAGIC or identity != self._identity:
            return "bytes that nobody wrote"
        name = f"write {sequence}" if home == number else f"write {sequence} of sector {home}"
        whole = head + hashlib.shake_128(head).digest(self.sector - _HEAD.size)
        if found == whole:
            return name
        return f"the beginning of {name} and something else"

    def __iter__(self) -> Iterator[Write]:
        """What is acknowledged and not durable yet."""
        return iter(self._volatile.values())

    def __repr__(self) -> str:
        return (
            f"<Ledger of {self.count} sectors: {self.writes} writes, {self.flushes} flushes, "
            f"{self.checks} checks>"
        )

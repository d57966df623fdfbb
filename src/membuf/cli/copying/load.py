"""The memory of one trip: taken from the lookaside list, filled, emptied, given back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from types import TracebackType
from typing import NamedTuple, Self

from membuf._native import Memory
from membuf.pool import LookasideList


class Run(NamedTuple):
    """Part of a load that is all zeros, or is not.

    Attributes:
        start, length: in bytes, from the start of the load.
        zero: whether they are all zeros.
    """

    start: int
    length: int
    zero: bool


class Load:
    """Memory objects of a lookaside list, and the part of a copy that they carry.

    The memory that a read fills is the memory that the write empties. At the end of a `with` all of
    it goes back to the list.

    Args:
        blocks: the list.
        offset: where the bytes belong, from the start of the copy.
        length: how many bytes there are; a reader that gets fewer corrects it.
        ticket: the load's place in the order of loads.

    >>> from membuf import Domain
    >>> with Domain() as domain:
    ...     with Load(LookasideList(4096, parent=domain), 0, 6000) as load:
    ...         load.part(4096, 1904)
    ([<membuf.Memory ...>], {'memory_offset': 0, 'memory_length': 1904})
    """

    __slots__ = ("_memories", "block_size", "length", "offset", "ticket")

    def __init__(self, blocks: LookasideList, offset: int, length: int, ticket: int = 0) -> None:
        self.block_size = blocks.size
        self.offset = offset
        self.length = length
        self.ticket = ticket
        self._memories: list[Memory] = []
        try:
            while len(self._memories) * self.block_size < length:
                self._memories.append(blocks.allocate())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back to the list."""
        for memory in self._memories:
            memory.delete()

    def part(self, start: int, length: int) -> tuple[list[Memory], dict[str, int]]:
        """What a transfer of a part needs: its memory objects, and the keywords for a single one.

        A part is whole blocks, or lies inside one.
        """
        first, inside = divmod(start, self.block_size)
        count = max(1, length // self.block_size)
        return self._memories[first : first + count], {
            "memory_offset": inside,
            "memory_length": length,
        }

    def placed(self, memories: list[Memory], offset: int) -> list[tuple[Memory, int]]:
        """Memory objects with the offsets of the blocks that they carry, from `offset` on."""
        return [(memory, offset + self.block_size * n) for n, memory in enumerate(memories)]

    def runs(self, grain: int) -> list[Run]:
        """The bytes in order as runs of zeros and of others, found in steps of `grain` bytes.

        Each run of others is whole blocks or lies inside one, so that it can be moved as a part.
        """
        found: list[Run] = []
        for start, view in self._views():
            for run in _runs(view, start, grain):
                last = found[-1] if found else None
                if last and last.zero == run.zero and (run.zero or self._whole(last, run)):
                    found[-1] = Run(last.start, last.length + run.length, run.zero)
                else:
                    found.append(run)
        return found

    def copy_of(self, start: int, length: int) -> bytes:
        """The bytes of a part, copied out of the memory."""
        (memory,), part = self.part(start, length)
        with memory.buffer as view:
            return bytes(view[part["memory_offset"] :][:length])

    def digest(self) -> bytes:
        """The SHA-256 of the bytes."""
        import hashlib

        checksum = hashlib.sha256()
        for _, view in self._views():
            checksum.update(view)
        return checksum.digest()

    def _whole(self, *runs: Run) -> bool:
        return not any(run.start % self.block_size or run.length % self.block_size for run in runs)

    def _views(self) -> Iterator[tuple[int, memoryview]]:
        for number, memory in enumerate(self._memories):
            start = number * self.block_size
            if start < self.length:
                with memory.buffer as whole, whole[: self.length - start] as view:
                    yield start, view


def _runs(view: memoryview, start: int, grain: int) -> Iterator[Run]:
    zeros = bytes(grain)
    steps = range(0, len(view), grain)
    for zero, group in groupby(steps, lambda step: zeros.startswith(view[step : step + grain])):
        offsets = list(group)
        length = min(offsets[-1] + grain, len(view)) - offsets[0]
        yield Run(start + offsets[0], length, zero)

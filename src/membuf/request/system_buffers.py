"""System buffers: the framework's copies of what originators read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from membuf._native import LookasideList, Memory

if TYPE_CHECKING:
    from membuf.pool.statistics import LookasideStatistics

_SMALLEST: Final = 9  # 512 bytes
_LARGEST: Final = 20  # 1 MiB; what is larger comes from the pool itself
TAG: Final = "IoSb"


class SystemBuffers:
    """Lookaside lists by size class, a power of two each, made when they are first needed."""

    __slots__ = ("_lists",)

    def __init__(self) -> None:
        self._lists: dict[int, LookasideList] = {}

    def statistics(self) -> tuple[LookasideStatistics, ...]:
        """A record a list, the smallest first."""
        lists = [list_ for _, list_ in sorted(self._lists.items()) if not list_.deleted]
        return tuple(list_.statistics() for list_ in lists)

    def take(self, size: int, zero: bool) -> Memory:
        """Memory of `size` bytes or more; its deletion gives it back.

        Args:
            size: bytes, 1 or more.
            zero: cleared, so that no byte of another request is ever seen.
        """
        order = max(_SMALLEST, (size - 1).bit_length())
        if order > _LARGEST:
            return Memory(size, tag=TAG, zero=zero)
        key = order << 1 | zero
        list_ = self._lists.get(key)
        if list_ is None or list_.deleted:  # with the domain that was current when it was made
            list_ = self._lists[key] = LookasideList(1 << order, tag=TAG, zero=zero)
        return list_.allocate()

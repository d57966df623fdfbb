"""A disk with a cache, whose power can be cut."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, Literal

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, from_status
from membuf.request.disk import Disk

if TYPE_CHECKING:
    from membuf.request.received import ReceivedRequest

Defect = Literal["flush", "write-through"]


class LossyDisk(Disk):
    """A disk in memory with a write cache, which is lost when its power is cut.

    What was not flushed when the power goes is then there, or not, or is an older one of several
    writes: sector by sector, as the dice say. Until `restore` every request fails.

    Args:
        name: what `device:` targets call it.
        size: its bytes.
        sector: bytes that are written whole or not at all.
        write_through: whether it obeys requests that are to be durable in themselves.
        defect: what it only says that it does: "flush" or "write-through". To see that a check
            finds it.
        options: as of any `Disk`.

    >>> import membuf, random
    >>> disk = LossyDisk("lossy-doc", size=4096)
    >>> with membuf.open_target("device:lossy-doc") as target:
    ...     count = target.write(b"kept" * 128); target.flush()
    ...     count = target.write(b"lost" * 128)
    ...     disk.cut(random.Random(1)); disk.restore()
    ...     count = target.read(data := bytearray(4)); bytes(data)
    b'kept'
    >>> disk.delete()
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        size: int,
        sector: int = 512,
        write_through: bool = False,
        defect: Defect | None = None,
        **options: Any,
    ) -> None:
        if size % sector:
            raise InvalidParameterError(f"size {size} is no multiple of sector {sector}")
        super().__init__(name, size=size, write_through=write_through, **options)
        self._sector = sector
        self._platter = bytearray(size)
        # Of each sector what was written since the last flush, the latest last.
        self._cache: dict[int, list[bytes]] = {}
        self._defect = defect
        self._guard = threading.Lock()
        self._off = False
        self.on_read(self._read)
        self.on_write(self._write)
        self.on_flush(self._flush)
        self.on_zero(self._zero)

    def cut(self, dice: random.Random) -> None:
        """Cut its power; what becomes of the cache the dice decide."""
        with self._guard:
            self._off = True
            for number, versions in self._cache.items():
                survivor = dice.choice([None, *versions])
                if survivor is not None:
                    self._put(number, survivor)
            self._cache.clear()

    def restore(self) -> None:
        """Give it power again."""
        with self._guard:
            self._off = False

    # ---- handlers -------------------------------------------------------------------------------

    def _read(self, request: ReceivedRequest) -> None:
        with self._guard:
            data = None if self._off else self._content(request.offset, request.length)
        if data is None:
            request.complete(st.STATUS_IO_DEVICE_ERROR)
            return
        request.output_memory().copy_from(data)
        request.complete(information=request.length)

    def _write(self, request: ReceivedRequest) -> None:
        data = bytearray(request.length)
        request.input_memory().copy_to(data)
        with self._guard:
            off = self._off
            if not off:
                self._keep(request.offset, data)
                if request.write_through and self.write_through and self._defect is None:
                    self._settle(self._sectors(request.offset, request.length))
        if off:
            request.complete(st.STATUS_IO_DEVICE_ERROR)
        else:
            request.complete(information=request.length)

    def _flush(self, request: ReceivedRequest) -> None:
        with self._guard:
            off = self._off
            if not off and self._defect != "flush":
                self._settle(list(self._cache))
        request.complete(st.STATUS_IO_DEVICE_ERROR if off else st.STATUS_SUCCESS)

    def _zero(self, offset: int, length: int) -> None:
        with self._guard:
            if self._off:
                raise from_status(st.STATUS_IO_DEVICE_ERROR, "the disk has no power")
            self._keep(offset, bytearray(length))

    # ---- sectors --------------------------------------------------------------------------------

    def _sectors(self, offset: int, length: int) -> list[int]:
        return list(range(offset // self._sector, -(-(offset + length) // self._sector)))

    def _latest(self, number: int) -> bytes:
        versions = self._cache.get(number)
        begin = number * self._sector
        return versions[-1] if versions else bytes(self._platter[begin : begin + self._sector])

    def _content(self, offset: int, length: int) -> bytes:
        sectors = self._sectors(offset, length)
        begin = offset % self._sector
        return b"".join(map(self._latest, sectors))[begin : begin + length]

    def _keep(self, offset: int, data: bytearray) -> None:
        """Have the cache hold what is written."""
        sectors = self._sectors(offset, len(data))
        whole = bytearray().join(map(self._latest, sectors))
        begin = offset % self._sector
        whole[begin : begin + len(data)] = data
        for index, number in enumerate(sectors):
            version = bytes(whole[index * self._sector : (index + 1) * self._sector])
            self._cache.setdefault(number, []).append(version)

    def _settle(self, numbers: list[int]) -> None:
        """Have the latest of sectors survive."""
        for number in numbers:
            self._put(number, self._cache.pop(number)[-1])

    def _put(self, number: int, data: bytes) -> None:
        begin = number * self._sector
        self._platter[begin : begin + self._sector] = data

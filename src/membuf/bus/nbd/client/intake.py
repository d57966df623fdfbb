"""Receiving: bytes go where they belong, straight from the socket."""

from __future__ import annotations

from typing import Final

from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client.replies import Landing, Parts
from membuf.bus.nbd.client.wires import Wire

_AHEAD: Final = nbd.CHUNK.size + 8  # a chunk's head, and the offset that mostly follows it
_SCRATCH: Final = 65536


class Intake:
    """Receives what is to be filled, one part after the other.

    What is short is received with what follows it, as far as a head reaches; what is long, where it
    belongs; what nobody waits for any more, where it does no harm.

    Args:
        wire: what carries the bytes.
        parts: what is to be filled.
    """

    def __init__(self, wire: Wire, parts: Parts) -> None:
        self._wire, self._parts = wire, parts
        self._part = next(parts)
        self._ahead = memoryview(bytearray(_AHEAD))
        self._here = self._end = 0
        self._scratch = memoryview(bytearray(_SCRATCH))

    def go_on(self) -> bool:
        """Fill a part, and look for the next; False where it is not all here yet.

        Raises:
            LostError: the connection is gone, or of no use.
        """
        part = self._part
        if isinstance(part, Landing):
            if not self._land(part):
                return False
        else:
            while len(part):
                count = self._receive(part)
                if not count:
                    return False
                self._part = part = part[count:]
        self._part = next(self._parts)
        return True

    def _receive(self, view: memoryview) -> int:
        if self._here < self._end:
            count = min(self._end - self._here, len(view))
            view[:count] = self._ahead[self._here : self._here + count]
            self._here += count
            return count
        if len(view) >= _AHEAD:
            return self._wire.receive(view)
        self._here, self._end = 0, self._wire.receive(self._ahead)
        return self._receive(view) if self._end else 0

    def _land(self, landing: Landing) -> bool:
        while landing.length:
            with landing.exchange.room(landing.start, landing.length) as room:
                view = room if len(room) else self._scratch[: landing.length]
                count = self._receive(view)
            if not count:
                return False
            landing.start += count
            landing.length -= count
        return True

"""Where transfers wait while their target is stopped, in the order they were sent."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.target._port import Packet
    from membuf.target.engine import Lane


class Here:
    """The way of a transfer that the thread which wants it carries out itself.

    Attributes:
        called: set when a transfer that waited in its stopped target is started or ended.
    """

    loop = None

    def __init__(self) -> None:
        self.called = threading.Event()

    def resume(self, packet: Packet) -> None:
        """Have its thread carry it out."""
        self.called.set()

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """Have its thread end it."""
        packet.interrupt(error, status)
        self.called.set()

    def cancel(self, packet: Packet) -> bool:
        """Have its thread stop it, if it waits for a stream."""
        packet.mark_cancelled()
        return packet.stream


class Parking:
    """The transfers that a stopped target keeps (rule: a send to a stopped target is queued)."""

    def __init__(self) -> None:
        self._lanes: dict[Packet, Lane | Here] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, packet: Packet, lane: Lane | Here) -> None:
        """Keep a packet, and the lane that is to start it."""
        with self._lock:
            packet.lane = self
            self._lanes[packet] = lane

    def take_first(self) -> tuple[Packet, Lane | Here] | None:
        """Take out the packet that has waited longest."""
        with self._lock:
            for packet in self._lanes:
                lane = self._lanes.pop(packet)
                packet.lane = lane
                return packet, lane
        return None

    def cancel(self, packet: Packet) -> bool:
        """End a packet that waits here as cancelled; False where it does not."""
        with self._lock:
            lane = self._lanes.pop(packet, None)
        if lane is None:
            return False
        packet.lane = lane
        packet.mark_cancelled()
        lane.abandon(packet, errno.ECANCELED)
        return True

"""Where transfers wait while their target is stopped, in the order they were sent."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.target._port import Packet
    from membuf.target.engine import Lane


class Parking:
    """The transfers that a stopped target keeps (rule: a send to a stopped target is queued)."""

    def __init__(self) -> None:
        self._lanes: dict[Packet, Lane] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, packet: Packet, lane: Lane) -> None:
        """Keep a packet, and the lane that is to start it."""
        with self._lock:
            packet.lane = self
            self._lanes[packet] = lane

    def take_first(self) -> tuple[Packet, Lane] | None:
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

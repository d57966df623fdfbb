"""The io_uring engine: a ring for every thread that sends, shared by all targets.

* A batch borrows a ring for as long as it runs.
* An event loop has a ring, whose descriptor it watches.
* What is sent outside any loop goes to a thread of the engine with a ring of its own.

So what a thread sends to several targets is handed to the system together, and a target costs no
ring of its own. A ring is used by one thread alone, so that nothing is locked on the way of a
transfer. Where another thread wants something of a ring (to cancel, to close) it asks the ring's
thread; if that does not run any more, it takes its place.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from membuf.target._future import current_loop
from membuf.target._port import unraisable
from membuf.target._uring import Ring
from membuf.target.engine import Engine, Lane, ShutLane, forget_closed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from membuf.target._batch import Batch
    from membuf.target._port import Packet

DEPTH: Final = 128
"""Transfers that one ring has with the system at once."""

_LOOK_MILLISECONDS: Final = 5
_KEPT_RINGS: Final = 4


class LoopLane(Lane):
    """The transfers of one event loop: its ring, watched by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Ring) -> None:
        super().__init__(loop)
        self._loop = loop
        self._ring = ring
        self.future = ring.future
        self.notice = ring.notice
        ring.attend(self, loop)

    @property
    def busy(self) -> bool:
        """Whether ends are still to be told."""
        return self._ring.busy > 0

    @property
    def mine(self) -> bool:
        """Whether this thread may use the ring: the loop's, or any where it does not run."""
        return not self._loop.is_running() or current_loop() is self._loop

    def start(self, packet: Packet) -> None:
        """Send a packet; its entry is handed over by the end of this turn of the loop."""
        self._ring.start(packet)

    def resume(self, packet: Packet) -> None:
        """Send a packet from any thread."""
        if self.mine:
            self.start(packet)
        else:
            self._loop.call_soon_threadsafe(self.start, packet)

    def cancel(self, packet: Packet) -> bool:
        """Ask the system to stop it."""
        if self.mine:
            return self._ring.cancel(packet)
        can_stop = packet.stream and not packet.over
        self._loop.call_soon_threadsafe(self._ring.cancel, packet)
        return can_stop

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End it without a transfer."""
        packet.interrupt(error, status)
        if self.mine:
            packet.finish()
        else:
            self._loop.call_soon_threadsafe(packet.finish)

    def pump(self) -> bool:
        """Take back what comes soon, if this thread may and anything is on its way."""
        if not (self.mine and self._ring.busy):
            return False
        self._ring.flush()
        self._ring.wait(_LOOK_MILLISECONDS)
        return self._ring.take() > 0

    def close(self) -> None:
        """Give the ring back; nothing is on its way."""
        if not self.mine:
            self._loop.call_soon_threadsafe(self.close)
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._ring.fileno())
        self._ring.close()


class ThreadLane(Lane):
    """The transfers sent outside any loop: a ring with a thread that tells their ends."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(None)
        self._ring = ring
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._orders: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="membuf-ring", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether ends are still to be told."""
        return self._ring.busy > 0 or bool(self._orders)

    def start(self, packet: Packet) -> None:
        """Have the thread send it."""
        self._order(partial(self._ring.start, packet))

    resume = start

    def cancel(self, packet: Packet) -> bool:
        """Have the thread cancel it."""
        can_stop = packet.stream and not packet.over
        packet.mark_cancelled()
        self._order(partial(self._ring.cancel, packet))
        return can_stop

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End it without a transfer."""
        packet.interrupt(error, status)
        self._order(packet.finish)

    def close(self) -> None:
        """End the thread and give the ring back; nothing is on its way."""
        self._order(self._ring.retire)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _order(self, order: Callable[[], object]) -> None:
        """Have the thread call it; nothing of it may be Python code."""
        with self._lock:
            if not self._ended:
                self._orders.append(order)
                os.eventfd_write(self._wake, 1)

    def _work(self) -> None:
        while not self._ring.retired:
            try:
                self._ring.serve(self._wake, self._orders)
            except BaseException as error:  # noqa: BLE001
                # Whatever was raised into this thread: transfers are waited for.
                unraisable(error, self._thread)
        with self._lock:
            self._ended = True
            os.close(self._wake)
        self._ring.close()


_shared_lock = threading.Lock()
_shared: list[UringEngine] = []
"""The engine that all targets share, while there are any."""


def shared_engine() -> UringEngine:
    """The engine that all targets share; its last user's `close` ends it.

    Raises:
        MembufError: with the errno for which the system refuses io_uring.
    """
    with _shared_lock:
        if not _shared:
            _shared.append(UringEngine(users=0))
        _shared[0].users += 1
        return _shared[0]


class UringEngine(Engine):
    """Rings of io_uring.

    Args:
        users: how many times it will be closed.
        idles: send operations that do nothing, to measure what the rest costs.

    Raises:
        MembufError: with the errno for which the system refuses io_uring.
    """

    name: ClassVar[str] = "io_uring"

    def __init__(self, *, users: int = 1, idles: bool = False) -> None:
        self.users = users
        self._process = os.getpid()
        self._idles = idles
        self._lock = threading.Lock()
        self._closed = False
        self._lanes: dict[asyncio.AbstractEventLoop | None, LoopLane | ThreadLane] = {}
        self._rings: weakref.WeakSet[Ring] = weakref.WeakSet()
        # Made at once: the first ring shows whether there can be any.
        self._free = [self._make_ring()]

    def lane(self, loop: asyncio.AbstractEventLoop | None) -> Lane:
        """The lane of an event loop, or of the engine's thread."""
        lane = self._lanes.get(loop)
        return self._make_lane(loop) if lane is None else lane

    def run(self, batch: Batch) -> None:
        """Run a batch on a ring of its own."""
        ring = self._take_ring()
        try:
            ring.run(batch)
        finally:
            self._put_ring(ring)

    def pump(self) -> bool:
        """Tell the ends that wait for this thread."""
        lanes = list(self._lanes.values())
        told = [lane.pump() for lane in lanes if isinstance(lane, LoopLane)]
        return any(told)

    def close(self) -> None:
        """One user less; with the last one all rings are given back."""
        with _shared_lock:
            self.users -= 1
            if self.users:
                return
            if self in _shared:
                _shared.remove(self)
        with self._lock:
            self._closed = True
            lanes, self._lanes = list(self._lanes.values()), {}
            rings, self._free = self._free, []
        for closing in (*lanes, *rings):
            closing.close()

    def after_fork(self) -> None:
        """The rings are the parent's: the child lets go of its share of them, untouched."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._lanes, self._free = {}, []
        for ring in self._rings:
            ring.close()

    def _make_ring(self) -> Ring:
        ring = Ring(DEPTH, idles=self._idles)
        self._rings.add(ring)
        return ring

    def _take_ring(self) -> Ring:
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._make_ring()

    def _put_ring(self, ring: Ring) -> None:
        with self._lock:
            if len(self._free) < _KEPT_RINGS and not self._closed:
                self._free.append(ring)
                return
        ring.close()

    def _make_lane(self, loop: asyncio.AbstractEventLoop | None) -> Lane:
        with self._lock:
            lane = self._lanes.get(loop)
            if lane is None:
                if self._closed:
                    return ShutLane(loop)  # nobody would end a thread or give a ring back
                forget_closed(self._lanes)
                ring = self._free.pop() if self._free else self._make_ring()
                lane = ThreadLane(ring) if loop is None else LoopLane(loop, ring)
                self._lanes[loop] = lane
            return lane


def _after_fork() -> None:
    global _shared_lock  # noqa: PLW0603
    _shared_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)

"""Targets without a descriptor: what they are sent, something else carries out.

A relay is a target with everything a target has. Its engine moves no bytes: it hands each packet to
its owner (`RelayTarget.carry`), and tells its end where the sender is to hear of it: on the
loop that sent, or on whatever thread ended it.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import threading
import time
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, SupportsIndex

from membuf.base.errors import InvalidDeviceStateError, MembufError
from membuf.target import failures
from membuf.target._future import current_loop
from membuf.target._port import Packet, Port
from membuf.target.engine import Engine, Lane, forget_closed
from membuf.target.parking import Here
from membuf.target.target import FLUSH, READ, WRITE, Target

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from membuf._native import Object
    from membuf.target._batch import Batch
    from membuf.target.endpoint import Callback


_PATIENCE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.005


class _Telling(threading.local):
    """The packets whose ends this thread is telling, in order; None while it tells none.

    A callback that sends again, to what ends at once, must not grow the stack with every round.
    """

    queue: deque[Packet] | None = None


_telling = _Telling()


def tell(packet: Packet) -> None:
    """Tell the end of a packet on this thread: now, or after the one that is being told."""
    if _telling.queue is not None:
        _telling.queue.append(packet)
        return
    _telling.queue = deque([packet])
    try:
        tell_waiting()
    finally:
        _telling.queue = None


def tell_waiting() -> bool:
    """Tell the ends that wait for this thread; whether there were any."""
    told = False
    while _telling.queue:
        _telling.queue.popleft().finish()
        told = True
    return told


class RelayLane(Lane):
    """The packets that one loop (or none) sent to a relay."""

    def __init__(
        self, owner: weakref.ref[RelayTarget], loop: asyncio.AbstractEventLoop | None
    ) -> None:
        super().__init__(loop)
        self._owner = owner
        self._orders: deque[Callable[[], object]] = deque()

    @property
    def busy(self) -> bool:
        """Whether ends are still to be told."""
        return bool(self._orders)

    @property
    def mine(self) -> bool:
        """Whether this thread is the loop's, or the loop does not run."""
        return self.loop is None or not self.loop.is_running() or current_loop() is self.loop

    def start(self, packet: Packet) -> None:
        """Have the owner carry it out."""
        owner = self._owner()
        if owner is None:
            raise InvalidDeviceStateError("the target is gone")
        owner.carry(packet, self)

    def resume(self, packet: Packet) -> None:
        """Have the owner carry out what waited; called from any thread."""
        self.call(partial(self._start_late, packet))

    def _start_late(self, packet: Packet) -> None:
        try:
            self.start(packet)
        except MembufError as error:
            self.end(packet, 0, error)

    def cancel(self, packet: Packet) -> bool:
        """Its owner is about to look at it: it finds it marked."""
        packet.mark_cancelled()
        return not packet.over

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End it without carrying it out."""
        packet.interrupt(error, status)
        self.call(partial(tell, packet))

    def end(self, packet: Packet, done: int, error: MembufError | None) -> None:
        """A packet has been carried out; called from any thread."""
        packet.interrupt(errno_of(error), error, done)
        self.call(partial(tell, packet))

    def call(self, function: Callable[[], object]) -> None:
        """Call it where ends are told: here, or on the loop soon."""
        if self.loop is None or current_loop() is self.loop:
            function()
            return
        self._orders.append(function)
        # A closed loop calls nothing: who closes the target tells the ends that are left.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.drain)

    def drain(self) -> bool:
        """Do on this thread what waits for it; whether there was anything."""
        done = False
        while self._orders:
            self._orders.popleft()()
            done = True
        return done

    def close(self) -> None:
        """Nothing to give back."""


class RelayEngine(Engine):
    """The engine of a target without a descriptor.

    Args:
        owner: the target.
        below: tells the ends that wait for this thread in what lies below; whether there were any.
    """

    name: ClassVar[str] = "relay"

    def __init__(self, owner: RelayTarget, below: Callable[[], bool]) -> None:
        self._owner = weakref.ref(owner)
        self._below = below
        self._lanes: dict[asyncio.AbstractEventLoop | None, RelayLane] = {}

    def lane(self, loop: asyncio.AbstractEventLoop | None) -> RelayLane:
        """The lane of an event loop."""
        lane = self._lanes.get(loop)
        if lane is None:
            forget_closed(self._lanes)
            lane = self._lanes.setdefault(loop, RelayLane(self._owner, loop))
        return lane

    def run(self, batch: Batch) -> None:
        """A relay has batches of packets, and none of these."""
        raise NotImplementedError

    def pump(self) -> bool:
        """Tell the ends that wait for this thread."""
        told = [lane.drain() for lane in list(self._lanes.values()) if lane.mine]
        return any([tell_waiting(), self._below(), *told])

    def close(self) -> None:
        """Nothing to give back."""

    def after_fork(self) -> None:
        """What is on its way is the parent's."""
        self._lanes = {}


class RelayTarget(Target):
    """A target whose transfers something else carries out.

    Args:
        name: what errors and reports call it.
        stream: whether it has no offsets.
        memory_alignment: bytes, a power of two; what its transfers must keep to.
        offset_alignment: likewise, for offsets and lengths.
        below: see `RelayEngine`.
        parent: the object whose deletion deletes it.
        callbacks: `on_cleanup` and `on_destroy`, as of any object.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *,
        stream: bool = False,
        memory_alignment: int = 1,
        offset_alignment: int = 1,
        below: Callable[[], bool] = bool,
        parent: Object | None = None,
        **callbacks: Callback | None,
    ) -> None:
        port = Port(
            -1,
            name=name,
            stream=stream,
            memory_alignment=memory_alignment,
            offset_alignment=offset_alignment,
        )
        engine = RelayEngine(self, below)
        super().__init__(port, engine, name=name, parent=parent, **callbacks)

    @abc.abstractmethod
    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Begin to carry out a packet, and have `lane.end` called once it is over.

        It gives the packet a lane of its own, whose `cancel` ends it early.
        """

    @abc.abstractmethod
    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Carry out a packet on this thread, to its end (`packet.interrupt`).

        Args:
            packet: it has passed the gate.
            deadline: by `time.monotonic`, when it is cancelled.
        """

    def finish(self) -> None:
        """Close it at the interpreter's end; what was sent gets a moment to arrive first.

        What a driver holds may never be completed any more: it is cancelled then, and left. No
        kernel writes into its memory.
        """
        self._port.shut()
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._port.outstanding(True) > 0:
            if time.monotonic() > end:
                self._turn_out()
                self._cancel_sent(ignoring_too=True)
                return
            if not self._engine.pump():
                self._port.wait(_LOOK_SECONDS)
        self.close()

    # ---- what a target without a descriptor does in its own way --------------------------------

    def read(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> int:
        """Read into memory and return the count of bytes; see `Target.read`."""
        packet = Packet(self._port, READ, memory, offset, memory_offset, memory_length)
        return self._wait_for(packet, timeout)

    def write(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> int:
        """Write from memory and return the count of bytes; see `Target.write`."""
        packet = Packet(self._port, WRITE, memory, offset, memory_offset, memory_length)
        return self._wait_for(packet, timeout)

    def flush(self, *, data_only: bool = False) -> None:
        """Have what lies below make durable what was written; see `Target.flush`."""
        packet = Packet(self._port, FLUSH, None, None)
        packet.data_only = data_only
        self._wait_for(packet, None)

    def _carry_out(self, packet: Packet, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        here = packet.lane = Here()
        if not self._begin(packet) and self._park(packet, here):
            self._wait_here(packet, here, deadline)
        try:
            if packet.begun:
                self.carry_here(packet, deadline)
        except BaseException:
            packet.interrupt(errno.ECANCELED)
            raise
        finally:
            packet.finish()

    def _run(self, kind: int, items: Iterable[tuple[Any, SupportsIndex]]) -> list[int]:
        packets = [Packet(self._port, kind, memory, offset) for memory, offset in items]
        together = _Together()
        try:
            for packet in packets:
                self._launch_with(packet, together)
        except BaseException:
            for packet in packets:
                self.cancel_packet(packet)
            together.wait()
            raise
        together.wait()
        return _results(packets)

    def _launch_with(self, packet: Packet, together: _Together) -> None:
        packet.callback = together.one_ended
        together.one_begun()
        try:
            self._launch(packet, None)
        except BaseException as error:
            together.one_ended(packet)
            if not isinstance(error, MembufError):
                raise
            packet.interrupt(errno_of(error), error)


class _Together:
    """The packets of a batch, whose ends are waited for together."""

    def __init__(self) -> None:
        self._left = 0
        self._changed = threading.Condition()

    def one_begun(self) -> None:
        with self._changed:
            self._left += 1

    def one_ended(self, _: Packet) -> None:
        with self._changed:
            self._left -= 1
            if not self._left:
                self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            while self._left:
                self._changed.wait()


def _results(packets: list[Packet]) -> list[int]:
    errors = [error for packet in packets if (error := packet.failure()) is not None]
    if errors and not any(packet.begun for packet in packets):
        raise errors[0]  # nothing was started: the target takes no requests
    if errors:
        raise failures.several(errors, len(packets))
    return [packet.information for packet in packets]


def errno_of(error: BaseException | None) -> int:
    """The errno by which the counters know an error; 0 for none."""
    if error is None:
        return 0
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number > 0 else errno.EIO

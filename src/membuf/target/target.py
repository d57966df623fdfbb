"""The target: the sending side's view of what is at the other end.

A target has the framework's states. What is sent while it is started passes its port and is moved
by its engine; what is sent while it is stopped waits in it; otherwise sending is refused.

    STARTED --stop--> STOPPED --start--> STARTED
       |                 |
       +-----purge-------+--> PURGED --start--> STARTED
       +-----close-------+--> CLOSED
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import (
    InsufficientResourcesError,
    InvalidDeviceStateError,
    MembufError,
    ObjectDeletedError,
    from_status,
)
from membuf.target._batch import Batch
from membuf.target._future import Future
from membuf.target._port import Packet, Port, PortShutError
from membuf.target.engine import Engine, Lane, running_loop
from membuf.target.parking import Parking
from membuf.target.states import StopAction, TargetState
from membuf.target.statistics import TargetStatistics
from membuf.target.timers import Timers, expire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

READ: Final = 3
WRITE: Final = 4

_LOOK_SECONDS: Final = 0.005
"""How long a thread that waits for others' transfers sleeps at most between two looks."""

_CLOSED: Final = (TargetState.CLOSED, TargetState.DELETED)


class _Ending:
    """The context whose cleanup callback ends a target with its deletion."""


class Target(Object):
    """Something that can be read and written: `membuf.open_target` makes them.

    Args:
        port: what its transfers pass.
        engine: what moves the bytes.
        name: what errors and reports call it.
        parent: the object whose deletion deletes it.

    >>> import membuf, membuf.bus
    >>> with membuf.bus.open_target("file:/dev/zero", access="read") as target:
    ...     memory = membuf.Memory(4)
    ...     target.read(memory), list(memory.buffer)
    (4, [0, 0, 0, 0])
    """

    def __init__(
        self, port: Port, engine: Engine, *, name: str | None = None, parent: Object | None = None
    ) -> None:
        super().__init__(name, parent=parent)
        self._port = port
        self._engine = engine
        self._state = TargetState.CLOSED
        self._parking = Parking()
        self._changed = threading.Condition(threading.RLock())
        self._timers = Timers()
        self._settling = 0
        self._freed = False
        self.add_context(_Ending, on_cleanup=Target._deleted)

    # ---- transfers ------------------------------------------------------------------------------

    def read(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> int:
        """Read into memory and return the count of bytes; fewer than asked for at the end only.

        Args:
            memory: a memory object or any writable buffer; a list or tuple of them is filled in
                order (one vectored read).
            offset: byte position in the target; a stream has none (leave it out).
            timeout: seconds; None waits as long as it takes. When they are over the transfer is
                cancelled, and the call returns once it has ended.
            memory_offset: where the part of `memory` begins, in bytes.
            memory_length: its bytes; None or 0 reaches to the end (rule: WDFMEMORY_OFFSET).

        Raises:
            IntegerOverflowError: the part is not inside the memory.
            InvalidParameterError: direct I/O needs another alignment; the error names it.
            InvalidDeviceStateError: the target is purged or closed.
            IoTimeoutError: the time was up.
            TargetError: the system's error, with its errno; `.done` bytes arrived before it.
        """
        return self._transfer(READ, memory, offset, memory_offset, memory_length, timeout)

    def write(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> int:
        """Write from memory and return the count of bytes, which is all of them.

        Arguments and errors are those of `read`.
        """
        return self._transfer(WRITE, memory, offset, memory_offset, memory_length, timeout)

    def read_async(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> Future:
        """Start a read on the running event loop; await the result for the count of bytes.

        A task that is cancelled while it awaits goes on only when the transfer has ended.
        Arguments and errors are those of `read`.
        """
        return self._future(READ, memory, offset, memory_offset, memory_length, timeout)

    def write_async(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        timeout: float | None = None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> Future:
        """Start a write on the running event loop; see `read_async`."""
        return self._future(WRITE, memory, offset, memory_offset, memory_length, timeout)

    def read_many(self, items: Iterable[tuple[Any, SupportsIndex]]) -> list[int]:
        """Read many parts at once, in any order, and return their counts of bytes in order.

        Args:
            items: (memory, offset) pairs; each memory is filled from its offset.

        Raises:
            ExceptionGroup: one or more failed; raised after all have ended.
            MembufError: a check of an item failed; nothing was started.
        """
        return self._run(READ, items)

    def write_many(self, items: Iterable[tuple[Any, SupportsIndex]]) -> list[int]:
        """Write many parts at once; see `read_many`."""
        return self._run(WRITE, items)

    def flush(self, *, data_only: bool = False) -> None:
        """Have the system make durable what was written.

        Args:
            data_only: leave out what reading the data back does not need (fdatasync).
        """
        while True:
            try:
                self._port.flush(data_only)
            except PortShutError:
                self._await_started()
            else:
                return

    # ---- states ---------------------------------------------------------------------------------

    @property
    def state(self) -> TargetState:
        """The framework's state of the target."""
        return self._state

    @property
    def engine(self) -> str:
        """The name of the engine that moves the bytes."""
        return self._engine.name

    def start(self) -> None:
        """Let transfers pass; those that waited are sent first, in their order.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        with self._changed:
            while self._settling and not self._port.delivering():
                self._changed.wait(_LOOK_SECONDS)
            if self._state in _CLOSED:
                raise self._wrong_state("cannot be started")
            self._state = TargetState.STARTED
            self._port.open()
            while (first := self._parking.take_first()) is not None:
                packet, lane = first
                packet.begin()
                try:
                    lane.resume(packet)
                except InsufficientResourcesError:
                    lane.abandon(packet, errno.ENOMEM)
            self._changed.notify_all()

    def stop(self, action: StopAction = StopAction.CANCEL) -> None:
        """Keep what is sent from now on until the target is started.

        Args:
            action: cancel what is on its way and wait for its end, only wait, or leave it be.
                What was sent ignoring the target's state is left alone.
        """
        self._leave(TargetState.STOPPED)
        if action == StopAction.CANCEL:
            self._cancel_sent(ignoring_too=False)
        if action != StopAction.LEAVE:
            self._settle(ignoring_too=False)

    def purge(self, *, wait: bool = True) -> None:
        """Refuse what is sent from now on, and end what waits or is on its way.

        Args:
            wait: return only when what was on its way has ended.
        """
        self._leave(TargetState.PURGED)
        self._turn_out()
        self._cancel_sent(ignoring_too=False)
        if wait:
            self._settle(ignoring_too=False)

    def close(self) -> None:
        """Purge, wait until nothing is on its way, and give the descriptor back."""
        self._close(TargetState.CLOSED)

    def statistics(self) -> TargetStatistics:
        """The counters of the target."""
        port = self._port
        return TargetStatistics(
            engine=self._engine.name,
            note=self._engine.note,
            reads=port.reads,
            writes=port.writes,
            flushes=port.flushes,
            bytes_read=port.bytes_read,
            bytes_written=port.bytes_written,
            errors=port.errors,
            cancelled=port.cancelled,
            in_flight=port.in_flight,
            peak_in_flight=port.peak_in_flight,
            waiting=len(self._parking),
        )

    # ---- what requests need ---------------------------------------------------------------------

    def check_open(self) -> None:
        """Check that requests can be formatted for it.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        if self._state in _CLOSED:
            raise self._wrong_state("takes no requests")

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Packet:
        """Take the memory of a request, until the packet's `release`, and check the transfer."""
        return Packet(
            self._port, kind, memory, offset, memory_offset, memory_length, keeps_memory=True
        )

    def send_packet(
        self, packet: Packet, *, synchronous: bool, timeout: float | None, ignore_state: bool
    ) -> None:
        """Deliver a packet, or queue it while the target is stopped.

        Raises:
            InvalidDeviceStateError: the target does not take it; nothing has happened to it.
        """
        packet.ignores_state = ignore_state
        if synchronous:
            self._carry_out(packet, timeout)
            return
        loop = running_loop()
        self._launch(packet, loop)
        if timeout is not None:
            self._watch(packet, loop, timeout)

    def cancel_packet(self, packet: Packet) -> bool:
        """Ask for the early end of a packet; whether it can still be stopped."""
        lane = packet.lane
        return bool(lane is not None and not packet.over and lane.cancel(packet))

    # ---- how transfers are sent -----------------------------------------------------------------

    def _launch(self, packet: Packet, loop: asyncio.AbstractEventLoop | None) -> None:
        lane = self._engine.lane(loop)
        packet.lane = lane
        if packet.ignores_state:
            self._check_ignoring()
        if packet.begin():
            start(packet, lane)
        else:
            self._launch_stopped(packet, loop)

    def _check_ignoring(self) -> None:
        """Ignoring the state works on a closed target only while earlier transfers drain."""
        with self._changed:
            if self._state in _CLOSED and (self._freed or not self._port.in_flight):
                raise self._wrong_state("takes no requests")

    def _carry_out(self, packet: Packet, timeout: float | None) -> None:
        """Send a packet and return when it is over; its completion runs on this thread."""
        if timeout is None and not packet.stream and self._begin_here(packet):
            packet.work()
            packet.finish()
            return
        routine, ended = packet.callback, threading.Event()
        packet.callback = lambda _: ended.set()
        packet.waited = True
        try:
            self._launch(packet, None)
        except BaseException:
            packet.callback = routine
            raise
        try:
            wait_or_cancel(packet, ended, timeout)
        finally:
            packet.callback = routine
            packet.tell()

    def _begin_here(self, packet: Packet) -> bool:
        if packet.ignores_state:
            self._check_ignoring()
        return packet.begin()

    def _watch(
        self, packet: Packet, loop: asyncio.AbstractEventLoop | None, timeout: float
    ) -> None:
        if loop is None:
            self._timers.add(timeout, packet)
        else:
            loop.call_later(timeout, expire, packet)

    def _launch_stopped(self, packet: Packet, loop: asyncio.AbstractEventLoop | None) -> None:
        with self._changed:
            if self._state is TargetState.STOPPED:
                self._parking.put(packet, self._engine.lane(loop))
            elif self._state is TargetState.STARTED:
                self._launch(packet, loop)
            else:
                raise self._wrong_state("takes no requests")

    def _transfer(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
        timeout: float | None,
    ) -> int:
        while timeout is None:
            try:
                return self._port.transfer(kind, memory, offset, memory_offset, memory_length)
            except PortShutError:
                self._await_started()
        packet = Packet(self._port, kind, memory, offset, memory_offset, memory_length)
        try:
            self._carry_out(packet, timeout)
        finally:
            packet.release()
        return packet.result()

    def _future(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
        timeout: float | None,
    ) -> Future:
        loop = running_loop()
        if loop is None:
            raise RuntimeError("no event loop runs on this thread: await it inside one")
        future = Future(self._port, kind, memory, offset, memory_offset, memory_length, loop=loop)
        try:
            self._launch(future, loop)
        except BaseException:
            future.release()
            raise
        if timeout is not None:
            timer = loop.call_later(timeout, expire, future)
            future.add_done_callback(lambda _: timer.cancel())
        return future

    def _run(self, kind: int, items: Iterable[tuple[Any, SupportsIndex]]) -> list[int]:
        batch = Batch(self._port, kind, items)
        try:
            while not batch.begin():
                self._await_started()
            self._engine.run(batch)
        finally:
            batch.end()
        return batch.results()

    # ---- how states change ----------------------------------------------------------------------

    def _opened(self) -> None:
        with self._changed:
            self._state = TargetState.STARTED
            self._port.open()

    def _leave(self, state: TargetState) -> None:
        with self._changed:
            if self._state in _CLOSED:
                raise self._wrong_state("cannot be stopped or purged")
            self._state = state
            self._port.shut()
            self._changed.notify_all()

    def _close(self, state: TargetState) -> None:
        with self._changed:
            if self._state is TargetState.DELETED:
                return
            self._state = state
            self._port.shut()
            self._changed.notify_all()
        self._turn_out()
        self._cancel_sent(ignoring_too=True)
        self._settle(ignoring_too=True)
        # From inside a completion callback the transfer it belongs to is still counted: it is the
        # last to leave, and frees.
        self._port.when_drained(self._free)

    def _free(self) -> None:
        with self._changed:
            if self._freed:
                return
            self._freed = True
        self._engine.close()
        self._give_back()

    def _give_back(self) -> None:
        """Give the descriptor back; nothing is on its way any more."""

    def _deleted(self) -> None:
        self._close(TargetState.DELETED)

    def _turn_out(self) -> None:
        while (first := self._parking.take_first()) is not None:
            packet, lane = first
            lane.abandon(packet, 0, st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT)

    def _cancel_sent(self, *, ignoring_too: bool) -> None:
        for packet in self._port.cancel_flying(ignoring_too):
            packet.lane.cancel(packet)

    def _settle(self, *, ignoring_too: bool) -> None:
        with self._changed:
            self._settling += 1
        try:
            while self._port.outstanding(ignoring_too) > 0:
                if not self._engine.pump():
                    self._port.wait(_LOOK_SECONDS)
        finally:
            with self._changed:
                self._settling -= 1
                self._changed.notify_all()

    def _await_started(self) -> None:
        with self._changed:
            waited = self._state is TargetState.STOPPED
            while self._state is TargetState.STOPPED:
                self._changed.wait()
            if self._state is TargetState.PURGED and waited:
                raise from_status(
                    st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT,
                    f"{self._port.name} was purged while a transfer waited for its start",
                )
            if self._state is not TargetState.STARTED:
                raise self._wrong_state("takes no requests")

    def _wrong_state(self, what: str) -> MembufError:
        if self._state is TargetState.DELETED:
            return ObjectDeletedError(f"{self._port.name} is deleted and {what}: open it again")
        return InvalidDeviceStateError(
            f"{self._port.name} is {self._state.name} and {what}; expected STARTED or STOPPED",
            operands={"state": self._state},
        )


def wait_or_cancel(packet: Packet, ended: threading.Event, timeout: float | None) -> None:
    """Wait for the end of a packet, and cancel it when its time is up or a signal handler raises.

    However it comes to return, the packet has ended: its memory is nobody else's.
    """
    try:
        if not ended.wait(timeout):
            expire(packet)
            ended.wait()
    except BaseException:
        packet.lane.cancel(packet)
        wait_or_cancel(packet, ended, None)
        raise


def start(packet: Packet, lane: Lane) -> None:
    """Start a packet that has passed its gate; where it cannot be, it never was."""
    try:
        lane.start(packet)
    except BaseException:
        packet.withdraw()
        raise

"""The target: the sending side's view of what is at the other end, and the ways to use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, cast

from membuf.base.errors import MembufError
from membuf.target._batch import Batch
from membuf.target._future import Future, Notice, current_loop
from membuf.target._port import Packet, Port, PortShutError
from membuf.target.statistics import TargetStatistics
from membuf.target.storage import StorageTarget
from membuf.target.timers import expire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from membuf._native import Object
    from membuf.target.endpoint import Callback
    from membuf.target.engine import Engine, Lane

OnComplete = Callable[[Any, int, MembufError | None], object]
"""Told the memory, the count of bytes, and the error or None."""

READ: Final = 3
WRITE: Final = 4
FLUSH: Final = 9


class Target(StorageTarget):
    """Something that can be read and written: `membuf.open_target` makes them.

    Args:
        port: what its transfers pass.
        engine: what moves the bytes.
        name: what errors and reports call it.
        parent: the object whose deletion deletes it.
        callbacks: `on_cleanup` and `on_destroy`, as of any object.

    >>> import membuf, membuf.bus
    >>> with membuf.bus.open_target("file:/dev/zero", access="read") as target:
    ...     memory = membuf.Memory(4)
    ...     target.read(memory), list(memory.buffer)
    (4, [0, 0, 0, 0])
    """

    __slots__ = ("_lane",)

    def __init__(
        self,
        port: Port,
        engine: Engine,
        *,
        name: str | None = None,
        parent: Object | None = None,
        **callbacks: Callback | None,
    ) -> None:
        super().__init__(port, engine, name=name, parent=parent, **callbacks)
        self._lane: Lane | None = None

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
        if timeout is None:
            try:
                return self._port.transfer(READ, memory, offset, memory_offset, memory_length)
            except PortShutError:
                pass  # the packet below waits in the stopped target
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
        """Write from memory and return the count of bytes, which is all of them.

        Arguments and errors are those of `read`.
        """
        if timeout is None:
            try:
                return self._port.transfer(WRITE, memory, offset, memory_offset, memory_length)
            except PortShutError:
                pass  # the packet below waits in the stopped target
        packet = Packet(self._port, WRITE, memory, offset, memory_offset, memory_length)
        return self._wait_for(packet, timeout)

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
        lane = self._lane
        if lane is None or lane.loop is not current_loop():
            lane = self._loop_lane()
        future = lane.future(self._port, READ, memory, offset, memory_offset, memory_length)
        if future is None:
            future = self._parked_future(READ, memory, offset, memory_offset, memory_length)
        if timeout is not None:
            watch(future, timeout)
        return future

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
        lane = self._lane
        if lane is None or lane.loop is not current_loop():
            lane = self._loop_lane()
        future = lane.future(self._port, WRITE, memory, offset, memory_offset, memory_length)
        if future is None:
            future = self._parked_future(WRITE, memory, offset, memory_offset, memory_length)
        if timeout is not None:
            watch(future, timeout)
        return future

    def read_nowait(
        self,
        memory: Any,
        offset: SupportsIndex | None,
        on_complete: OnComplete,
        *,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> None:
        """Start a read and return; the cheapest way to have many on their way.

        Args:
            memory: see `read`; held until the read is over.
            offset: see `read`.
            on_complete: called once as on_complete(memory, count, error): on the event loop that
                runs here, otherwise on a thread of the engine. `error` is None or the exception.
            memory_offset: see `read`.
            memory_length: see `read`.

        Raises:
            MembufError: a check failed, or the target takes nothing; `on_complete` is not called.
        """
        lane = self._lane
        loop = current_loop()
        if lane is None or lane.loop is not loop:
            lane = self._lane = self._engine.lane(loop)
        port = self._port
        if not lane.notice(on_complete, port, READ, memory, offset, memory_offset, memory_length):
            notice = Notice(
                port, READ, memory, offset, memory_offset, memory_length, callback=on_complete
            )
            self._launch_or_release(notice, loop)

    def write_nowait(
        self,
        memory: Any,
        offset: SupportsIndex | None,
        on_complete: OnComplete,
        *,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> None:
        """Start a write and return; see `read_nowait`."""
        lane = self._lane
        loop = current_loop()
        if lane is None or lane.loop is not loop:
            lane = self._lane = self._engine.lane(loop)
        port = self._port
        if not lane.notice(on_complete, port, WRITE, memory, offset, memory_offset, memory_length):
            notice = Notice(
                port, WRITE, memory, offset, memory_offset, memory_length, callback=on_complete
            )
            self._launch_or_release(notice, loop)

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

    def flush_async(self) -> Future:
        """Start a flush on the running event loop; see `flush` and `read_async`."""
        lane = self._lane
        if lane is None or lane.loop is not current_loop():
            lane = self._loop_lane()
        transfer = (self._port, FLUSH, None, None, 0, None)
        return lane.future(*transfer) or self._parked_future(*transfer[1:])

    @property
    def engine(self) -> str:
        """The name of the engine that moves the bytes."""
        return self._engine.name

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
            controls=port.controls,
        )

    def after_fork(self) -> None:
        """In a forked child: what is on its way is the parent's."""
        self._lane = None
        super().after_fork()

    # ---- inside ---------------------------------------------------------------------------------

    def _wait_for(self, packet: Packet, timeout: float | None) -> int:
        try:
            self._carry_out(packet, timeout)
        finally:
            packet.release()
        return packet.result()

    def _loop_lane(self) -> Lane:
        """The lane of the loop that runs here, kept at hand for the next time."""
        loop = current_loop()
        if loop is None:
            raise RuntimeError("no event loop runs on this thread: await it inside one")
        lane = self._lane = self._engine.lane(loop)
        return lane

    def _parked_future(self, *transfer: Any) -> Future:
        """Where the port is shut: a future that waits in the stopped target."""
        loop = current_loop()
        future = Future(self._port, *transfer, loop=cast("asyncio.AbstractEventLoop", loop))
        self._launch_or_release(future, loop)
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


def watch(future: Future, timeout: float) -> None:
    """Have a future expire on its loop, unless it is over by then."""
    timer = future.get_loop().call_later(timeout, expire, future)
    future.add_done_callback(lambda _: timer.cancel())

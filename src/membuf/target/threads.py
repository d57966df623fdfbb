"""The thread engine: blocking calls on a bounded pool of threads, the same everywhere.

It needs nothing of the system but `preadv2` and `pwritev2`. Threads are started when there is work
that no idle one can take, and end with the engine. A transfer that waits for a thread can be
cancelled; one that a thread has begun runs to its end, except on a stream, which is looked at often
enough to notice.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from membuf.base import status as st
from membuf.base.errors import InsufficientResourcesError, from_status
from membuf.target._future import current_loop
from membuf.target._port import unraisable
from membuf.target.engine import Engine, Lane, forget_closed

if TYPE_CHECKING:
    import asyncio

    from membuf.target._batch import Batch
    from membuf.target._port import Packet

MAXIMUM_THREADS: Final = 32
"""Threads of one engine; as many transfers can be with the system at once."""


class Job(Protocol):
    """What a thread of the pool runs."""

    def run(self) -> None:
        """Do it."""

    def give_up(self) -> None:
        """The thread that ran it has died; tell who waits."""


class Pool:
    """Threads that run jobs in the order of their arrival."""

    def __init__(self, maximum: int = MAXIMUM_THREADS) -> None:
        self._maximum = maximum
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._closing = False
        self._threads: set[threading.Thread] = set()
        self._running: dict[threading.Thread, Job] = {}

    @property
    def thread_count(self) -> int:
        """Threads alive now."""
        return len(self._threads)

    def put(self, job: Job) -> None:
        """Have a job run.

        Raises:
            InsufficientResourcesError: no thread runs and none can be started.
        """
        with self._changed:
            if self._idle <= len(self._waiting) and len(self._threads) < self._maximum:
                self._start_thread()
            self._waiting.append(job)
            self._changed.notify()

    def take_back(self, job: Job) -> bool:
        """Take a job out again; False where a thread has begun it."""
        with self._changed:
            try:
                self._waiting.remove(job)
            except ValueError:
                return False
            return True

    def close(self) -> None:
        """End the threads once the jobs that wait have run."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="membuf-io", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise from_status(
                    st.STATUS_INSUFFICIENT_RESOURCES, f"no thread for I/O can be started: {error}"
                ) from error
            return
        self._threads.add(thread)

    def _next(self) -> Job | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._waiting:
                    if self._closing:
                        return None
                    self._changed.wait()
                job = self._running[threading.current_thread()] = self._waiting[0]
                self._waiting.popleft()
                return job
            finally:
                self._idle -= 1

    def _work(self) -> None:
        try:
            while self._work_once():
                pass
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                if self._waiting:
                    self._start_thread()

    def _work_once(self) -> bool:
        me = threading.current_thread()
        try:
            job = self._next()
            if job is not None:
                job.run()
            self._running.pop(me, None)
        except BaseException as error:  # noqa: BLE001
            # Whatever was raised into this thread: who waits for the job must hear of its end.
            unraisable(error, me)
            unfinished = self._running.pop(me, None)
            if unfinished is not None and not self._is_waiting(unfinished):
                unfinished.give_up()
            return True
        return job is not None

    def _is_waiting(self, job: Job) -> bool:
        with self._changed:
            return job in self._waiting


class _Transfer:
    """The job of one packet."""

    __slots__ = ("_lane", "_packet")

    def __init__(self, packet: Packet, lane: ThreadLane) -> None:
        self._packet = packet
        self._lane = lane

    def run(self) -> None:
        self._packet.work()
        self._lane.conclude(self._packet)

    def give_up(self) -> None:
        self._lane.conclude(self._packet, 0 if self._packet.worked else errno.EIO)


class _Share:
    """The job of helping with a batch."""

    __slots__ = ("_batch", "over")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.over = threading.Event()

    def run(self) -> None:
        self._batch.work()
        self.over.set()

    def give_up(self) -> None:
        self.over.set()


class ThreadLane(Lane):
    """The transfers that one loop (or none) sent through the pool."""

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop | None) -> None:
        super().__init__(loop)
        self._pool = pool
        self._jobs: dict[Packet, _Transfer] = {}
        self._ended: deque[Packet] = deque()
        self._lock = threading.Lock()
        self._called = False

    def start(self, packet: Packet) -> None:
        """Hand a packet to the pool."""
        job = self._jobs[packet] = _Transfer(packet, self)
        try:
            self._pool.put(job)
        except BaseException:
            del self._jobs[packet]
            raise

    resume = start

    def cancel(self, packet: Packet) -> bool:
        """Take it out of the pool, or tell the stream it waits for."""
        can_stop = packet.stream and not packet.over
        packet.mark_cancelled()
        job = self._jobs.get(packet)
        if job is not None and self._pool.take_back(job):
            self.conclude(packet, errno.ECANCELED)
            return True
        return can_stop

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End it without a transfer."""
        packet.interrupt(error, status)
        self._tell(packet)

    def conclude(self, packet: Packet, error: int = 0) -> None:
        """A packet of the pool is over, or can never be; only the first to say so is heard."""
        if self._jobs.pop(packet, None) is not None:
            if error:
                packet.interrupt(error)
            self._tell(packet)

    def _tell(self, packet: Packet) -> None:
        if self.loop is None:
            packet.finish()
            return
        with self._lock:
            self._ended.append(packet)
            if self._called:
                return
            self._called = True
        try:
            self.loop.call_soon_threadsafe(self.drain)
        except RuntimeError:
            # The loop is closed: who closes the target tells the ends that are left.
            return

    def drain(self) -> bool:
        """Tell the ends that have come in, on this thread; whether there were any."""
        told = False
        with self._lock:
            self._called = False
        while self._ended:
            self._ended.popleft().finish()
            told = True
        return told

    def close(self) -> None:
        """Nothing to give back: the pool is the engine's."""

    @property
    def busy(self) -> bool:
        """Whether ends are still to be told."""
        return bool(self._jobs or self._ended)

    @property
    def mine(self) -> bool:
        """Whether this thread is the one to tell ends: the loop's, or any if it does not run."""
        return self.loop is not None and (not self.loop.is_running() or current_loop() is self.loop)


class ThreadEngine(Engine):
    """Blocking calls on a bounded pool of threads.

    Args:
        note: why this engine serves, where another was to be expected.
        maximum: threads at most.
    """

    name: ClassVar[str] = "threads"

    def __init__(self, note: str = "", maximum: int = MAXIMUM_THREADS) -> None:
        self.note = note
        self._maximum = maximum
        self._pool = Pool(maximum)
        self._lanes: dict[asyncio.AbstractEventLoop | None, ThreadLane] = {}

    def lane(self, loop: asyncio.AbstractEventLoop | None) -> ThreadLane:
        """The lane of an event loop."""
        lane = self._lanes.get(loop)
        if lane is None:
            forget_closed(self._lanes)
            lane = self._lanes.setdefault(loop, ThreadLane(self._pool, loop))
        return lane

    def run(self, batch: Batch) -> None:
        """Run a batch on the pool and on this thread."""
        shares: list[_Share] = []
        with contextlib.suppress(InsufficientResourcesError):
            for _ in range(min(len(batch), self._maximum) - 1):
                share = _Share(batch)
                self._pool.put(share)
                shares.append(share)
        batch.work()
        for share in shares:
            if not self._pool.take_back(share):
                share.over.wait()

    def pump(self) -> bool:
        """Tell the ends that wait for this thread."""
        told = [lane.drain() for lane in list(self._lanes.values()) if lane.mine]
        return any(told)

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    def after_fork(self) -> None:
        """The child has none of the threads."""
        self._pool = Pool(self._maximum)
        self._lanes = {}

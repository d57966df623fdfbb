"""How a filter's steps are taken for one packet: on this thread, or as ends come in.

A filter says what becomes of a transfer in a generator (`Filter.steps`). Each step it yields is
begun here; its answer, a count of bytes, is sent into the generator, and its error raised there.
The same generator serves both ways to run it.
"""

# pyright: reportPrivateUsage=false
# A target and what stands over it are one machine.
from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.target._port import Packet
from membuf.target.relay import errno_of
from membuf.target.timers import timers

if TYPE_CHECKING:
    import asyncio

    from membuf.target.relay import RelayLane
    from membuf.target.target import Target

Steps = Generator["Step", int, int]
"""What a filter makes of a transfer: steps, and the count of bytes in the end."""


class Step(Protocol):
    """One thing that a filter has done before it goes on; `Pause` and `Send` are two.

    >>> callable(Pause(0).begin) and callable(Pause(0).perform) and callable(Pause(0).cancel)
    True
    """

    def begin(self, course: Course) -> None:
        """Begin it; `course.answer` is called once it is over, from any thread."""

    def perform(self, deadline: float | None) -> int:
        """Do it on this thread and return its count of bytes."""
        ...

    def cancel(self) -> bool:
        """End it early; whether that can still be done. Called from any thread."""
        ...


class Pause:
    """A step that lets time pass.

    Args:
        seconds: how long.

    >>> Pause(0.001).perform(deadline=None)
    0
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = max(seconds, 0.0)
        self._course: Course | None = None
        self._ended = threading.Event()
        # Taken by whoever is first to end it.
        self._once = threading.Lock()

    def begin(self, course: Course) -> None:
        """Have a timer end it."""
        self._course = course
        timers.add(self._seconds, self)

    def perform(self, deadline: float | None) -> int:
        """Sleep, unless the time is up before."""
        left = self._seconds if deadline is None else min(self._seconds, deadline - _now())
        if self._ended.wait(max(left, 0.0)):
            raise _cancelled()
        if left < self._seconds:
            raise from_status(st.STATUS_IO_TIMEOUT, "the time was up during a pause")
        return 0

    def cancel(self) -> bool:
        """End it now."""
        return self._end(_cancelled())

    @property
    def over(self) -> bool:
        """Whether it was cancelled."""
        return self._ended.is_set()

    def fire(self) -> None:
        """The time is over."""
        self._end(None)

    def _end(self, error: MembufError | None) -> bool:
        if not self._once.acquire(blocking=False):
            return False
        self._ended.set()
        # The timer may keep this until it is due: it must keep nothing else.
        course, self._course = self._course, None
        if course is not None:
            course.answer(0, error)
        return True


class Turns:
    """Lets one course at a time go on, in the order they came."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Turn] = deque()


class Turn:
    """A step that waits until all who came before have given their turn back.

    Whoever yields it calls `give` in the end, whether the turn came or not.

    Args:
        turns: the line to stand in.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._course: Course | None = None
        self._called = threading.Event()
        self._cancelled = False

    def begin(self, course: Course) -> None:
        """Stand in line."""
        self._course = course
        if self._enter():
            self._come()

    def perform(self, deadline: float | None) -> int:
        """Stand in line, and wait here."""
        left = None if deadline is None else max(deadline - _now(), 0.0)
        if not self._enter() and not self._called.wait(left) and self._leave():
            raise from_status(st.STATUS_IO_TIMEOUT, "the time was up before its turn came")
        if self._cancelled:
            raise _cancelled()
        return 0

    def cancel(self) -> bool:
        """Leave the line; its turn cannot be taken back once it has come."""
        if not self._leave():
            return False
        self._cancelled = True
        self._called.set()
        if self._course is not None:
            self._course.answer(0, _cancelled())
        return True

    def give(self) -> None:
        """The turn is over: the next in line has it."""
        with self._turns.lock:
            waiting = self._turns.waiting
            if not waiting or waiting[0] is not self:
                return
            waiting.popleft()
            following = waiting[0] if waiting else None
        if following is not None:
            following._come()  # noqa: SLF001 - one of its own kind

    def _come(self) -> None:
        self._called.set()
        if self._course is not None:
            self._course.answer(0, None)

    def _enter(self) -> bool:
        with self._turns.lock:
            self._turns.waiting.append(self)
            return self._turns.waiting[0] is self

    def _leave(self) -> bool:
        """Leave the line; False where its turn has come, or it is not in line."""
        with self._turns.lock:
            waiting = self._turns.waiting
            if self not in waiting or waiting[0] is self:
                return False
            waiting.remove(self)
            return True


class Send:
    """A step that sends a transfer to a target.

    Args:
        target: where to.
        kind: 3 read, 4 write, 9 flush.
        memory: what is moved; None for a flush.
        offset: byte position there; None for a stream.
        memory_offset: where the part of `memory` begins.
        memory_length: its bytes; 0 reaches to the end.
        data_only: of a flush, see `Target.flush`.

    >>> import membuf
    >>> with membuf.open_target("file:/dev/null", access="write") as target:
    ...     Send(target, 4, b"hello", 0).perform(deadline=None)
    5
    """

    def __init__(
        self,
        target: Target,
        kind: int,
        memory: Any = None,
        offset: int | None = None,
        memory_offset: int = 0,
        memory_length: int = 0,
        *,
        data_only: bool = False,
    ) -> None:
        port = target._port  # noqa: SLF001
        packet = Packet(port, kind, memory, offset, memory_offset, memory_length)
        packet.data_only = data_only
        self._course: Course | None = None
        self._target, self._packet = target, packet

    @classmethod
    def made(cls, target: Target, packet: Packet) -> Send:
        """Send a packet that was made when the request was formatted."""
        self = cls.__new__(cls)
        self._course, self._target, self._packet = None, target, packet
        return self

    def begin(self, course: Course) -> None:
        """Launch the packet on the loop of the course."""
        self._course = course
        self._packet.callback = self._over
        self._target._launch(self._packet, course.loop)  # noqa: SLF001

    def perform(self, deadline: float | None) -> int:
        """Carry the packet out on this thread."""
        timeout = None if deadline is None else max(deadline - _now(), 0.0)
        self._target._carry_out(self._packet, timeout)  # noqa: SLF001
        return self._packet.result()

    def cancel(self) -> bool:
        """Ask the target for its early end."""
        return self._target.cancel_packet(self._packet)

    def _over(self, packet: Packet) -> None:
        if self._course is not None:
            self._course.answer(packet.information, packet.failure())


class Course:
    """One packet on its way through a filter; it stands in for the packet's lane meanwhile.

    Args:
        packet: what was sent to the filter.
        steps: what the filter makes of it.
    """

    def __init__(self, packet: Packet, steps: Steps) -> None:
        self._packet: Packet | None = packet
        self._steps: Steps | None = steps
        self._lane: RelayLane | None = None
        self._lock = threading.Lock()
        self._step: Step | None = None
        self._beginning = False
        self._early: tuple[int, MembufError | None] | None = None
        packet.lane = self

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which its ends are told."""
        return None if self._lane is None else self._lane.loop

    # ---- as ends come in ------------------------------------------------------------------------

    def run(self, lane: RelayLane) -> None:
        """Take the steps as far as they go; what is over later goes on from there."""
        self._lane = lane
        self._go_on(0, None)

    def answer(self, count: int, error: MembufError | None) -> None:
        """The step that was begun is over; called from any thread."""
        with self._lock:
            if self._beginning:
                self._early = count, error
                return
        if self._lane is not None:
            self._lane.call(lambda: self._go_on(count, error))

    def _go_on(self, count: int, error: MembufError | None) -> None:
        answer: tuple[int, MembufError | None] | None = (count, error)
        while answer is not None:
            step = self._next(*answer)
            if step is None:
                return
            answer = self._begin(step)

    def _next(self, count: int, error: MembufError | None) -> Step | None:
        """The next step; None where the packet has ended instead."""
        done, failure = 0, error
        try:
            return self._advance(count, error)
        except StopIteration as stop:
            done, failure = stop.value or 0, None
        except Exception as raised:  # noqa: BLE001
            failure = failure_of(raised)
        # A thread on its way out of here may keep the course a while: it must keep nothing else.
        packet, self._packet, self._steps, self._step = self._packet, None, None, None
        if packet is not None and self._lane is not None:
            packet.lane = self._lane
            self._lane.end(packet, done_of(done, failure), failure)
        return None

    def _begin(self, step: Step) -> tuple[int, MembufError | None] | None:
        """Begin a step; its answer where that has come already."""
        self._beginning, self._early = True, None
        packet = self._packet
        try:
            step.begin(self)
        except Exception as error:  # noqa: BLE001
            self._early = 0, failure_of(error)
        with self._lock:
            self._step = step
            self._beginning = False
            early, self._early = self._early, None
        if early is None and packet is not None and packet.marked_cancelled:
            step.cancel()
        return early

    # ---- on this thread -------------------------------------------------------------------------

    def run_here(self, packet: Packet, deadline: float | None) -> None:
        """Take every step on this thread, and decide the packet's end."""
        count, error = 0, None
        done, failure = 0, None
        try:
            while True:
                self._step = self._advance(count, error)
                count, error = self._perform(self._step, deadline)
        except StopIteration as stop:
            done = stop.value or 0
        except Exception as raised:  # noqa: BLE001
            failure = failure_of(raised)
        packet.interrupt(errno_of(failure), failure, done_of(done, failure))

    def _perform(self, step: Step, deadline: float | None) -> tuple[int, MembufError | None]:
        try:
            return step.perform(deadline), None
        except Exception as error:  # noqa: BLE001
            return 0, failure_of(error)

    # ---- both -----------------------------------------------------------------------------------

    def _advance(self, count: int, error: MembufError | None) -> Step:
        packet, steps = self._packet, self._steps
        if packet is None or steps is None:
            raise RuntimeError("a course ends once")
        if error is None and packet.marked_cancelled:
            error = _cancelled()
        if error is not None:
            return steps.throw(error)
        return next(steps) if self._step is None else steps.send(count)

    def cancel(self, packet: Packet) -> bool:
        """End it early; whether that can still be done. Called from any thread."""
        packet.mark_cancelled()
        step = self._step
        return not packet.over and (step is None or step.cancel())


def failure_of(raised: Exception) -> MembufError:
    """What a filter raised, as the end of a transfer."""
    if isinstance(raised, MembufError):
        return raised
    error = from_status(st.STATUS_UNSUCCESSFUL, f"the filter failed: {raised!r}")
    error.__cause__ = raised
    return error


def done_of(done: int, failure: MembufError | None) -> int:
    """The bytes that a transfer moved, its failure's where it failed."""
    return done if failure is None else int(failure.operands.get("done", 0))


def _cancelled() -> MembufError:
    return from_status(st.STATUS_CANCELLED, "the transfer was cancelled in a filter")


def _now() -> float:
    return time.monotonic()

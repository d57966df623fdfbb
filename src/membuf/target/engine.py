"""What moves the bytes of a target: the interface of engines, and the choice of one.

An engine has lanes. A lane is the way of the transfers that one event loop sent (or that were sent
outside any): they are started there, and their ends are told there. Everything an engine offers can
be used from any thread.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.target._future import Future, Notice

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from membuf.target._batch import Batch
    from membuf.target._port import Packet


class Lane(abc.ABC):
    """The way of the transfers that one event loop (or none) sent.

    Args:
        loop: the event loop on which ends are told; None: on the engine's own thread.

    Attributes:
        loop: that loop.
        future: starts a transfer and returns what to await; None where the port is shut. Takes
            port, kind, memory, offset, memory_offset and memory_length; called on the loop.
        notice: starts a transfer whose end the first argument, a callback, is told; False where
            the port is shut. Then come the arguments of `future`.
    """

    __slots__ = ("__weakref__", "future", "loop", "notice")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.future: Callable[..., Future | None] = self._start_future
        self.notice: Callable[..., bool] = self._start_notice

    def _start_future(self, *transfer: Any) -> Future | None:
        future = Future(*transfer, loop=cast("asyncio.AbstractEventLoop", self.loop))
        return future if self._start(future) else None

    def _start_notice(self, callback: Callable[..., object], *transfer: Any) -> bool:
        return self._start(Notice(*transfer, callback=callback))

    def _start(self, packet: Packet) -> bool:
        packet.lane = self
        if not packet.begin():
            packet.release()
            return False
        try:
            self.start(packet)
        except BaseException:
            packet.withdraw()
            packet.release()
            raise
        return True

    @property
    @abc.abstractmethod
    def busy(self) -> bool:
        """Whether ends are still to be told."""

    @abc.abstractmethod
    def start(self, packet: Packet) -> None:
        """Send a packet that has passed its port's gate; called where the loop runs.

        Raises:
            InsufficientResourcesError: the engine cannot take it; it has not been sent.
        """

    @abc.abstractmethod
    def resume(self, packet: Packet) -> None:
        """Send a packet that waited in its stopped target; called from any thread."""

    @abc.abstractmethod
    def cancel(self, packet: Packet) -> bool:
        """Ask for the early end of a packet; whether it can still be stopped."""

    @abc.abstractmethod
    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End a packet that was never started, with an errno or a status, where ends are told."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give everything back; nothing is on its way."""


class ShutLane(Lane):
    """The lane of an engine that is closed: what comes here has lost a race against the close."""

    __slots__ = ()

    @property
    def busy(self) -> bool:
        """Nothing is ever on its way."""
        return False

    def start(self, packet: Packet) -> None:
        """Refuse it.

        Raises:
            InvalidDeviceStateError: always.
        """
        raise from_status(st.STATUS_INVALID_DEVICE_STATE, "the target was closed meanwhile")

    resume = start

    def cancel(self, packet: Packet) -> bool:
        """There is nothing to cancel."""
        return False

    def abandon(self, packet: Packet, error: int, status: int | None = None) -> None:
        """End it here."""
        packet.interrupt(error, status)
        packet.finish()

    def close(self) -> None:
        """It has nothing to give back."""


LaneType = TypeVar("LaneType", bound=Lane)


class Engine(abc.ABC):
    """What moves the bytes of targets.

    Attributes:
        name: what `open_target(engine=...)` calls it.
        note: why it is not the engine one might expect, else "".
    """

    name: ClassVar[str]
    note: str = ""

    @abc.abstractmethod
    def lane(self, loop: asyncio.AbstractEventLoop | None) -> Lane:
        """The lane of an event loop, made where there is none; a `ShutLane` of a closed engine."""

    @abc.abstractmethod
    def run(self, batch: Batch) -> None:
        """Run a batch to its end before returning."""

    @abc.abstractmethod
    def pump(self) -> bool:
        """Tell the ends that wait for this very thread; whether there were any."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give everything back; nothing may be on its way."""

    @abc.abstractmethod
    def after_fork(self) -> None:
        """In a forked child: let go of what is the parent's, and begin anew."""


def forget_closed(lanes: dict[asyncio.AbstractEventLoop | None, LaneType]) -> None:
    """Drop the lanes of loops that are closed and have told every end."""
    for loop in [loop for loop in lanes if loop is not None and loop.is_closed()]:
        if not lanes[loop].busy:
            lanes.pop(loop).close()

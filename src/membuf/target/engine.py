"""What moves the bytes of a target: the interface of engines, and the choice of one.

An engine has lanes. A lane is the way of the transfers that one event loop sent (or that were sent
outside any): they are started there, and their ends are told there. Everything an engine offers can
be used from any thread.
"""

from __future__ import annotations

import abc
import sys
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

    from membuf.target._batch import Batch
    from membuf.target._port import Packet


class Lane(abc.ABC):
    """The way of the transfers that one event loop (or none) sent.

    Attributes:
        loop: the event loop on which ends are told; None: on the engine's own thread.
    """

    loop: asyncio.AbstractEventLoop | None

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
        """The lane of an event loop, made where there is none."""

    @abc.abstractmethod
    def run(self, batch: Batch) -> None:
        """Run a batch to its end before returning."""

    @abc.abstractmethod
    def pump(self) -> bool:
        """Tell the ends that wait for this very thread; whether there were any."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give everything back; nothing may be on its way."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs on this thread, if one does.

    A program that never imported asyncio has none, and is not made to import it.
    """
    module = sys.modules.get("asyncio")
    if module is None:
        return None
    try:
        return cast("asyncio.AbstractEventLoop", module.get_running_loop())
    except (AttributeError, RuntimeError):
        return None


def forget_closed(lanes: dict[asyncio.AbstractEventLoop | None, LaneType]) -> None:
    """Drop the lanes of loops that are closed and have told every end."""
    for loop in [loop for loop in lanes if loop is not None and loop.is_closed()]:
        if not lanes[loop].busy:
            lanes.pop(loop).close()

"""The life of a target: its states, and what each does with what is sent.

What is sent while a target is started passes its port and is moved by its engine; what is sent
while it is stopped waits in it; otherwise sending is refused.

    STARTED --stop--> STOPPED --start--> STARTED
       |                 |
       +-----purge-------+--> PURGED --start--> STARTED
       +-----close-------+--> CLOSED
"""

from __future__ import annotations

import atexit
import errno
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import (
    InsufficientResourcesError,
    InvalidDeviceStateError,
    InvalidParameterError,
    MembufError,
    ObjectDeletedError,
    from_status,
)
from membuf.target._future import current_loop
from membuf.target._port import Packet, Port, unraisable
from membuf.target.parking import Here, Parking
from membuf.target.passing import CONTROLS, control_of, forward, packet_of
from membuf.target.states import StopAction, TargetState
from membuf.target.timers import Expiry, expire, timers

if TYPE_CHECKING:
    import asyncio

    from membuf.request.irp import Irp
    from membuf.request.protocol import Control
    from membuf.target.engine import Engine, Lane

_LOOK_SECONDS: Final = 0.005
"""How long a thread that waits for others' transfers sleeps at most between two looks."""

# Looking a member up in its enumeration costs more than all else that an idle check does.
_STARTED: Final = TargetState.STARTED
_STOPPED: Final = TargetState.STOPPED
_CLOSED: Final = (
    TargetState.CLOSED,
    TargetState.DELETED,
    TargetState.CLOSED_FOR_QUERY_REMOVE,
)


live: Final[weakref.WeakSet[Endpoint]] = weakref.WeakSet()
"""Every target that may have something on its way."""


Callback = Callable[[Any], object]


class _Ending:
    """The context whose cleanup callback ends a target with its deletion."""


class Endpoint(Object):
    """What every target has: a port, an engine, and the framework's states.

    Args:
        port: what its transfers pass.
        engine: what moves the bytes.
        name: what errors and reports call it.
        parent: the object whose deletion deletes it.
        callbacks: `on_cleanup` and `on_destroy`, as of any object.
    """

    __slots__ = (
        "__weakref__",
        "_changed",
        "_engine",
        "_freed",
        "_parking",
        "_port",
        "_settling",
        "_state",
    )

    def __init__(
        self,
        port: Port,
        engine: Engine,
        *,
        name: str | None = None,
        parent: Object | None = None,
        **callbacks: Callback | None,
    ) -> None:
        super().__init__(name, parent=parent, **callbacks)
        self._port = port
        self._engine = engine
        self._state = TargetState.CLOSED
        self._parking = Parking()
        self._changed = threading.Condition(threading.RLock())
        self._settling = 0
        self._freed = False
        self.add_context(_Ending, on_cleanup=Endpoint._deleted)
        live.add(self)

    # ---- states ---------------------------------------------------------------------------------

    @property
    def state(self) -> TargetState:
        """The framework's state of the target."""
        return self._state

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

        Raises:
            InvalidParameterError: another action; nothing has changed.
        """
        if action not in tuple(StopAction):
            raise InvalidParameterError(f"expected an action of StopAction, got {action!r}")
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

    # ---- what requests need ---------------------------------------------------------------------

    def check_open(self) -> None:
        """Check that requests can be formatted for it.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        if self._state in _CLOSED:
            raise self._wrong_state("takes no requests")

    def check_accepts(self, *, ignore_state: bool) -> None:
        """Check that a send would not be refused for the state of the target.

        Raises:
            InvalidDeviceStateError: it would be.
        """
        state = self._state
        if state in _CLOSED or (state is TargetState.PURGED and not ignore_state):
            raise self._wrong_state("takes no requests")

    def check_forwards(self) -> None:
        """Check that a received request can be sent there for good.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        self.check_accepts(ignore_state=True)

    @property
    def stack_depth(self) -> int:
        """How many drivers a request passes there: its stack locations."""
        return 1

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Packet:
        """Take the memory of a request, until the packet's `release`, and check the transfer.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted.
        """
        if self._state in _CLOSED:
            raise self._wrong_state("takes no requests")
        return Packet(
            self._port, kind, memory, offset, memory_offset, memory_length, keeps_memory=True
        )

    def make_control_packet(self, control: Control) -> Packet:
        """Take the memories of a control request, until the packet's `release`.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted, or takes no such request.
        """
        self.check_open()
        raise from_status(
            st.STATUS_INVALID_DEVICE_REQUEST,
            f"{self._port.name} takes no control requests; got code {control.code:#x}",
            {"code": control.code},
        )

    def make_irp_packet(self, irp: Irp) -> Packet:
        """A packet that passes on what a device received, with the memory that it came with.

        Raises:
            InvalidDeviceStateError: the target is closed or deleted, or takes no such request.
        """
        self.check_open()
        if irp.major in CONTROLS:
            return self.make_control_packet(control_of(irp))
        return packet_of(self._port, irp)

    def inherit(self, packet: Packet, irp: Irp) -> None:
        """Give a packet the file object that a received one came through; a file needs none."""

    def forward(self, irp: Irp) -> None:
        """Carry out what a device passed on for good, and complete it."""
        forward(self, irp)

    def submit(self, irp: Irp) -> None:
        """Carry out the packet of an originator, as what is sent: it waits in a stopped target."""
        forward(self, irp, ignores_state=False)

    def send_packet(
        self, packet: Packet, synchronous: bool, timeout: float | None, ignore_state: bool, /
    ) -> None:
        """Deliver a packet, or queue it while the target is stopped.

        Raises:
            InvalidDeviceStateError: the target does not take it; nothing has happened to it.
        """
        packet.ignores_state = ignore_state
        if synchronous:
            self._carry_out(packet, timeout)
            return
        loop = current_loop()
        if timeout is None:
            self._launch(packet, loop)
        elif loop is not None:
            self._launch(packet, loop)
            loop.call_later(timeout, expire, packet)
        else:
            self._launch_watched(packet, timeout)

    def cancel_packet(self, packet: Packet) -> bool:
        """Ask for the early end of a packet; whether it can still be stopped."""
        lane = packet.lane
        return bool(lane is not None and not packet.over and lane.cancel(packet))

    # ---- how transfers are sent -----------------------------------------------------------------

    def _launch(self, packet: Packet, loop: asyncio.AbstractEventLoop | None) -> None:
        self._launch_by(self._engine, packet, loop)

    def _launch_by(
        self, engine: Engine, packet: Packet, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        lane = engine.lane(loop)
        packet.lane = lane
        if self._begin(packet):
            start(packet, lane)
        else:
            self._launch_stopped(packet, lane)

    def _begin(self, packet: Packet) -> bool:
        """Count a packet in; False where the port is shut for it.

        Ignoring the state works on a closed target only while earlier transfers drain.
        """
        if not packet.ignores_state:
            return packet.begin()
        with self._changed:
            if self._state in _CLOSED and (self._freed or not self._port.in_flight):
                raise self._wrong_state("takes no requests")
            return packet.begin()

    def _carry_out(self, packet: Packet, timeout: float | None) -> None:
        """Run a packet on this thread and tell its end here; however it returns, it is over.

        No engine takes part: what a thread waits for it can as well do itself.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        here = packet.lane = Here()
        if not self._begin(packet) and self._park(packet, here):
            self._wait_here(packet, here, deadline)
        try:
            if packet.begun:
                packet.work(deadline)
        finally:
            packet.finish()

    def _wait_here(self, packet: Packet, here: Here, deadline: float | None) -> None:
        """Wait until a stopped target starts the packet, or it is ended without that."""
        try:
            if not here.called.wait(None if deadline is None else deadline - time.monotonic()):
                expire(packet)
                here.called.wait()
        except BaseException:
            packet.lane.cancel(packet)
            here.called.wait()
            packet.interrupt(errno.ECANCELED)
            packet.finish()
            raise

    def _launch_watched(self, packet: Packet, timeout: float) -> None:
        expiry = Expiry(packet)
        timers.add(timeout, expiry)
        try:
            self._launch(packet, None)
        except BaseException:
            expiry.withdraw()
            raise
        expiry.arm()

    def _launch_stopped(self, packet: Packet, lane: Lane) -> None:
        if not self._park(packet, lane):
            start(packet, lane)

    def _park(self, packet: Packet, lane: Lane | Here) -> bool:
        """Keep what a stopped target was sent; False where it was started just now.

        Raises:
            InvalidDeviceStateError: it takes no requests.
        """
        with self._changed:
            if self._state is _STOPPED:
                self._parking.put(packet, lane)
                return True
            if self._state is _STARTED and packet.begin():
                return False
            raise self._wrong_state("takes no requests")

    def _launch_or_release(self, packet: Packet, loop: asyncio.AbstractEventLoop | None) -> None:
        try:
            self._launch(packet, loop)
        except BaseException:
            packet.release()
            raise

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
        live.discard(self)
        self._engine.close()
        self._give_back()

    def finish(self) -> None:
        """Close it at the interpreter's end; what was sent to a file or device arrives first.

        A stream may have nobody at its other end any more: there, what is on its way is cancelled.
        """
        self._port.shut()
        if not self._port.stream:
            self._settle(ignoring_too=True)
        self.close()

    def after_fork(self) -> None:
        """In a forked child: what is on its way is the parent's, and so is what waits."""
        self._changed = threading.Condition(threading.RLock())
        self._parking = Parking()
        self._settling = 0
        self._port.after_fork()
        self._engine.after_fork()

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
            waited = self._state is _STOPPED
            while self._state is _STOPPED:
                self._changed.wait()
            if self._state is TargetState.PURGED and waited:
                raise from_status(
                    st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT,
                    f"{self._port.name} was purged while a transfer waited for its start",
                )
            if self._state is not _STARTED:
                raise self._wrong_state("takes no requests")

    def _wrong_state(self, what: str) -> MembufError:
        if self._state is TargetState.DELETED:
            return ObjectDeletedError(f"{self._port.name} is deleted and {what}: open it again")
        return InvalidDeviceStateError(
            f"{self._port.name} is {self._state.name} and {what}; expected STARTED or STOPPED",
            operands={"state": self._state},
        )


def start(packet: Packet, lane: Lane) -> None:
    """Start a packet that has passed its gate; where it cannot be, it never was."""
    try:
        lane.start(packet)
    except BaseException:
        packet.withdraw()
        raise


def close_all() -> None:
    """Before the interpreter ends: nothing may write into memory that it is about to give back."""
    for endpoint in list(live):
        try:
            endpoint.finish()
        except Exception as error:  # noqa: BLE001
            unraisable(error, endpoint)


def after_fork() -> None:
    """Leave to the parent of a forked process what is the parent's."""
    for endpoint in list(live):
        endpoint.after_fork()


atexit.register(close_all)
os.register_at_fork(after_in_child=after_fork)

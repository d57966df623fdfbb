"""Remote targets: made first, opened later, closed, and opened again.

    made --open--> STARTED ... --close--> CLOSED --open--> STARTED
                      |
                      +--close_for_query_remove--> CLOSED_FOR_QUERY_REMOVE --reopen--> STARTED

A remote target has its own states and passes what it is sent on to the target that it is open to.
"""

# pyright: reportPrivateUsage=false
# A target and what lies below it are one machine.
from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import InvalidDeviceStateError, from_status
from membuf.bus.device import DeviceTarget
from membuf.bus.registry import open_target
from membuf.target.endpoint import live
from membuf.target.filters.base import Passed, Transfer
from membuf.target.filters.course import Course, Steps
from membuf.target.relay import RelayTarget
from membuf.target.states import TargetState

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.request.device import Device
    from membuf.request.files import FileObject
    from membuf.request.protocol import Control
    from membuf.target._port import Packet
    from membuf.target.endpoint import Callback
    from membuf.target.relay import RelayLane
    from membuf.target.target import Target

_OPENABLE = (TargetState.CLOSED, TargetState.CLOSED_FOR_QUERY_REMOVE)


class RemoteTarget(RelayTarget):
    """A target that is opened after it was made: by a name, or to a device at hand.

    Args:
        name: for reports.
        parent: the object whose deletion deletes it.
        on_cleanup: called with it when its deletion begins.
        on_destroy: called with it when its last reference is gone.

    Source: WdfIoTargetCreate, WdfIoTargetOpen, WdfIoTargetCloseForQueryRemove.

    >>> target = RemoteTarget()
    >>> target.state.name
    'CLOSED'
    >>> target.open("file:/dev/zero", access="read")
    >>> target.read(bytearray(8))
    8
    >>> target.close_for_query_remove(); target.reopen(); target.state.name
    'STARTED'
    >>> target.close()
    """

    def __init__(
        self,
        name: str = "remote",
        *,
        parent: Object | None = None,
        on_cleanup: Callback | None = None,
        on_destroy: Callback | None = None,
    ) -> None:
        # Not a method of its own: an engine that held its target would keep it for ever.
        here = weakref.ref(self)
        super().__init__(
            name,
            below=lambda: _pump_below(here()),
            parent=parent,
            on_cleanup=on_cleanup,
            on_destroy=on_destroy,
        )
        self._lower: Target | None = None
        self._by_name: Callable[[], Target] | None = None
        self._freed = True

    # ---- opening and closing --------------------------------------------------------------------

    def open(self, uri: str, **options: Any) -> None:
        """Open it by name, and start it; see `membuf.open_target`.

        Raises:
            InvalidDeviceStateError: it is open, or deleted.
            MembufError: what the name's opener raises.
        """

        def by_name() -> Target:
            return open_target(uri, **options)

        self._open(by_name)
        self._by_name = by_name

    def open_device(self, device: Device, file: FileObject | None = None) -> None:
        """Open it to a device, and start it.

        Args:
            device: where requests go.
            file: the file object that they get, or None.

        Raises:
            InvalidDeviceStateError: it is open, or deleted.
        """
        self._open(lambda: DeviceTarget(device, local=True, file=file))

    def reopen(self) -> None:
        """Open it again by the name by which it was open.

        Raises:
            InvalidDeviceStateError: it is open or deleted, or STATUS_INVALID_DEVICE_REQUEST: it was
                not opened by a name, or was closed for good.
        """
        self._check_openable()
        if self._by_name is None:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, f"{self!r} was not opened by a name: open it"
            )
        self._open(self._by_name)

    def close(self) -> None:
        """Purge, wait until nothing is on its way, and close what it is open to."""
        self._by_name = None
        super().close()

    def close_for_query_remove(self) -> None:
        """Close it as `close` does, and keep its name for `reopen`."""
        self._close(TargetState.CLOSED_FOR_QUERY_REMOVE)

    def _open(self, opener: Callable[[], Target]) -> None:
        with self._changed:
            self._check_openable()
            self._lower = opener()
            self._freed = False
            live.add(self)
            self._opened()

    def _check_openable(self) -> None:
        if self._state not in _OPENABLE or not self._freed:
            raise InvalidDeviceStateError(
                f"{self!r} is {self._state.name} and cannot be opened", operands={}
            )

    def _give_back(self) -> None:
        lower, self._lower = self._lower, None
        if lower is not None:
            lower.close()

    # ---- passing on -----------------------------------------------------------------------------

    @property
    def lower(self) -> Target | None:
        """What it is open to, or None."""
        return self._lower

    @property
    def stack_depth(self) -> int:
        """How many devices a request passes there."""
        return 1 if self._lower is None else self._lower.stack_depth

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Packet:
        """Have what it is open to make the packet of a read or write."""
        made = self._below().make_packet(kind, memory, offset, memory_offset, memory_length)
        return Passed(self._port, made)

    def make_control_packet(self, control: Control) -> Packet:
        """Have what it is open to make the packet of a control request."""
        return Passed(self._port, self._below().make_control_packet(control), control)

    def make_irp_packet(self, irp: Any) -> Packet:
        """Have what it is open to make a packet that passes a received one on."""
        return Passed(self._port, self._below().make_irp_packet(irp))

    def check_forwards(self) -> None:
        """Check that a received request can be sent there for good.

        Raises:
            InvalidDeviceStateError: it is closed, or was opened by a name: who is down there does
                not belong to the stack that the request came through.
        """
        if self._by_name is not None:
            raise InvalidDeviceStateError(
                f"{self!r} was opened by a name: send with a completion routine", operands={}
            )
        super().check_forwards()

    def forward(self, irp: Any) -> None:
        """Pass a received packet on for good."""
        self._below().forward(irp)

    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Send a packet on."""
        Course(packet, _pass(Transfer(packet, self._below()))).run(lane)

    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Send a packet on, and wait for its end."""
        Course(packet, _pass(Transfer(packet, self._below()))).run_here(packet, deadline)

    def _below(self) -> Target:
        lower = self._lower
        if lower is None or self._state in (*_OPENABLE, TargetState.DELETED):
            raise self._wrong_state("takes no requests")
        return lower


def _pump_below(target: RemoteTarget | None) -> bool:
    lower = None if target is None else target._lower  # noqa: SLF001
    return lower is not None and lower._engine.pump()  # noqa: SLF001


def _pass(transfer: Transfer) -> Steps:
    return (yield transfer.down())

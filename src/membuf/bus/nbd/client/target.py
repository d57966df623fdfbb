"""A disk of an NBD server as a target: `nbd://HOST:PORT/NAME`, `nbd+unix:///NAME?socket=PATH`."""

# pyright: reportPrivateUsage=false
# A target and what it is made of are one machine.
from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Literal, SupportsIndex

from membuf.base.errors import InvalidParameterError, from_errno
from membuf.base.integers import exact_index
from membuf.bus.nbd.client.dialing import CONNECT_SECONDS
from membuf.bus.nbd.client.fleet import Fleet
from membuf.bus.nbd.client.flight import Flight, Plan
from membuf.bus.nbd.client.plans import ControlPacket, Plans, ThroughPacket
from membuf.bus.nbd.uri import NbdUri, parse_uri
from membuf.request.completion import RequestType
from membuf.target.filters.base import Transfer
from membuf.target.passing import memory_of
from membuf.target.relay import RelayTarget
from membuf.target.target import FLUSH, READ
from membuf.target.timers import timers

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.bus.nbd.client.greeting import ExportInfo
    from membuf.request.irp import Irp
    from membuf.request.protocol import Control
    from membuf.target._port import Packet
    from membuf.target.relay import RelayLane

Access = Literal["read", "write", "read-write"]

_ACCESS = ("read", "write", "read-write")


class NbdTarget(RelayTarget):
    """An export of an NBD server; `membuf.open_target` makes them, see `open_nbd`.

    Bytes go between the socket and the caller's memory without a copy in between. A transfer whose
    time is up, or that is cancelled, ends at once, and its memory is not touched any more; what the
    server was asked it may still do. In a forked child the target is of no use: open another one.

    Args:
        fleet: the connections.
        access: what it is open for.
        timeout: seconds that a request has which names none, or None.
        note: for `statistics`.
        parent: the object whose deletion closes it.

    >>> import tempfile, membuf
    >>> from membuf.bus.nbd import Server
    >>> with tempfile.TemporaryDirectory() as folder, membuf.open_target("ram:1MiB") as disk:
    ...     with Server(disk, f"nbd+unix:///?socket={folder}/s") as server:
    ...         with membuf.open_target(str(server.uri), timeout=60) as target:
    ...             target.write(b"over there", 4096), target.size, target.writable
    (10, 1048576, True)
    """

    def __init__(
        self,
        fleet: Fleet,
        access: Access,
        *,
        timeout: float | None = None,
        note: str = "",
        parent: Object | None = None,
    ) -> None:
        info, teller = fleet.info, fleet.teller
        super().__init__(
            str(fleet.uri),
            offset_alignment=info.minimum_block,
            below=teller.drain,
            parent=parent,
        )
        self._engine.note = note
        self._fleet, self._timeout = fleet, timeout
        size = (info.size or 0) // info.minimum_block * info.minimum_block
        self._plans = Plans(self._port.name, info, size, access, fleet.history)
        self._opened()

    # ---- what it is -----------------------------------------------------------------------------

    @property
    def uri(self) -> NbdUri:
        """What it was opened by."""
        return self._fleet.uri

    @property
    def info(self) -> ExportInfo:
        """What the server says of the export."""
        return self._fleet.info

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return len(self._fleet.links)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._plans.size

    @property
    def writable(self) -> bool:
        """Whether it is open to be written."""
        return self._plans.writable

    # ---- how it is sent things ------------------------------------------------------------------

    def make_control_packet(self, control: Control) -> Packet:
        """Take the memories of a control request of disks; see `membuf.request.storage`."""
        self.check_open()
        return ControlPacket(self._port, control)

    def make_irp_packet(self, irp: Irp) -> Packet:
        """A packet that passes on what a device or a server received."""
        if irp.major is RequestType.WRITE and getattr(irp, "write_through", False):
            self.check_open()
            memory = memory_of(irp) if irp.length else None
            return ThroughPacket(self._port, irp.major, memory, irp.offset, 0, irp.length)
        return super().make_irp_packet(irp)

    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Send what a packet takes, as far as it can be sent now."""
        flight = Flight(packet, self._plan(packet), self._fleet, lane)
        if self._timeout is not None:
            timers.add(self._timeout, flight)
        flight.begin()

    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Send what a packet takes, and wait for its end."""
        before = packet.lane
        flight = Flight(packet, self._plan(packet), self._fleet, None)
        try:
            flight.begin()
            flight.wait(None if deadline is None else deadline - time.monotonic())
        except BaseException:
            flight.cancel(packet)
            raise
        finally:
            packet.lane = before

    def _carry_out(self, packet: Packet, timeout: float | None) -> None:
        super()._carry_out(packet, self._timeout if timeout is None else timeout)

    def _plan(self, packet: Packet) -> Plan:
        plans = self._plans
        if isinstance(packet, ControlPacket):
            return plans.control(packet.control)
        if packet.kind == FLUSH:
            return plans.flush()
        take = Transfer(packet, self).views
        if packet.kind == READ:
            return plans.read(take, packet.offset, packet.length)
        through = isinstance(packet, ThroughPacket)
        return plans.write(take, packet.offset, packet.length, through=through)

    # ---- the end --------------------------------------------------------------------------------

    def finish(self) -> None:
        """Close it at the interpreter's end; what was sent gets a moment to arrive first."""
        super().finish()
        self.close()

    def after_fork(self) -> None:
        """In a forked child: the connections are the parent's."""
        self._fleet.after_fork()
        super().after_fork()

    def _give_back(self) -> None:
        self._fleet.close()


def open_nbd(
    uri: str,
    *,
    connections: SupportsIndex = 1,
    timeout: float | None = None,
    reconnect: float = 0.0,
    access: Access | None = None,
    connect_timeout: float = CONNECT_SECONDS,
    parent: Object | None = None,
) -> NbdTarget:
    """Open an export of an NBD server; `open_target("nbd://...")` calls this.

    Args:
        uri: `nbd://HOST:PORT/NAME`, `nbd+unix:///NAME?socket=PATH`, or with `nbds` for TLS.
        connections: how many to use, where the server says that several see the same; else it is
            one, and `statistics().note` says so.
        timeout: seconds for each request that does not name its own; None: as long as it takes.
        reconnect: seconds for which a lost connection is tried again, and what is on its way kept
            to be sent on the next one. With 0, or when they are over, it ends with an error, and
            so does what is sent afterwards. A flush fails once if acknowledged writes may be lost.
        access: "read", "write" or "read-write"; None: "read-write" if the export takes writes,
            else "read" (`NbdTarget.writable` says which).
        connect_timeout: seconds for making a connection, negotiation included.
        parent: the object whose deletion closes the target.

    Raises:
        InvalidParameterError: the URI or an option is malformed.
        TargetNotFoundError: there is no such socket or export.
        AccessDeniedError: the server does not let this client have it, or one side's certificate
            does not satisfy the other.
        TargetError: the export takes no writes and is to be written; nobody listens; or what
            listens is no NBD server.

    >>> open_nbd("nbd+unix:///disk?socket=/nowhere/sock")
    Traceback (most recent call last):
    membuf.TargetNotFoundError: [Errno 2] cannot connect to the NBD server: No such file or \
directory: '/nowhere/sock'
    """
    count = exact_index(connections, "connections")
    if count < 1:
        raise InvalidParameterError(f"connections must be at least 1; got {count}")
    if access is not None and access not in _ACCESS:
        raise InvalidParameterError(f"access is one of {', '.join(_ACCESS)}; got {access!r}")
    for name, seconds in (("timeout", timeout), ("reconnect", reconnect)):
        if seconds is not None and not seconds >= 0:
            raise InvalidParameterError(f"{name} must not be negative; got {seconds}")
    fleet = Fleet(parse_uri(uri), count, reconnect, connect_timeout)
    try:
        access = _granted(fleet, access)
        note = ""
        if len(fleet.links) < count:
            note = f"1 of {count} connections: the server does not say that several see the same"
        return NbdTarget(fleet, access, timeout=timeout, note=note, parent=parent)
    except BaseException:
        fleet.close()
        raise


def _granted(fleet: Fleet, access: Access | None) -> Access:
    if fleet.info.writable:
        return access or "read-write"
    if access in ("write", "read-write"):
        raise from_errno(
            errno.EROFS, f'the export takes no writes: open it with access="read", {fleet.uri}'
        )
    return "read"

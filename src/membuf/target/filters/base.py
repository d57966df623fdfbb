"""What all filters are: targets over a target."""

# pyright: reportPrivateUsage=false
# A target and what stands over it are one machine.
from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from membuf.target._port import Packet
from membuf.target.filters.course import Course, Send, Steps
from membuf.target.passing import CONTROLS, control_of, memory_of
from membuf.target.relay import RelayTarget
from membuf.target.target import FLUSH, READ, WRITE

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.request.irp import Irp
    from membuf.request.protocol import Control
    from membuf.target.relay import RelayLane
    from membuf.target.target import Target

Options = Mapping[str, Callable[[str], Any]]
"""The options of a filter by name, and what reads the text of each."""

VERBS: Final = {READ: "read", WRITE: "write", FLUSH: "flush"}


class Transfer:
    """One transfer that was sent to a filter.

    Attributes:
        kind: 3 read, 4 write, 9 flush, else the framework's request type.
        offset: byte position in the target.
        length: its bytes.
        control: what a control request asks for; None for other kinds.

    >>> import membuf
    >>> class Upper(Filter):
    ...     filter_name = "upper"
    ...     def steps(self, transfer):
    ...         for view in transfer.views():
    ...             view[:] = bytes(view).upper()
    ...         return (yield transfer.down())
    >>> data = bytearray(b"hello")
    >>> with Upper(membuf.open_target("file:/dev/null", access="write")) as target:
    ...     target.write(data), data
    (5, bytearray(b'HELLO'))
    """

    __slots__ = ("_irp", "_lower", "_packet", "control", "kind", "length", "offset")

    def __init__(self, packet: Packet, lower: Target) -> None:
        self._packet, self._lower = packet, lower
        self.kind, self.offset, self.length = packet.kind, packet.offset, packet.length
        self._irp: Irp | None = None
        self.control: Control | None = None
        if isinstance(packet, Passed):
            self._irp, self.control = packet.irp, packet.control
            if self._irp is not None:
                self.offset, self.length = self._irp.offset, self._irp.length

    @property
    def verb(self) -> str:
        """Its kind in a word: read, write, flush or control."""
        return VERBS.get(self.kind, "control")

    def down(self) -> Send:
        """The step that sends it on to the lower target as it is."""
        packet = self._packet
        if isinstance(packet, Passed):
            return Send.made(self._lower, packet.next_one(self._lower))
        memory, start, length = packet.part
        offset = None if packet.stream else self.offset
        return Send(
            self._lower, self.kind, memory, offset, start, length, data_only=packet.data_only
        )

    def views(self) -> list[memoryview]:
        """Its bytes, as one view for each of its buffers."""
        if self._irp is not None:
            memory = memory_of(self._irp) if self.length and self.control is None else None
            return [] if memory is None else [memoryview(memory).cast("B")[: self.length]]
        memory, start, length = self._packet.part
        if self._packet.vectored:
            views = [memoryview(buffer) for buffer in memory]
            return [view.cast("B") for view in views if view.nbytes]
        if not length:
            return []
        return [memoryview(memory).cast("B")[start : start + length]]


class Passed(Packet):
    """The packet of a request that passes as the lower target made it.

    Attributes:
        lower: the lower target's packet.
        control: what a control request asks for.
        irp: what a device received, where that passes on.
    """

    def __init__(
        self, port: Any, lower: Packet, control: Control | None = None, irp: Irp | None = None
    ) -> None:
        super().__init__(port, lower.kind, None, None)
        self.lower, self.control, self.irp = lower, control, irp
        self._sent = False

    def next_one(self, target: Target) -> Packet:
        """What to send to the lower target: what it made, and each further time another like it."""
        if self._sent:
            self.lower.release()
            if self.irp is not None:
                self.lower = target.make_irp_packet(self.irp)
            elif self.control is not None:
                self.lower = target.make_control_packet(self.control)
        self._sent = True
        return self.lower

    def release(self) -> None:
        """Let the memories go: now, or when it is over."""
        super().release()
        self.lower.release()


class Filter(RelayTarget):
    """A target over a target, which it closes with itself.

    A filter has all that a target has; what is sent to it takes the `steps` that it says.

    Args:
        lower: the target below.
        parent: the object whose deletion closes both.

    Attributes:
        filter_name: what it is called in a target's name.
        options: what it takes there.

    >>> import membuf
    >>> class Twice(Filter):
    ...     filter_name = "twice"
    ...     def steps(self, transfer):
    ...         yield transfer.down()
    ...         return (yield transfer.down())
    >>> with Twice(membuf.open_target("file:/dev/null", access="write")) as target:
    ...     count = target.write(b"hello")
    ...     count, target.lower.statistics().writes
    (5, 2)
    """

    filter_name: ClassVar[str]
    options: ClassVar[Options] = {}

    def __init__(self, lower: Target, *, parent: Object | None = None) -> None:
        below = lower._port  # noqa: SLF001
        super().__init__(
            f"{self.filter_name}+{below.name}",
            stream=below.stream,
            memory_alignment=below.memory_alignment,
            offset_alignment=below.offset_alignment,
            below=lower._engine.pump,  # noqa: SLF001
            parent=parent,
        )
        self._lower = lower
        self._opened()

    @abc.abstractmethod
    def steps(self, transfer: Transfer) -> Steps:
        """What becomes of a transfer: a generator of steps that returns the count of bytes.

        `yield transfer.down()` sends it on and answers the lower target's count, or raises its
        error there; a raise ends the transfer with that error.
        """

    @property
    def lower(self) -> Target:
        """The target below."""
        return self._lower

    @property
    def stream(self) -> bool:
        """Whether it has no offsets."""
        return self._port.stream

    @property
    def size(self) -> int:
        """The bytes of what lies below."""
        return self._lower.size

    @property
    def stack_depth(self) -> int:
        """How many drivers a request passes below."""
        return self._lower.stack_depth

    def make_control_packet(self, control: Control) -> Packet:
        """Have the lower target take the memories of a control request."""
        self.check_open()
        return Passed(self._port, self._lower.make_control_packet(control), control)

    def make_irp_packet(self, irp: Any) -> Packet:
        """Have the lower target make a packet that passes a received one on."""
        self.check_open()
        control = control_of(irp) if irp.major in CONTROLS else None
        return Passed(self._port, self._lower.make_irp_packet(irp), control, irp)

    def carry(self, packet: Packet, lane: RelayLane) -> None:
        """Begin the steps of a packet."""
        Course(packet, self.steps(Transfer(packet, self._lower))).run(lane)

    def carry_here(self, packet: Packet, deadline: float | None) -> None:
        """Take the steps of a packet on this thread."""
        Course(packet, self.steps(Transfer(packet, self._lower))).run_here(packet, deadline)

    def _give_back(self) -> None:
        self._lower.close()

"""What requests and targets know of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex

from membuf.request.buffers import NO_PART, Part

if TYPE_CHECKING:
    from membuf.base.errors import MembufError
    from membuf.request.completion import RequestType


@dataclass(frozen=True, slots=True)
class Control:
    """What a control request asks for.

    Attributes:
        kind: DEVICE_CONTROL, INTERNAL_DEVICE_CONTROL or OTHER.
        code: the control code; its two lowest bits are the method.
        input, output: the memories of the first two kinds.
        arguments: the memories of OTHER, passed as pointers in arguments 1, 2 and 4.
    """

    kind: RequestType
    code: int
    input: Part = NO_PART
    output: Part = NO_PART
    arguments: tuple[Part, Part, Part] = (NO_PART, NO_PART, NO_PART)


class Packet(Protocol):
    """What a target makes of a formatted request (the framework's I/O packet)."""

    callback: Callable[[Any], object] | None

    @property
    def status(self) -> Any:
        """A status of success that it ended with and that is not plain success, or None."""
        ...

    @property
    def information(self) -> int:
        """Bytes transferred."""
        ...

    def failure(self) -> MembufError | None:
        """The exception for its end, or None where it ended well."""

    def release(self) -> None:
        """Let the memory go: now, or when it is over."""


class RequestTarget(Protocol):
    """What a request needs of a target."""

    @property
    def stack_depth(self) -> int:
        """How many drivers a packet passes there: its stack locations."""
        ...

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Any:
        """Take the memory and describe the transfer.

        Raises:
            InvalidDeviceStateError: the target is not open.
        """

    def make_control_packet(self, control: Control) -> Any:
        """Take the memories of a control request, as `make_packet` does."""

    def make_irp_packet(self, irp: Any) -> Any:
        """A packet that passes a received one on as it is."""

    def inherit(self, packet: Any, irp: Any) -> None:
        """Give a packet what a received one has and its sender keeps: the file object."""

    def forward(self, irp: Any) -> None:
        """Pass a received packet on for good: nobody here hears of its end."""

    def check_open(self) -> None:
        """Raises InvalidDeviceStateError where the target is not open."""

    def check_accepts(self, *, ignore_state: bool) -> None:
        """Raises InvalidDeviceStateError where a send would be refused for the target's state."""

    def check_forwards(self) -> None:
        """Raises InvalidDeviceStateError where it passes nothing on for good."""

    def send_packet(
        self, packet: Any, synchronous: bool, timeout: float | None, ignore_state: bool, /
    ) -> None:
        """Deliver or queue a packet; where it is refused nothing has happened to it."""

    def cancel_packet(self, packet: Any) -> bool:
        """Ask for its early end; whether it can still be stopped."""
        ...

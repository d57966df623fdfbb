"""Control requests without a request object: sent, and waited for or awaited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.request.buffers import part
from membuf.request.completion import RequestType
from membuf.request.formatting import control_code
from membuf.request.protocol import Control
from membuf.target.endpoint import Endpoint

if TYPE_CHECKING:
    from membuf.base.errors import MembufError
    from membuf.target._port import Packet


class Controls(Endpoint):
    """The control requests of a target."""

    __slots__ = ()

    def ioctl(
        self,
        code: SupportsIndex,
        input: Any = None,
        output: Any = None,
        *,
        timeout: float | None = None,
        internal: bool = False,
    ) -> int:
        """Send a control request and return its information, mostly the bytes of its answer.

        Args:
            code: the control code, 32 bits; its method says how the memories travel.
            input: a memory object, a buffer, an MDL, a MemoryDescriptor, or None.
            output: likewise.
            timeout: seconds, after which it is cancelled.
            internal: send the kind that drivers send each other.

        Raises:
            MembufError: it did not end with success; `.information` says how far it came.
            InvalidDeviceStateError: the target takes none.
        """
        packet = self.make_control_packet(_control(code, input, output, internal))
        try:
            self.send_packet(packet, True, timeout, False)
            return _result(packet)
        finally:
            packet.release()

    async def ioctl_async(
        self,
        code: SupportsIndex,
        input: Any = None,
        output: Any = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        internal: bool = False,
    ) -> int:
        """As `ioctl`, awaited; a task cancelled meanwhile goes on when the request has ended."""
        packet = self.make_control_packet(_control(code, input, output, internal))
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        packet.callback = lambda _: loop.call_soon_threadsafe(over.set)
        cancelled: asyncio.CancelledError | None = None
        try:
            self.send_packet(packet, False, timeout, False)
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError as error:
                    cancelled = error
                    self.cancel_packet(packet)
            if cancelled is not None:
                raise cancelled
            return _result(packet)
        finally:
            packet.release()


def _control(code: SupportsIndex, input: Any, output: Any, internal: bool) -> Control:
    kind = RequestType.INTERNAL_DEVICE_CONTROL if internal else RequestType.DEVICE_CONTROL
    return Control(kind, control_code(code), part(input), part(output))


def _result(packet: Packet) -> int:
    error: MembufError | None = packet.failure()
    if error is not None:
        raise error
    return packet.information

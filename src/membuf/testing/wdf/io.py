"""One request of a bench: its buffer, its end, and who has it until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from membuf.base.status import Status, nt_error
from membuf.testing.wdf.defects import DriverDefectError

if TYPE_CHECKING:
    from membuf.request import Device
    from membuf.request.pending import Pending


@dataclass(frozen=True, slots=True)
class Result:
    r"""How a request ended, as its originator sees it.

    Attributes:
        status: the status.
        information: mostly the count of bytes.
        data: the first `information` bytes of what was read or answered; empty after an error.
        buffer: the whole of the originator's buffer, 0xEE where nothing was written.

    >>> Result(Status(0), 2, b"ab", b"ab\xee").data
    b'ab'
    """

    status: Status
    information: int
    data: bytes
    buffer: bytes


class Io:
    """A request on its way; `Bench.start_read` and its relatives make them.

    Attributes:
        what: it, in words.
        device: where it was sent.

    >>> import membuf.testing.wdf
    >>> from membuf.wdf import *
    >>> with membuf.testing.wdf.driver("WdfWaits") as bench:
    ...     device = bench.device(dispatch=WdfIoQueueDispatchManual)
    ...     io = bench.start_read(device, 8)
    ...     io.cancel(), io.result().status
    (True, STATUS_CANCELLED (0xC0000120))
    """

    def __init__(
        self, what: str, device: Device, pending: Pending, buffer: bytearray, timeout: float
    ) -> None:
        self.what = what
        self.device = device
        self._pending = pending
        self._buffer = buffer
        self._timeout = timeout

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._pending.done

    def cancel(self) -> bool:
        """Cancel it, as its originator; whether something was there to cancel it at once."""
        return self._pending.cancel()

    def result(self) -> Result:
        """Wait for its end, and say how it ended.

        Raises:
            DriverDefectError: it has not ended in the bench's time.
        """
        try:
            status, information = self._pending.wait(self._timeout)
        except TimeoutError:
            raise DriverDefectError([self.unfinished()]) from None
        buffer = bytes(self._buffer)
        data = b"" if nt_error(status) else buffer[:information]
        return Result(status, information, data, buffer)

    def unfinished(self) -> str:
        """Why it has not ended, in words."""
        queues = ", ".join(
            f"{queue!r} has {queue.waiting} waiting and {queue.owned} with the driver"
            for queue in self.device.queues
        )
        return f"a {self.what} was never completed ({queues or 'no queue'})"

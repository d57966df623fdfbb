"""The originator's side: a device opened, and the I/O it is asked for.

What the I/O manager does: buffers are copied or locked by the access method before a driver sees
the packet, and copied back or unlocked when it has come back.

Source: requests 1.1 and 3.10 of the specification.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import AccessViolationError, InvalidParameterError, from_status
from membuf.base.integers import exact_index
from membuf.base.status import Status, nt_error, nt_success
from membuf.request.completion import RequestType
from membuf.request.files import FileObject
from membuf.request.irp import Irp

if TYPE_CHECKING:
    from types import TracebackType

    from membuf.request.device import Device
    from membuf.request.irp import Mode

Finish = Callable[[Irp], Any]

# Guards who is told of an end: held for a few instructions, never while calling out.
_ends = threading.Lock()


class Pending:
    """I/O on its way: wait for it, await it, or cancel it.

    Attributes:
        irp: its packet.
    """

    __slots__ = ("_done", "_finish", "_told", "irp", "value")

    def __init__(self, irp: Irp, finish: Finish) -> None:
        self.irp = irp
        self.value: Any = None
        self._finish = finish
        self._done = False
        self._told: list[Callable[[], object]] = []
        irp.push(self._completed)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done

    @property
    def status(self) -> Status:
        """How it ended; STATUS_PENDING until then."""
        return self.irp.status if self._done else st.STATUS_PENDING

    @property
    def information(self) -> int:
        """Bytes transferred."""
        return self.irp.information

    def cancel(self) -> bool:
        """Ask for its early end; whether a driver lets it be cancelled now."""
        return not self._done and self.irp.cancel()

    def wait(self, timeout: float | None = None) -> tuple[Status, int]:
        """Wait for its end, and return its status and the bytes transferred.

        Raises:
            TimeoutError: it has not ended in time; it goes on.
        """
        if not self._done:
            event = threading.Event()
            if not self._tell(event.set) and not event.wait(timeout):
                raise TimeoutError(f"{self.irp!r} has not ended after {timeout} seconds")
        return self.irp.status, self.irp.information

    def result(self) -> Any:
        """What the call wanted, once it has ended; raises what it ended with otherwise."""
        irp = self.irp
        if nt_success(irp.status):
            return self.value
        raise from_status(
            irp.status,
            f"{irp.major.name.lower()} ended with {irp.status}",
            {"information": irp.information, "value": self.value},
        )

    async def finished(self) -> Any:
        """Await its end, and return what `result` does.

        A task that is cancelled meanwhile cancels it, and goes on when it has ended.
        """
        cancelled: asyncio.CancelledError | None = None
        loop = asyncio.get_running_loop()
        while not self._done:
            over: asyncio.Future[None] = loop.create_future()
            self._tell(partial(_settle_soon, loop, over))
            try:
                await over
            except asyncio.CancelledError as error:
                cancelled = error
                self.irp.cancel()
        if cancelled is not None:
            raise cancelled
        return self.result()

    def _tell(self, listener: Callable[[], object]) -> bool:
        """Have a listener called at the end; True where it is over and nobody will be."""
        with _ends:
            if not self._done:
                self._told.append(listener)
                return False
            return True

    def _completed(self, irp: Irp) -> None:
        self.value = self._finish(irp)
        with _ends:
            self._done = True
            told, self._told = self._told, []
        for listener in told:
            listener()


def _settle_soon(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    loop.call_soon_threadsafe(_settle, future)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Handle:
    """An opened device; `Device.open` makes them.

    Every call comes in three forms: `read` waits, `read_async` is awaited, `start_read` returns a
    `Pending`. Any thread may call.

    >>> import membuf
    >>> device = membuf.Device("handle-doc")
    >>> @device.on_default
    ... def echo(request):
    ...     request.complete(information=request.length)
    >>> with device.open() as handle:
    ...     handle.write(b"hello"), handle.start_write(b"abc").wait()
    (5, (STATUS_SUCCESS (0x00000000), 3))
    """

    def __init__(self, device: Device, access: str, mode: Mode) -> None:
        self.device = device
        self.file = FileObject(device, access)
        self._mode: Mode = mode

    def close(self) -> None:
        """Close it; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- reading and writing --------------------------------------------------------------------

    def start_read(self, buffer: Any, offset: SupportsIndex = 0) -> Pending:
        """Begin a read into a buffer; the result is the count of bytes."""
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise AccessViolationError(f"cannot read into {buffer!r}: it is read-only")
        return self._transfer(RequestType.READ, view, view.nbytes, offset)

    def start_write(self, data: Any, offset: SupportsIndex = 0) -> Pending:
        """Begin a write; the result is the count of bytes."""
        view = memoryview(data).cast("B")
        return self._transfer(RequestType.WRITE, view, view.nbytes, offset)

    def read(self, length: SupportsIndex, offset: SupportsIndex = 0) -> bytes:
        """Read up to `length` bytes and return them.

        Raises:
            MembufError: it did not end with success; `.status` says how.
        """
        return bytes(self._wait(self._start_read_new(length, offset)))

    def read_into(self, buffer: Any, offset: SupportsIndex = 0) -> int:
        """Read into a buffer and return the count of bytes; see `read`."""
        count: int = self._wait(self.start_read(buffer, offset))
        return count

    def write(self, data: Any, offset: SupportsIndex = 0) -> int:
        """Write the bytes and return how many the device took; see `read`."""
        count: int = self._wait(self.start_write(data, offset))
        return count

    # ---- inside ---------------------------------------------------------------------------------

    def _start_read_new(self, length: SupportsIndex, offset: SupportsIndex) -> Pending:
        return self._transfer(RequestType.READ, None, _size(length, "length"), offset)

    def _transfer(
        self, type: RequestType, view: memoryview | None, length: int, offset: SupportsIndex
    ) -> Pending:
        irp = Irp(
            type,
            offset=_size(offset, "offset"),
            length=length,
            mode=self._mode,
            file=self.file,
            stack_count=self.device.stack_depth,
        )
        finish = _buffered(self.device, irp, view)
        return self._submit(irp, finish)

    def _submit(self, irp: Irp, finish: Finish) -> Pending:
        pending = Pending(irp, finish)
        self.device.submit(irp)
        return pending

    def _wait(self, pending: Pending) -> Any:
        pending.wait()
        return pending.result()


def _buffered(device: Device, irp: Irp, view: memoryview | None) -> Finish:
    """A system buffer for a read or write: copied in now, copied back at the end."""
    if not irp.length:
        return lambda irp: irp.information if view is not None else b""
    reading = irp.major == RequestType.READ
    system = device.system_buffers.take(irp.length, zero=reading)
    irp.system_buffer = system
    if view is not None and not reading:
        system.copy_from(view)

    def finish(irp: Irp) -> Any:
        value: Any = irp.information
        if reading and not nt_error(irp.status):
            count = min(irp.information, irp.length)
            with system.buffer as source:
                if view is None:
                    value = bytes(source[:count])
                else:
                    view[:count] = source[:count]
        irp.system_buffer = None
        system.delete()
        return value

    return finish


def _size(value: SupportsIndex, what: str) -> int:
    number = exact_index(value, what)
    if number < 0:
        raise InvalidParameterError(f"{what} must not be negative, got {number}")
    return number

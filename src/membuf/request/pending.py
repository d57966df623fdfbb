"""I/O on its way: waited for by a thread, awaited by a task, or cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.status import Status, nt_error
from membuf.request.attaching import Finish, nothing
from membuf.request.irp import Irp
from membuf.request.reports import report

_WARNING = 0x8000_0000

Listener = Callable[[], object]

# Guards who is told of an end: held for a few instructions, never while calling out. What the
# collector ends inside them may come here again.
_ends = threading.RLock()


def _after_fork() -> None:
    """In a forked child: whoever held the lock is not here."""
    global _ends  # noqa: PLW0603
    _ends = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class Pending:
    """I/O on its way: wait for it, await it, or cancel it.

    Attributes:
        irp: its packet.

    >>> import membuf
    >>> device = membuf.Device("pending-doc")
    >>> queue = device.queue("waiting", dispatch="manual", default=True)
    >>> pending = device.open().start_read(bytearray(8))
    >>> pending.cancel(), pending.wait()
    (True, (STATUS_CANCELLED (0xC0000120), 0))
    """

    __slots__ = ("_done", "_finish", "_listeners", "_output", "_view", "irp")

    def __init__(self, irp: Irp, finish: Finish, view: memoryview | None = None) -> None:
        self.irp = irp
        self._finish = finish
        self._view = view
        self._output: bytes | None = None
        self._done = False
        self._listeners: list[Listener] = []
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
        """What its driver said of it, mostly the count of bytes."""
        return self.irp.information

    def cancel(self) -> bool:
        """Ask for its early end; whether a driver lets it be cancelled now."""
        return not self._done and self.irp.cancel()

    def wait(self, timeout: float | None = None) -> tuple[Status, int]:
        """Wait for its end, and return its status and information.

        Raises:
            TimeoutError: it has not ended in time; it goes on.
        """
        if not self._done:
            event = threading.Event()
            if self.tell(event.set) and not event.wait(timeout):
                raise TimeoutError(f"{self.irp!r} has not ended after {timeout} seconds")
        return self.irp.status, self.irp.information

    def result(self) -> int:
        """Its information, once it has ended; raises what it ended with otherwise.

        Raises:
            MembufError: no success; `.information`, and for a warning `.output`, come with it.
        """
        irp = self.irp
        if irp.status < _WARNING:
            return irp.information
        operands: dict[str, object] = {"information": irp.information}
        if self._output is not None:
            operands["output"] = self._output
        raise from_status(irp.status, f"{irp.major.name} ended with {irp.status}", operands)

    async def finished(self) -> int:
        """Await its end, and return what `result` does.

        A task that is cancelled meanwhile cancels it, and goes on when it has ended.
        """
        cancelled: asyncio.CancelledError | None = None
        loop = asyncio.get_running_loop()
        while not self._done:
            over: asyncio.Future[None] = loop.create_future()
            self.tell(partial(_settle_on, loop, over))
            try:
                await over
            except asyncio.CancelledError as error:
                cancelled = error
                self.irp.cancel()
        if cancelled is not None:
            raise cancelled
        return self.result()

    def tell(self, listener: Listener) -> bool:
        """Have `listener()` called at the end, once; False where it is over already.

        It is called on the thread that completes the request.
        """
        with _ends:
            if not self._done:
                self._listeners.append(listener)
                return True
        listener()
        return False

    def _completed(self, irp: Irp) -> None:
        self._finish(irp)
        if irp.status >= _WARNING and self._view is not None and not nt_error(irp.status):
            self._output = bytes(self._view[: irp.information])
        # The originator may do with its buffer what it likes now.
        self._finish, self._view = nothing, None
        with _ends:
            self._done = True
            listeners = self._listeners
        for listener in listeners:
            _call(listener)


def _call(listener: Listener) -> None:
    """Call a listener; who completes the request is not who may mend what it raises."""
    try:
        listener()
    except Exception as error:  # noqa: BLE001 - no caller can receive it
        report(error, f"{listener!r}, told of an end")


def _settle_on(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """End a future of a loop that may have been closed since."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, future)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

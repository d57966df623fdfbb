"""Coroutine handlers: which event loop runs them, and what becomes of their requests."""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from membuf.base import status as st
from membuf.base.errors import from_status

if TYPE_CHECKING:
    from membuf.request.received import ReceivedRequest


class Runner:
    """Runs the coroutine handlers of a device.

    Args:
        loop: the event loop; one on a thread of membuf's own if absent.
        given: whether it is the one that was asked for, and no other will do.
    """

    __slots__ = ("__weakref__", "_given", "_tasks", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, *, given: bool = False) -> None:
        self._given = given
        self.loop = loop or _shared_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ended(self) -> bool:
        """Whether its loop, which nobody asked for by name, is closed."""
        return not self._given and self.loop.is_closed()

    def is_here(self) -> bool:
        """Whether its loop runs on this thread."""
        return asyncio._get_running_loop() is self.loop

    def run(self, handler: Coroutine[Any, Any, object], request: ReceivedRequest) -> None:
        """Run a handler's coroutine to its end; what it raises ends the request."""
        if self.is_here():
            self._begin(handler, request)
            return
        try:
            self.loop.call_soon_threadsafe(self._begin, handler, request)
        except RuntimeError as error:  # the loop is closed
            handler.close()
            request._fail(error, "the event loop of a coroutine handler")

    def _begin(self, handler: Coroutine[Any, Any, object], request: ReceivedRequest) -> None:
        task = self.loop.create_task(_to_the_end(handler, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _to_the_end(handler: Coroutine[Any, Any, object], request: ReceivedRequest) -> None:
    try:
        await handler
    except asyncio.CancelledError:
        request._fail(
            from_status(st.STATUS_CANCELLED, f"the handler of {request!r} was cancelled"),
            "a coroutine handler",
        )
        raise
    except Exception as error:  # noqa: BLE001 - whatever a driver raises ends its request
        request._fail(error, "a coroutine handler")


_lock = threading.Lock()
_shared: tuple[int, asyncio.AbstractEventLoop] | None = None


def _shared_loop() -> asyncio.AbstractEventLoop:
    """The event loop on a thread of membuf's own, for devices that were made where none runs."""
    global _shared  # noqa: PLW0603 - one for the process, made when it is first needed
    with _lock:
        if _shared is None or _shared[0] != os.getpid():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="membuf-handlers", daemon=True)
            thread.start()
            atexit.register(_end, loop, thread)
            _shared = os.getpid(), loop
        return _shared[1]


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

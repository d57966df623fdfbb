"""Threads that call what is served, where its handlers block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from membuf.base import status as st
from membuf.base.errors import MembufError
from membuf.target.threads import Pool

if TYPE_CHECKING:
    from membuf.request.irp import Irp

_PATIENCE_SECONDS: Final = 1.0
T = TypeVar("T")


class Workers:
    """A bounded pool of threads that submit packets.

    Args:
        threads: how many at most.
    """

    def __init__(self, threads: int) -> None:
        self._pool = Pool(threads)

    def submitter(self, submit: Callable[[Irp], None]) -> Callable[[Irp], None]:
        """The same call, on one of the threads."""

        def put(irp: Irp) -> None:
            self._pool.put(_Submission(irp, submit))

        return put

    def close(self) -> None:
        """End the threads once what waits has been submitted; a handler that never ends is left."""
        closer = threading.Thread(target=self._pool.close, name="membuf-nbd-end", daemon=True)
        closer.start()
        closer.join(_PATIENCE_SECONDS)


async def apart(function: Callable[[], T], undo: Callable[[T], object]) -> T:
    """What a function that may wait returns; it is called on a thread of its own.

    Args:
        function: what is called.
        undo: called with what that returns, where nobody waits for it any more.
    """
    errand = _Errand(function, undo, asyncio.get_running_loop())
    threading.Thread(target=errand.run, name="membuf-nbd-open", daemon=True).start()
    try:
        return await errand.done
    except asyncio.CancelledError:
        errand.abandon()
        raise


class _Errand(Generic[T]):
    def __init__(
        self, function: Callable[[], T], undo: Callable[[T], object], loop: AbstractEventLoop
    ) -> None:
        self.done: asyncio.Future[T] = loop.create_future()
        self._function, self._undo, self._loop = function, undo, loop
        self._lock = threading.Lock()
        self._results: list[T] = []
        self._abandoned = False

    def run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - who waits hears of it
            self._tell(partial(self.done.set_exception, error))
            return
        with self._lock:
            self._results.append(result)
            left = self._abandoned
        if left:
            self._undo(result)
        else:
            self._tell(partial(self.done.set_result, result))

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            results, self._results = self._results, []
        for result in results:
            self._undo(result)

    def _tell(self, tell: Callable[[], object]) -> None:
        def unless_done() -> None:
            if not self.done.done():
                tell()

        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(unless_done)


class _Submission:
    """The job of one packet."""

    __slots__ = ("_irp", "_submit")

    def __init__(self, irp: Irp, submit: Callable[[Irp], None]) -> None:
        self._irp, self._submit = irp, submit

    def run(self) -> None:
        try:
            self._submit(self._irp)
        except MembufError as error:  # what is served takes nothing now
            if self._irp.completed:
                raise
            self._irp.complete(error.status, 0)

    def give_up(self) -> None:
        if not self._irp.completed:
            self._irp.complete(st.STATUS_INTERNAL_ERROR, 0)

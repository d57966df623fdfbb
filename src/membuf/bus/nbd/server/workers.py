"""Threads that call what is served, where its handlers block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from membuf.base import status as st
from membuf.base.errors import MembufError
from membuf.target.threads import Pool

if TYPE_CHECKING:
    from membuf.request.irp import Irp

_PATIENCE_SECONDS: Final = 1.0


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

"""Threads that call what is served, where its handlers block."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from membuf.base import status as st
from membuf.target.threads import Pool

if TYPE_CHECKING:
    from membuf.request.irp import Irp


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
        """End the threads once what waits has been submitted."""
        self._pool.close()


class _Submission:
    """The job of one packet."""

    __slots__ = ("_irp", "_submit")

    def __init__(self, irp: Irp, submit: Callable[[Irp], None]) -> None:
        self._irp, self._submit = irp, submit

    def run(self) -> None:
        self._submit(self._irp)

    def give_up(self) -> None:
        if not self._irp.completed:
            self._irp.complete(st.STATUS_INTERNAL_ERROR, 0)

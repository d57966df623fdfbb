r"""A filter of one's own: it tries again what failed, and `retry(...)` puts it over any target.

    membuf serve examples/retry_filter.py --nbd "nbd+unix:///?socket=retry.sock" \
        --set below="error(rate=10%)+ram:64MiB" --set tries=5 --set wait=10ms

or in a program, where importing this file is enough to have the name:

    target = membuf.open_target("retry(tries=5,wait=10ms,on=eio|etimedout)+file:disk.img")
    ...
    print(target.retries)

A filter says what becomes of a transfer in a generator: it yields steps (send it down, wait), and
each answers the count of bytes, or raises what the target below ended it with. The same generator
serves callers that wait, event loops and completion callbacks.

To try next: put it on top of `error(rate=50%)+delay(time=1ms)+...` and look at the count; have the
waits vary at random, so that many clients do not all come back at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import membuf
import membuf.bus
from membuf.base import status as st
from membuf.base.errors import from_errno
from membuf.request import storage
from membuf.target.filters import Filter, Pause, Steps
from membuf.target.filters.base import Options, Transfer
from membuf.target.filters.options import error_number, seconds, whole

if TYPE_CHECKING:
    from membuf.target import Target

FLUSH = 9
REPEATABLE = (*storage.DESCRIBING, storage.TRIM, storage.ZERO, storage.ALLOCATED)


def errors(text: str) -> frozenset[int]:
    """Errors of the system by their names, joined by "|"."""
    return frozenset(error_number(name) for name in text.split("|"))


TRANSIENT = errors("eio|etimedout|ebusy|eagain|econnreset|epipe")


class Retries(NamedTuple):
    """What a retry filter has done so far.

    Attributes:
        retries: transfers that were sent once more, each time counted.
        recovered: transfers that ended well in the end.
        given_up: transfers that failed as often as they might.
    """

    retries: int = 0
    recovered: int = 0
    given_up: int = 0


class Retry(Filter):
    """Sends a transfer again that failed with an error that may pass.

    Streams, and control requests that are not those of disks, are tried once: whether such a thing
    can be done twice only its sender knows.

    Args:
        lower: the target below.
        tries: how often a transfer is sent at most.
        wait: seconds before the second try; twice as many before each later one.
        most: the longest wait, in seconds.
        on: the error numbers that are worth another try.
        parent: the object whose deletion closes both.
    """

    filter_name: ClassVar[str] = "retry"
    options: ClassVar[Options] = {"tries": whole, "wait": seconds, "most": seconds, "on": errors}

    def __init__(
        self,
        lower: Target,
        *,
        tries: int = 3,
        wait: float = 0.01,
        most: float = 1.0,
        on: frozenset[int] = TRANSIENT,
        parent: membuf.Object | None = None,
    ) -> None:
        if tries < 1:
            raise membuf.InvalidParameterError(f"tries must be 1 at least; got {tries}")
        super().__init__(lower, parent=parent)
        self._tries, self._wait, self._most, self._on = tries, wait, most, on
        # What comes through a device has a status and no error number any more.
        self._statuses = {from_errno(n, "").status for n in on} - {st.STATUS_UNSUCCESSFUL}
        self._lock = threading.Lock()
        self._counts = Retries()

    @property
    def retries(self) -> Retries:
        """What it has done so far."""
        return self._counts

    def steps(self, transfer: Transfer) -> Steps:
        """Send it on, and on."""
        tries = self._tries if self._may_repeat(transfer) else 1
        number = 1
        while True:
            try:
                count = yield transfer.down()
            except membuf.MembufError as error:
                may_pass = self._may_pass(error)
                if not may_pass or number == tries:
                    self._count(given_up=may_pass and tries > 1)
                    raise
            else:
                self._count(recovered=number > 1)
                return count
            self._count(retries=1)
            yield Pause(min(self._wait * 2 ** (number - 1), self._most))
            number += 1

    def _may_repeat(self, transfer: Transfer) -> bool:
        if transfer.control is not None:
            return transfer.control.code in REPEATABLE
        return not self.stream

    def _may_pass(self, error: membuf.MembufError) -> bool:
        return getattr(error, "errno", None) in self._on or error.status in self._statuses

    def _count(self, *, retries: int = 0, recovered: bool = False, given_up: bool = False) -> None:
        with self._lock:
            old = self._counts
            self._counts = Retries(
                old.retries + retries, old.recovered + recovered, old.given_up + given_up
            )


membuf.bus.register_filter(Retry)


def open(below: str, **settings: str) -> Target:  # noqa: A001 - what `membuf serve` calls
    """Make the target: `tries=`, `wait=`, `most=` and `on=` as in its name, over `below=`."""
    options = ",".join(f"{name}={text}" for name, text in settings.items())
    return membuf.open_target(f"retry({options})+{below}")

"""A filter that injects errors."""

from __future__ import annotations

import errno
import random
import threading
from typing import TYPE_CHECKING, ClassVar, Final

from membuf.base.errors import InvalidParameterError, from_errno
from membuf.target.filters.base import Filter, Options, Transfer
from membuf.target.filters.course import Steps
from membuf.target.filters.options import error_number, kinds, share, whole

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.target.target import Target

_TRANSFERS: Final = frozenset(("read", "write", "flush"))


class Error(Filter):
    """Ends transfers with an error instead of sending them on.

    Without `rate` and `after` none fails until `trigger` says so.

    Args:
        lower: the target below.
        kind: the errno they end with.
        rate: the share of transfers that fails, 0 to 1.
        after: so many transfers pass; all later ones fail.
        on: the kinds of transfers that can fail, among read, write, flush and control; all but
            control if absent: those are asked about the target, mostly before anything moves.
        seed: makes the choice the same every time.
        parent: the object whose deletion closes both.

    >>> import membuf
    >>> uri = "error(kind=enospc,after=1)+file:/dev/null"
    >>> with membuf.open_target(uri, access="write") as target:
    ...     count = target.write(b"hello")
    ...     target.write(b"hello")
    Traceback (most recent call last):
    ...
    membuf.TargetError: [Errno 28] injected by error+/dev/null: No space left on device
    """

    filter_name: ClassVar[str] = "error"
    options: ClassVar[Options] = {
        "kind": error_number,
        "rate": share,
        "after": whole,
        "on": kinds,
        "seed": whole,
    }

    def __init__(
        self,
        lower: Target,
        *,
        kind: int = errno.EIO,
        rate: float = 0.0,
        after: int | None = None,
        on: frozenset[str] = _TRANSFERS,
        seed: int | None = None,
        parent: Object | None = None,
    ) -> None:
        if not 0 <= rate <= 1:
            raise InvalidParameterError(f"rate must be 0 to 1; got {rate!r}")
        super().__init__(lower, parent=parent)
        self._kind, self._rate, self._after, self._on = kind, rate, after, on
        self._random = random.Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._seen = self._triggered = 0

    def trigger(self, count: int = 1) -> None:
        """Have the next `count` transfers fail, besides those that fail anyway."""
        with self._lock:
            self._triggered += count

    def steps(self, transfer: Transfer) -> Steps:
        """Fail it, or send it on."""
        if transfer.verb in self._on and self._fails():
            raise from_errno(self._kind, f"injected by {self.name}")
        return (yield transfer.down())

    def _fails(self) -> bool:
        with self._lock:
            self._seen += 1
            if self._triggered:
                self._triggered -= 1
                return True
            if self._after is not None and self._seen > self._after:
                return True
            return self._random.random() < self._rate

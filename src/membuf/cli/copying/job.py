"""What a copy is asked to do, what it tells on its way, and what it reports at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from membuf.cli.failure import Interrupted
from membuf.pool import PoolStatistics

STANDARD_STREAM = "-"
"""What the command line calls standard input and output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for.

    Attributes:
        source, destination: paths, or URIs of targets; "-" is standard input or output.
        block_size: bytes of a memory object.
        queue_depth: requests on their way at once.
        direct: bypass the page cache, where source and destination have one.
        sparse: True makes holes of zeros, None keeps the source's holes, False writes everything.
        verify: read the destination back and compare checksums.
        engine: "threads" or "io_uring".
        connections: to an NBD server; None: as many as gain something.

    >>> Job(source="disk.img", destination="-").block_size
    1048576
    """

    source: str
    destination: str
    block_size: int = 1 << 20
    queue_depth: int = 4
    direct: bool = False
    sparse: bool | None = None
    verify: bool = False
    engine: str = "threads"
    connections: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a copy did; it is made when the bytes are durable, and not before.

    Attributes:
        bytes: the length of the copy.
        bytes_written: of these, those that were written; the rest are holes.
        seconds: from the start to the durable end.
        durable: the system, or the server, promised that the bytes survive a crash; False for a
            pipe or terminal, which promises nothing.
        verified: the copy was read back, and the checksums agree.
        engines: what moved the bytes: of the source, of the destination.
        statistics: of the copy's own pool, when every memory object should be back.
        caveat: why it is not durable.
        connections: to servers: of the source, of the destination; None where there is no server.

    >>> from membuf import Domain
    >>> Result(
    ...     bytes=8192, bytes_written=4096, seconds=0.1, durable=True, verified=False,
    ...     engines=("threads", "threads"), statistics=Domain().statistics(),
    ... ).statistics.outstanding
    0
    """

    bytes: int
    bytes_written: int
    seconds: float
    durable: bool
    verified: bool
    engines: tuple[str, str]
    statistics: PoolStatistics
    caveat: str = ""
    connections: tuple[int | None, int | None] = (None, None)


class Stopped(Interrupted):
    """A signal ended a copy.

    Attributes:
        state: what its destination holds, in words; "" where it is what it was.
    """

    def __init__(self, number: int, state: str) -> None:
        super().__init__(number)
        self.state = state


class Watcher(Protocol):
    """Who wants to see how a copy gets on; called on the copy's threads, one at a time.

    >>> watcher: Watcher = Silent()
    """

    def begin(self, what: str, total: int | None) -> None:
        """A phase begins, with so many bytes to do; None: nobody knows how many."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""

    def tick(self) -> None:
        """Some time has passed: show what there is to show."""


class Silent:
    """A watcher that shows nothing.

    >>> Silent().advance(4096)
    """

    def begin(self, what: str, total: int | None) -> None:
        """Nothing is shown."""

    def advance(self, count: int) -> None:
        """Nothing is shown."""

    def tick(self) -> None:
        """Nothing is shown."""

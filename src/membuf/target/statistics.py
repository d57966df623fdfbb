"""What a target has done so far, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetStatistics:
    """Counters of a target since it was opened.

    Attributes:
        engine: the engine that moves the bytes.
        note: why it is not the engine one might expect, else "".
        reads, writes, flushes: transfers that have ended, well or not.
        bytes_read, bytes_written: what they moved.
        errors: transfers that the system ended with an error.
        cancelled: transfers that ended because they were cancelled.
        in_flight: transfers on their way now.
        peak_in_flight: the most that ever were.
        waiting: transfers that wait in the stopped target.
        controls: control requests and what else is no transfer, that have ended.

    >>> import membuf.bus
    >>> with membuf.bus.open_target("file:/dev/null", access="write") as target:
    ...     count = target.write(b"hello")
    ...     target.statistics().bytes_written
    5
    """

    engine: str
    note: str
    reads: int
    writes: int
    flushes: int
    bytes_read: int
    bytes_written: int
    errors: int
    cancelled: int
    in_flight: int
    peak_in_flight: int
    waiting: int
    controls: int = 0

    @property
    def transfers(self) -> int:
        """All transfers that have ended."""
        return self.reads + self.writes + self.flushes

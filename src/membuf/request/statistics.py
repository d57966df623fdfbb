"""What a queue or device has done so far, each as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.pool.statistics import LookasideStatistics


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Counters of a queue since it was made.

    Attributes:
        name: the queue's, or None.
        dispatch: how it presents.
        waiting: requests in it now.
        owned: requests that its driver has now.
        presented: requests that it gave to its driver, each time counted.
        completed: requests of it that are complete.
        cancelled: requests that ended in it because they were cancelled.

    >>> import membuf
    >>> device = membuf.Device("statistics-doc")
    >>> handler = device.on_write(lambda request: request.complete())
    >>> with device.open() as handle:
    ...     count = handle.write(b"x")
    >>> device.statistics().queues[0].completed
    1
    """

    name: str | None
    dispatch: str
    waiting: int
    owned: int
    presented: int
    completed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class DeviceStatistics:
    """Counters of a device.

    Attributes:
        queues: a record a queue, in the order they were made.
        system_buffers: a record a size class of system buffers.

    >>> import membuf
    >>> membuf.Device("no requests").statistics()
    DeviceStatistics(queues=(), system_buffers=())
    """

    queues: tuple[QueueStatistics, ...]
    system_buffers: tuple[LookasideStatistics, ...]

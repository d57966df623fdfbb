"""The states of a target and the ways to stop one, with the framework's numbers."""

from __future__ import annotations

import enum


class TargetState(enum.IntEnum):
    """What a target does with what is sent to it (WDF_IO_TARGET_STATE).

    >>> TargetState(2)
    <TargetState.STOPPED: 2>
    """

    STARTED = 1
    STOPPED = 2
    CLOSED_FOR_QUERY_REMOVE = 3
    CLOSED = 4
    DELETED = 5
    PURGED = 6


class StopAction(enum.IntEnum):
    """What becomes of the transfers on their way when a target stops.

    >>> import membuf.bus
    >>> with membuf.bus.open_target("file:/dev/null", access="write") as target:
    ...     target.stop(StopAction.WAIT)
    ...     target.state.name
    'STOPPED'
    """

    CANCEL = 1
    WAIT = 2
    LEAVE = 3

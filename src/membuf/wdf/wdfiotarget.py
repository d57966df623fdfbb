"""wdfiotarget.h: so far its enumerations."""

from enum import IntEnum

__all__ = [
    "WDF_IO_TARGET_OPEN_TYPE",
    "WDF_IO_TARGET_PURGE_IO_ACTION",
    "WDF_IO_TARGET_SENT_IO_ACTION",
    "WDF_IO_TARGET_STATE",
    "WdfIoTargetCancelSentIo",
    "WdfIoTargetClosed",
    "WdfIoTargetClosedForQueryRemove",
    "WdfIoTargetDeleted",
    "WdfIoTargetLeaveSentIoPending",
    "WdfIoTargetOpenByName",
    "WdfIoTargetOpenReopen",
    "WdfIoTargetOpenUndefined",
    "WdfIoTargetOpenUseExistingDevice",
    "WdfIoTargetPurgeIo",
    "WdfIoTargetPurgeIoAndWait",
    "WdfIoTargetPurgeIoUndefined",
    "WdfIoTargetPurged",
    "WdfIoTargetSentIoUndefined",
    "WdfIoTargetStarted",
    "WdfIoTargetStateUndefined",
    "WdfIoTargetStopped",
    "WdfIoTargetWaitForSentIoToComplete",
]


class WDF_IO_TARGET_STATE(IntEnum):
    """What a target does at the moment.

    >>> WDF_IO_TARGET_STATE.WdfIoTargetPurged.value
    6
    """

    WdfIoTargetStateUndefined = 0
    WdfIoTargetStarted = 1
    WdfIoTargetStopped = 2
    WdfIoTargetClosedForQueryRemove = 3
    WdfIoTargetClosed = 4
    WdfIoTargetDeleted = 5
    WdfIoTargetPurged = 6


class WDF_IO_TARGET_OPEN_TYPE(IntEnum):
    """What a target is opened by.

    >>> WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen.value
    3
    """

    WdfIoTargetOpenUndefined = 0
    WdfIoTargetOpenUseExistingDevice = 1
    WdfIoTargetOpenByName = 2
    WdfIoTargetOpenReopen = 3


class WDF_IO_TARGET_SENT_IO_ACTION(IntEnum):
    """What a stop does with requests that were sent.

    >>> WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetLeaveSentIoPending.value
    3
    """

    WdfIoTargetSentIoUndefined = 0
    WdfIoTargetCancelSentIo = 1
    WdfIoTargetWaitForSentIoToComplete = 2
    WdfIoTargetLeaveSentIoPending = 3


class WDF_IO_TARGET_PURGE_IO_ACTION(IntEnum):
    """What a purge waits for.

    >>> WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIo.value
    2
    """

    WdfIoTargetPurgeIoUndefined = 0
    WdfIoTargetPurgeIoAndWait = 1
    WdfIoTargetPurgeIo = 2


WdfIoTargetStateUndefined = WDF_IO_TARGET_STATE.WdfIoTargetStateUndefined
WdfIoTargetStarted = WDF_IO_TARGET_STATE.WdfIoTargetStarted
WdfIoTargetStopped = WDF_IO_TARGET_STATE.WdfIoTargetStopped
WdfIoTargetClosedForQueryRemove = WDF_IO_TARGET_STATE.WdfIoTargetClosedForQueryRemove
WdfIoTargetClosed = WDF_IO_TARGET_STATE.WdfIoTargetClosed
WdfIoTargetDeleted = WDF_IO_TARGET_STATE.WdfIoTargetDeleted
WdfIoTargetPurged = WDF_IO_TARGET_STATE.WdfIoTargetPurged

WdfIoTargetOpenUndefined = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenUndefined
WdfIoTargetOpenUseExistingDevice = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenUseExistingDevice
WdfIoTargetOpenByName = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenByName
WdfIoTargetOpenReopen = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen

WdfIoTargetSentIoUndefined = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetSentIoUndefined
WdfIoTargetCancelSentIo = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetCancelSentIo
WdfIoTargetWaitForSentIoToComplete = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetWaitForSentIoToComplete
WdfIoTargetLeaveSentIoPending = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetLeaveSentIoPending

WdfIoTargetPurgeIoUndefined = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIoUndefined
WdfIoTargetPurgeIoAndWait = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIoAndWait
WdfIoTargetPurgeIo = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIo

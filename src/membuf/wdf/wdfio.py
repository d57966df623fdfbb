"""wdfio.h: so far its enumerations."""

from enum import IntEnum

__all__ = [
    "WDF_IO_QUEUE_DISPATCH_TYPE",
    "WDF_IO_QUEUE_STATE",
    "WdfIoQueueAcceptRequests",
    "WdfIoQueueDispatchInvalid",
    "WdfIoQueueDispatchManual",
    "WdfIoQueueDispatchParallel",
    "WdfIoQueueDispatchRequests",
    "WdfIoQueueDispatchSequential",
    "WdfIoQueueDriverNoRequests",
    "WdfIoQueueNoRequests",
    "WdfIoQueuePnpHeld",
]


class WDF_IO_QUEUE_DISPATCH_TYPE(IntEnum):
    """How a queue presents its requests.

    >>> WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchManual.value
    3
    """

    WdfIoQueueDispatchInvalid = 0
    WdfIoQueueDispatchSequential = 1
    WdfIoQueueDispatchParallel = 2
    WdfIoQueueDispatchManual = 3


class WDF_IO_QUEUE_STATE(IntEnum):
    """What a queue does at the moment; the values are or-ed.

    >>> WDF_IO_QUEUE_STATE.WdfIoQueuePnpHeld.value
    16
    """

    WdfIoQueueAcceptRequests = 0x1
    WdfIoQueueDispatchRequests = 0x2
    WdfIoQueueNoRequests = 0x4
    WdfIoQueueDriverNoRequests = 0x8
    WdfIoQueuePnpHeld = 0x10


WdfIoQueueDispatchInvalid = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchInvalid
WdfIoQueueDispatchSequential = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchSequential
WdfIoQueueDispatchParallel = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchParallel
WdfIoQueueDispatchManual = WDF_IO_QUEUE_DISPATCH_TYPE.WdfIoQueueDispatchManual

WdfIoQueueAcceptRequests = WDF_IO_QUEUE_STATE.WdfIoQueueAcceptRequests
WdfIoQueueDispatchRequests = WDF_IO_QUEUE_STATE.WdfIoQueueDispatchRequests
WdfIoQueueNoRequests = WDF_IO_QUEUE_STATE.WdfIoQueueNoRequests
WdfIoQueueDriverNoRequests = WDF_IO_QUEUE_STATE.WdfIoQueueDriverNoRequests
WdfIoQueuePnpHeld = WDF_IO_QUEUE_STATE.WdfIoQueuePnpHeld

"""I/O requests: devices that receive them, and requests of one's own, sent to a target."""

from membuf.request.completion import CompletionParams, RequestType
from membuf.request.device import Device, find_device
from membuf.request.disk import Disk
from membuf.request.files import FileObject
from membuf.request.io_type import BUFFERED, DIRECT, NEITHER, IoType
from membuf.request.ioctl import ControlCode
from membuf.request.irp import Irp
from membuf.request.queue import Queue
from membuf.request.queue_state import QueueState
from membuf.request.received import ReceivedRequest
from membuf.request.request import Request
from membuf.request.statistics import DeviceStatistics, QueueStatistics
from membuf.request.storage import Extent

__all__ = [
    "BUFFERED",
    "DIRECT",
    "NEITHER",
    "CompletionParams",
    "ControlCode",
    "Device",
    "DeviceStatistics",
    "Disk",
    "Extent",
    "FileObject",
    "IoType",
    "Irp",
    "Queue",
    "QueueState",
    "QueueStatistics",
    "ReceivedRequest",
    "Request",
    "RequestType",
    "find_device",
]

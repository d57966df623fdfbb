"""The NBD protocol's numbers and structures; everything on the wire is big-endian.

Source: the NBD project's protocol document (doc/proto.md), newstyle-fixed negotiation.
"""

from __future__ import annotations

import enum
import errno
import struct
from typing import Final

from membuf.base import status as st

# ---- negotiation ---------------------------------------------------------------------------------

GREETING: Final = struct.Struct(">8s8sH")
NBD_MAGIC: Final = b"NBDMAGIC"
OPTION_MAGIC: Final = b"IHAVEOPT"
CLIENT_FLAGS: Final = struct.Struct(">I")
OPTION: Final = struct.Struct(">8sII")
"""Magic, option, length of the data that follows."""
OPTION_REPLY: Final = struct.Struct(">QIII")
"""Magic, option, type, length."""
OPTION_REPLY_MAGIC: Final = 0x0003E889045565A9
EXPORT: Final = struct.Struct(">QH")
"""Size and transmission flags."""

FIXED_NEWSTYLE: Final = 1
NO_ZEROES: Final = 2

LARGEST_NAME: Final = 4096
LARGEST_OPTION: Final = 65536
"""No option that a client has reason to send is longer; whoever sends one is cut off."""


class Option(enum.IntEnum):
    """What a client can ask while it negotiates."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10
    EXTENDED_HEADERS = 11


class Reply(enum.IntEnum):
    """What a server answers to an option; from ERROR on it is a refusal."""

    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERROR = 0x8000_0000
    ERR_UNSUP = 0x8000_0001
    ERR_POLICY = 0x8000_0002
    ERR_INVALID = 0x8000_0003
    ERR_PLATFORM = 0x8000_0004
    ERR_TLS_REQD = 0x8000_0005
    ERR_UNKNOWN = 0x8000_0006
    ERR_SHUTDOWN = 0x8000_0007
    ERR_BLOCK_SIZE_REQD = 0x8000_0008
    ERR_TOO_BIG = 0x8000_0009


class Info(enum.IntEnum):
    """The pieces of information of INFO and GO."""

    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


EXPORT_INFO: Final = struct.Struct(">HQH")
BLOCK_SIZES: Final = struct.Struct(">HIII")

ALLOCATION: Final = "base:allocation"
"""The one metadata context there is: which parts hold data."""


class Flag(enum.IntFlag):
    """What an export can do (transmission flags).

    >>> Flag(5)
    <Flag.HAS_FLAGS|SEND_FLUSH: 5>
    """

    HAS_FLAGS = 1
    READ_ONLY = 2
    SEND_FLUSH = 4
    SEND_FUA = 8
    ROTATIONAL = 16
    SEND_TRIM = 32
    SEND_WRITE_ZEROES = 64
    SEND_DF = 128
    CAN_MULTI_CONN = 256
    SEND_RESIZE = 512
    SEND_CACHE = 1024
    SEND_FAST_ZERO = 2048


# ---- transmission --------------------------------------------------------------------------------

REQUEST: Final = struct.Struct(">IHHQQI")
"""Magic, flags, type, cookie, offset, length."""
REQUEST_MAGIC: Final = 0x25609513
SIMPLE_REPLY: Final = struct.Struct(">IIQ")
"""Magic, error, cookie."""
SIMPLE_REPLY_MAGIC: Final = 0x67446698
CHUNK: Final = struct.Struct(">IHHQI")
"""Magic, flags, type, cookie, length."""
CHUNK_MAGIC: Final = 0x668E33EF
CHUNK_DONE: Final = 1

LARGEST_PAYLOAD: Final = 32 << 20
"""Bytes of a read or write that every server takes."""


class Command(enum.IntEnum):
    """What a client asks of an export."""

    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(enum.IntFlag):
    """How it is to be done."""

    FUA = 1
    NO_HOLE = 2
    DF = 4
    REQ_ONE = 8
    FAST_ZERO = 16


class Chunk(enum.IntEnum):
    """The kinds of chunks of a structured reply; from ERROR on it is a failure."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 0x8001
    ERROR_OFFSET = 0x8002


HOLE: Final = 1
ZERO: Final = 2
"""The flags of a run of bytes in the allocation context."""
EXTENT: Final = struct.Struct(">II")
"""Length and flags."""

# ---- errors --------------------------------------------------------------------------------------

ENOTSUP: Final = 95
ESHUTDOWN: Final = 108

ERRORS: Final = {
    errno.EPERM: "EPERM",
    errno.EIO: "EIO",
    errno.ENOMEM: "ENOMEM",
    errno.EINVAL: "EINVAL",
    errno.ENOSPC: "ENOSPC",
    errno.EOVERFLOW: "EOVERFLOW",
    ENOTSUP: "ENOTSUP",
    ESHUTDOWN: "ESHUTDOWN",
}
"""The errors that the wire knows, by their number there, which is Linux's."""

_ERROR_OF_STATUS: Final = {
    st.STATUS_ACCESS_DENIED: errno.EPERM,
    st.STATUS_MEDIA_WRITE_PROTECTED: errno.EPERM,
    st.STATUS_INSUFFICIENT_RESOURCES: errno.ENOMEM,
    st.STATUS_WORKING_SET_QUOTA: errno.ENOMEM,
    st.STATUS_INVALID_PARAMETER: errno.EINVAL,
    st.STATUS_INVALID_BUFFER_SIZE: errno.EINVAL,
    st.STATUS_INTEGER_OVERFLOW: errno.EINVAL,
    st.STATUS_DISK_FULL: errno.ENOSPC,
    st.STATUS_NOT_SUPPORTED: ENOTSUP,
    st.STATUS_INVALID_DEVICE_REQUEST: ENOTSUP,
    st.STATUS_INVALID_DEVICE_STATE: ESHUTDOWN,
    st.STATUS_NO_SUCH_DEVICE: ESHUTDOWN,
    st.STATUS_DELETE_PENDING: ESHUTDOWN,
    st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT: ESHUTDOWN,
}


def error_of(status: int) -> int:
    """The error on the wire for a status that is not success.

    >>> ERRORS[error_of(st.STATUS_DISK_FULL)], ERRORS[error_of(st.STATUS_UNSUCCESSFUL)]
    ('ENOSPC', 'EIO')
    """
    return _ERROR_OF_STATUS.get(st.Status(status), errno.EIO)


_ERRNO_OF_ERROR: Final = {ENOTSUP: errno.EOPNOTSUPP, ESHUTDOWN: errno.ESHUTDOWN}


def errno_of_error(error: int) -> int:
    """The errno for an error on the wire; what the wire does not know is EINVAL there.

    >>> errno_of_error(28) == errno.ENOSPC, errno_of_error(4711) == errno.EINVAL
    (True, True)
    """
    if error not in ERRORS:
        return errno.EINVAL
    return _ERRNO_OF_ERROR.get(error, error)

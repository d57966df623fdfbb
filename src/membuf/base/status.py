"""NTSTATUS values: the numbers of the public headers, each printing its own name.

A status is what a call answers inside membuf and in `membuf.wdf`. At the Python face it travels as
the `.status` of an exception (see `membuf.base.errors`).
"""

from __future__ import annotations

import operator
from typing import Final, Self, SupportsIndex

_BITS = 0xFFFF_FFFF
_FIRST_INFORMATION = 0x4000_0000
_FIRST_WARNING = 0x8000_0000
_FIRST_ERROR = 0xC000_0000


class Status(int):
    """An NTSTATUS: an unsigned 32-bit number that prints its name.

    Args:
        value: the number; a negative one is read as the signed 32-bit form that C debuggers show.

    Raises:
        OverflowError: the number does not fit 32 bits.

    >>> Status(0xC000000D)
    STATUS_INVALID_PARAMETER (0xC000000D)
    >>> Status(-1073741811) == STATUS_INVALID_PARAMETER == 0xC000000D
    True
    >>> Status(0x12345678).name
    '0x12345678'
    """

    __slots__ = ()

    def __new__(cls, value: SupportsIndex = 0) -> Self:
        """Read a number in its signed or unsigned form."""
        number = operator.index(value)
        if not -0x8000_0000 <= number <= _BITS:
            raise OverflowError(f"an NTSTATUS has 32 bits; got {number:#x}")
        return super().__new__(cls, number & _BITS)

    @property
    def name(self) -> str:
        """The name of the public headers, or the number in hexadecimal where they have none."""
        return _NAMES.get(int(self), f"0x{int(self):08X}")

    def __repr__(self) -> str:
        name, number = self.name, f"0x{int(self):08X}"
        return number if name == number else f"{name} ({number})"

    __str__ = __repr__


def nt_success(status: int) -> bool:
    """Whether a status means success or information (below 0x80000000).

    >>> nt_success(STATUS_OBJECT_NAME_EXISTS), nt_success(STATUS_BUFFER_OVERFLOW)
    (True, False)
    """
    return Status(status) < _FIRST_WARNING


def nt_information(status: int) -> bool:
    """Whether a status is informational (0x4... to 0x7...).

    >>> nt_information(STATUS_OBJECT_NAME_EXISTS), nt_information(STATUS_SUCCESS)
    (True, False)
    """
    return _FIRST_INFORMATION <= Status(status) < _FIRST_WARNING


def nt_warning(status: int) -> bool:
    """Whether a status is a warning (0x8... to 0xB...).

    >>> nt_warning(STATUS_BUFFER_OVERFLOW), nt_warning(STATUS_CANCELLED)
    (True, False)
    """
    return _FIRST_WARNING <= Status(status) < _FIRST_ERROR


def nt_error(status: int) -> bool:
    """Whether a status is an error (0xC0000000 and above).

    >>> nt_error(STATUS_CANCELLED), nt_error(STATUS_BUFFER_OVERFLOW)
    (True, False)
    """
    return Status(status) >= _FIRST_ERROR


STATUS_SUCCESS: Final = Status(0x00000000)
STATUS_TIMEOUT: Final = Status(0x00000102)
STATUS_PENDING: Final = Status(0x00000103)
STATUS_MORE_ENTRIES: Final = Status(0x00000105)
STATUS_OBJECT_NAME_EXISTS: Final = Status(0x40000000)
STATUS_WDF_QUEUED: Final = Status(0x40200000)
STATUS_WDF_POSTED: Final = Status(0x40200002)
STATUS_BUFFER_OVERFLOW: Final = Status(0x80000005)
STATUS_DEVICE_BUSY: Final = Status(0x80000011)
STATUS_NO_MORE_ENTRIES: Final = Status(0x8000001A)
STATUS_UNSUCCESSFUL: Final = Status(0xC0000001)
STATUS_INFO_LENGTH_MISMATCH: Final = Status(0xC0000004)
STATUS_ACCESS_VIOLATION: Final = Status(0xC0000005)
STATUS_INVALID_HANDLE: Final = Status(0xC0000008)
STATUS_INVALID_PARAMETER: Final = Status(0xC000000D)
STATUS_NO_SUCH_DEVICE: Final = Status(0xC000000E)
STATUS_INVALID_DEVICE_REQUEST: Final = Status(0xC0000010)
STATUS_END_OF_FILE: Final = Status(0xC0000011)
STATUS_MORE_PROCESSING_REQUIRED: Final = Status(0xC0000016)
STATUS_ACCESS_DENIED: Final = Status(0xC0000022)
STATUS_BUFFER_TOO_SMALL: Final = Status(0xC0000023)
STATUS_OBJECT_NAME_INVALID: Final = Status(0xC0000033)
STATUS_OBJECT_NAME_NOT_FOUND: Final = Status(0xC0000034)
STATUS_OBJECT_NAME_COLLISION: Final = Status(0xC0000035)
STATUS_OBJECT_PATH_INVALID: Final = Status(0xC0000039)
STATUS_DELETE_PENDING: Final = Status(0xC0000056)
STATUS_DISK_FULL: Final = Status(0xC000007F)
STATUS_INTEGER_OVERFLOW: Final = Status(0xC0000095)
STATUS_INSUFFICIENT_RESOURCES: Final = Status(0xC000009A)
STATUS_WORKING_SET_QUOTA: Final = Status(0xC00000A1)
STATUS_MEDIA_WRITE_PROTECTED: Final = Status(0xC00000A2)
STATUS_IO_TIMEOUT: Final = Status(0xC00000B5)
STATUS_FILE_IS_A_DIRECTORY: Final = Status(0xC00000BA)
STATUS_NOT_SUPPORTED: Final = Status(0xC00000BB)
STATUS_REQUEST_NOT_ACCEPTED: Final = Status(0xC00000D0)
STATUS_INTERNAL_ERROR: Final = Status(0xC00000E5)
STATUS_INVALID_USER_BUFFER: Final = Status(0xC00000E8)
STATUS_INVALID_PARAMETER_1: Final = Status(0xC00000EF)
STATUS_INVALID_PARAMETER_2: Final = Status(0xC00000F0)
STATUS_INVALID_PARAMETER_3: Final = Status(0xC00000F1)
STATUS_INVALID_PARAMETER_4: Final = Status(0xC00000F2)
STATUS_INVALID_PARAMETER_5: Final = Status(0xC00000F3)
STATUS_NOT_A_DIRECTORY: Final = Status(0xC0000103)
STATUS_CANCELLED: Final = Status(0xC0000120)
STATUS_CANNOT_DELETE: Final = Status(0xC0000121)
STATUS_PIPE_BROKEN: Final = Status(0xC000014B)
STATUS_INVALID_DEVICE_STATE: Final = Status(0xC0000184)
STATUS_IO_DEVICE_ERROR: Final = Status(0xC0000185)
STATUS_INVALID_BUFFER_SIZE: Final = Status(0xC0000206)
STATUS_NOT_FOUND: Final = Status(0xC0000225)
STATUS_WDF_NO_PACKAGE: Final = Status(0xC0200200)
STATUS_WDF_INTERNAL_ERROR: Final = Status(0xC0200201)
STATUS_WDF_PAUSED: Final = Status(0xC0200203)
STATUS_WDF_BUSY: Final = Status(0xC0200204)
STATUS_WDF_IO_TIMEOUT_NOT_SENT: Final = Status(0xC0200205)
STATUS_WDF_DEVICE_REMOVED_NOT_SENT: Final = Status(0xC0200206)
STATUS_WDF_REQUEST_ALREADY_PENDING: Final = Status(0xC0200207)
STATUS_WDF_REQUEST_INVALID_STATE: Final = Status(0xC0200208)
STATUS_WDF_OBJECT_ATTRIBUTES_INVALID: Final = Status(0xC0200209)
STATUS_WDF_TOO_FRAGMENTED: Final = Status(0xC020020A)
STATUS_WDF_NO_CALLBACK: Final = Status(0xC020020B)
STATUS_WDF_PARENT_ALREADY_ASSIGNED: Final = Status(0xC020020D)
STATUS_WDF_PARENT_IS_SELF: Final = Status(0xC020020E)
STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED: Final = Status(0xC020020F)
STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID: Final = Status(0xC0200210)
STATUS_WDF_EXECUTION_LEVEL_INVALID: Final = Status(0xC0200211)
STATUS_WDF_PARENT_NOT_SPECIFIED: Final = Status(0xC0200212)
STATUS_WDF_TOO_MANY_TRANSFERS: Final = Status(0xC0200213)
STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS: Final = Status(0xC0200214)

_NAMES: Final[dict[int, str]] = {
    int(value): name for name, value in list(globals().items()) if isinstance(value, Status)
}

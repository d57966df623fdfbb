"""What a disk is asked besides reading and writing: control codes, and their bytes' layout.

The codes and structures are those of the public headers, so that a driver that answers them there
is a disk here, and a target that takes them is asked in the same way whatever it is. ::

    GET_LENGTH   IOCTL_DISK_GET_LENGTH_INFO               out: u64 bytes
    IS_WRITABLE  IOCTL_DISK_IS_WRITABLE                   MEDIA_WRITE_PROTECTED where it is not
    TRIM         IOCTL_STORAGE_MANAGE_DATA_SET_ATTRIBUTES in: action 1 and ranges
    ZERO         FSCTL_SET_ZERO_DATA                      in: u64 first, u64 beyond the last
    ALLOCATED    FSCTL_QUERY_ALLOCATED_RANGES             in: u64 offset, u64 length; out: the same,
                                                          of each part that may hold data

Whether a code is known is asked with an empty range: that changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, from_status
from membuf.base.integers import exact_index
from membuf.request.ioctl import WRITE_ACCESS

GET_LENGTH: Final = 0x0007405C
IS_WRITABLE: Final = 0x00070024
TRIM: Final = 0x002D9404
ZERO: Final = 0x000980C8
ALLOCATED: Final = 0x000940CF
DESCRIBING: Final = (GET_LENGTH, IS_WRITABLE)

_LENGTH: Final = struct.Struct("<Q")
_RANGE: Final = struct.Struct("<QQ")
_ATTRIBUTES: Final = struct.Struct("<7I")  # DEVICE_MANAGE_DATA_SET_ATTRIBUTES
_ACTION_TRIM: Final = 1
_RANGES_AT: Final = 32  # the ranges' alignment of 8 bytes leaves 4 behind the header


class Extent(NamedTuple):
    """A run of bytes that is all data or all hole.

    Attributes:
        offset, length: where it lies, in bytes.
        data: False for a hole, which reads as zeros and occupies nothing.

    >>> import tempfile, membuf.bus
    >>> with tempfile.TemporaryFile() as file:
    ...     count = file.truncate(65536)
    ...     with membuf.bus.open_target(f"fd:{file.fileno()}") as target:
    ...         list(target.extents())
    [Extent(offset=0, length=65536, data=False)]
    """

    offset: int
    length: int
    data: bool


class Range(NamedTuple):
    """Some bytes of a disk.

    Attributes:
        offset, length: where they lie, in bytes.
    """

    offset: int
    length: int


def exact_range(offset: SupportsIndex, length: SupportsIndex) -> Range:
    """A range of what are integers, as a control request can name it.

    Raises:
        InvalidParameterError: it begins before 0, has less than no bytes, or ends beyond 2**63.
        TypeError: they are no integers.

    >>> exact_range(4096, 0)
    Range(offset=4096, length=0)
    """
    found = Range(exact_index(offset, "offset"), exact_index(length, "length"))
    if found.offset < 0 or found.length < 0 or (found.offset + found.length) >> 63:
        raise InvalidParameterError(
            f"a range of bytes lies within 0 to 2**63; got {found.length} bytes at {found.offset}",
            operands={"offset": found.offset, "needed": found.length},
        )
    return found


def part_of(size: int, offset: SupportsIndex, length: SupportsIndex | None) -> tuple[int, int]:
    """Where a part of a disk begins and ends; without a length it reaches to the disk's end.

    >>> part_of(8192, 4096, None), part_of(8192, 4096, 1 << 20)
    ((4096, 8192), (4096, 8192))
    """
    found = exact_range(offset, 0 if length is None else length)
    end = size if length is None else min(size, found.offset + found.length)
    return found.offset, end


def changes(code: int) -> bool:
    """Whether a control code asks for the right to write."""
    return bool(code >> 14 & WRITE_ACCESS)


# ---- input ---------------------------------------------------------------------------------------


def trim_input(ranges: Iterable[Range]) -> bytes:
    """The input of TRIM.

    >>> trim_input([Range(4096, 512)]).hex(" ", 8)[-35:]
    '0010000000000000 0002000000000000'
    """
    packed = b"".join(_RANGE.pack(*one) for one in ranges)
    size = _ATTRIBUTES.size
    head = _ATTRIBUTES.pack(size, _ACTION_TRIM, 0, 0, 0, _RANGES_AT, len(packed))
    return head + bytes(_RANGES_AT - size) + packed


def zero_input(range: Range) -> bytes:
    """The input of ZERO."""
    return _RANGE.pack(range.offset, range.offset + range.length)


def allocated_input(range: Range) -> bytes:
    """The input of ALLOCATED."""
    return _RANGE.pack(*range)


def ranges_of(code: int, data: bytes) -> list[Range]:
    """The ranges that the input of TRIM, ZERO or ALLOCATED names.

    Raises:
        InvalidParameterError: the input is not laid out as it has to be.

    >>> ranges_of(ZERO, zero_input(Range(10, 5)))
    [Range(offset=10, length=5)]
    >>> ranges_of(TRIM, trim_input([Range(0, 1), Range(4, 2)]))
    [Range(offset=0, length=1), Range(offset=4, length=2)]
    """
    if code == TRIM:
        return _trimmed(data)
    if len(data) < _RANGE.size:
        raise _malformed(code, data)
    first, second = _RANGE.unpack_from(data)
    length = second - first if code == ZERO else second
    if length < 0 or first + length >> 63:
        raise _malformed(code, data)
    return [Range(first, length)]


def _trimmed(data: bytes) -> list[Range]:
    if len(data) < _ATTRIBUTES.size:
        raise _malformed(TRIM, data)
    _, action, _, _, _, start, length = _ATTRIBUTES.unpack_from(data)
    if action != _ACTION_TRIM:
        raise from_status(
            st.STATUS_NOT_SUPPORTED, f"of the data set actions only trim is known; got {action:#x}"
        )
    if start + length > len(data) or length % _RANGE.size:
        raise _malformed(TRIM, data)
    ranges = [Range(*pair) for pair in _RANGE.iter_unpack(data[start : start + length])]
    if not ranges or any(offset + length >> 63 for offset, length in ranges):
        raise _malformed(TRIM, data)
    return ranges


def _malformed(code: int, data: bytes) -> InvalidParameterError:
    return InvalidParameterError(
        f"the input of control code {code:#x} names no ranges of bytes; got {len(data)} bytes",
        operands={"code": code, "available": len(data)},
    )


# ---- output --------------------------------------------------------------------------------------


def length_output(size: int) -> bytes:
    """The output of GET_LENGTH."""
    return _LENGTH.pack(size)


def length_of(data: bytes | bytearray) -> int:
    """The bytes of a disk, from the output of GET_LENGTH.

    >>> length_of(length_output(4096))
    4096
    """
    if len(data) < _LENGTH.size:
        raise from_status(
            st.STATUS_INVALID_BUFFER_SIZE, f"a disk's length has 8 bytes; got {len(data)}"
        )
    size: int = _LENGTH.unpack_from(data)[0]
    return size


def allocated_output(extents: Iterable[Extent], asked: Range, room: int) -> tuple[bytes, bool]:
    r"""The output of ALLOCATED within `room` bytes, and whether all of it fits.

    >>> allocated_output([Extent(0, 8, True), Extent(8, 8, False)], Range(4, 12), 16)
    (b'\x04\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00', True)
    """
    packed: list[bytes] = []
    for start, stop in _data_runs(extents, asked):
        if (len(packed) + 1) * _RANGE.size > room:
            return b"".join(packed), False
        packed.append(_RANGE.pack(start, stop - start))
    return b"".join(packed), True


def _data_runs(extents: Iterable[Extent], asked: Range) -> Iterator[tuple[int, int]]:
    """The runs of data inside what was asked for, neighbours joined.

    Raises:
        InvalidParameterError: they are not in order: what follows would be taken for a hole.
    """
    begin, end = asked.offset, asked.offset + asked.length
    start = stop = -1
    for extent in extents:
        first, last = max(extent.offset, begin), min(extent.offset + extent.length, end)
        if not extent.data or first >= last:
            continue
        if first < start:
            raise InvalidParameterError(f"extents go from the first to the last; got {extent}")
        if first <= stop:
            stop = max(stop, last)
            continue
        if start >= 0:
            yield start, stop
        start, stop = first, last
    if start >= 0:
        yield start, stop


def extents_of(data: bytes | bytearray, asked: Range, *, whole: bool) -> Iterator[Extent]:
    """Data and holes, from the output of ALLOCATED.

    Args:
        data: the output.
        asked: what was asked for.
        whole: whether it is all of the answer; otherwise what lies behind the last run is not told.

    >>> list(extents_of(allocated_input(Range(4, 4)), Range(0, 16), whole=True))
    [Extent(offset=0, length=4, data=False), Extent(offset=4, length=4, data=True), \
Extent(offset=8, length=8, data=False)]
    """
    here, end = asked.offset, asked.offset + asked.length
    for offset, length in _RANGE.iter_unpack(data[: len(data) // _RANGE.size * _RANGE.size]):
        first, last = max(offset, here), min(offset + length, end)
        if first >= last:
            continue
        if first > here:
            yield Extent(here, first - here, data=False)
        yield Extent(first, last - first, data=True)
        here = last
    if whole and here < end:
        yield Extent(here, end - here, data=False)


# ---- carrying out --------------------------------------------------------------------------------


class Described(Protocol):
    """What can be asked of every disk."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def writable(self) -> bool:
        """Whether it can be written."""
        ...


class Storage(Described, Protocol):
    """What carries out the control codes of a disk."""

    def discard(self, range: Range) -> None:
        """The bytes are not needed any more; what they read as afterwards is not said."""

    def clear(self, range: Range) -> None:
        """Have the bytes read as zeros."""

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        """The data and the holes of a part."""
        ...


def perform(disk: Storage, code: int, data: bytes, room: int) -> tuple[bytes, st.Status]:
    """Carry out a control request on what stores the bytes.

    Args:
        disk: what stores them.
        code: the control code.
        data: the input.
        room: how long the output may be.

    Returns:
        The output, and SUCCESS or BUFFER_OVERFLOW where there would be more.

    Raises:
        MembufError: INVALID_DEVICE_REQUEST: no such code; or what the work ended with.
    """
    if code in DESCRIBING:
        return describe(disk, code, room), st.STATUS_SUCCESS
    if code not in (TRIM, ZERO, ALLOCATED):
        raise from_status(
            st.STATUS_INVALID_DEVICE_REQUEST,
            f"{disk!r} does not take the control code {code:#x}",
            {"code": code},
        )
    ranges = [check_range(disk, one) for one in ranges_of(code, data)]
    if code == ALLOCATED:
        return _allocated(disk, ranges[0], room)
    check_writable(disk)
    for one in ranges:
        (disk.discard if code == TRIM else disk.clear)(one)
    return b"", st.STATUS_SUCCESS


def describe(disk: Described, code: int, room: int) -> bytes:
    """The answer to GET_LENGTH or IS_WRITABLE.

    Raises:
        BufferTooSmallError: it does not fit.
        MembufError: MEDIA_WRITE_PROTECTED: it takes no writes.
    """
    if code == IS_WRITABLE:
        check_writable(disk)
        return b""
    return _fitting(length_output(disk.size), room)


def check_writable(disk: Described) -> None:
    """Refuse to change what takes no writes."""
    if not disk.writable:
        raise from_status(st.STATUS_MEDIA_WRITE_PROTECTED, f"{disk!r} takes no writes")


def check_range(disk: Described, range: Range) -> Range:
    """Refuse a range that is not inside the disk.

    Raises:
        InvalidParameterError: it is not.
    """
    if range.offset + range.length > disk.size:
        raise InvalidParameterError(
            f"{range.length} bytes at {range.offset} do not lie inside the {disk.size} bytes of "
            f"{disk!r}",
            operands={"offset": range.offset, "needed": range.length, "available": disk.size},
        )
    return range


def _allocated(disk: Storage, range: Range, room: int) -> tuple[bytes, st.Status]:
    return allocated_answer(disk.extents(*range) if range.length else (), range, room)


def allocated_answer(extents: Iterable[Extent], range: Range, room: int) -> tuple[bytes, st.Status]:
    """The answer to ALLOCATED: what fits of it, and the status that says whether that is all.

    Raises:
        BufferTooSmallError: not even one range fits.
    """
    output, whole = allocated_output(extents, range, room)
    if not whole and not output:
        raise from_status(
            st.STATUS_BUFFER_TOO_SMALL,
            f"a range takes {_RANGE.size} bytes of output; there are {room}",
            {"needed": _RANGE.size, "available": room},
        )
    return output, st.STATUS_SUCCESS if whole else st.STATUS_BUFFER_OVERFLOW


def _fitting(output: bytes, room: int) -> bytes:
    if len(output) > room:
        raise from_status(
            st.STATUS_BUFFER_TOO_SMALL,
            f"the answer has {len(output)} bytes; there is room for {room}",
            {"needed": len(output), "available": room},
        )
    return output

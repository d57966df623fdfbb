"""Disks: devices with a size, whose drivers need not check what reaches them.

    read, write --> inside the disk, whole blocks, may be written? --> the driver's handlers
    flush       --> on_flush, or done at once where there is none
    controls    --> of a disk: on_trim, on_zero, on_extents; all others: on_ioctl

Source: the control codes that `membuf.request.storage` lists.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast

from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.base.integers import exact_index
from membuf.request import storage
from membuf.request.completion import RequestType
from membuf.request.device import Device
from membuf.request.io_type import BUFFERED, IoType
from membuf.request.storage import Extent, Range

if TYPE_CHECKING:
    from membuf.request.handlers import H
    from membuf.request.irp import Irp
    from membuf.request.received import ReceivedRequest

OnRange = Callable[[int, int], object]
OnExtents = Callable[[int, int], Iterable[Extent] | Awaitable[Iterable[Extent]]]
F = TypeVar("F", bound=Callable[..., object])

_READ, _WRITE, _FLUSH = RequestType.READ, RequestType.WRITE, RequestType.FLUSH
_CONTROL = RequestType.DEVICE_CONTROL
_LARGEST_BLOCK = 65536


class Disk(Device):
    """A device that is a disk: it can be served, copied, and put a filter over.

    What does not lie inside it, is no whole number of blocks, or writes to a disk that takes no
    writes, ends before its driver sees it.

    Args:
        name: what `device:` targets call it.
        size: its bytes, a multiple of `block_size`.
        io_type: how reads and writes bring their bytes: `BUFFERED`, `DIRECT` or `NEITHER`.
        block_size: what offsets and lengths are multiples of, a power of two up to 64 KiB.
        preferred_size: the transfer that suits it best, in bytes, a power of two.
        readonly: whether it takes no writes.
        write_through: whether its `on_write` obeys `request.write_through`; for another, a flush
            follows where a write is to be durable.
        options: as of any `Device`.

    >>> store = bytearray(1 << 20)
    >>> disk = Disk("disk-doc", size=len(store), block_size=512)
    >>> @disk.on_read
    ... def read(request):
    ...     end = request.offset + request.length
    ...     request.output_memory().copy_from(memoryview(store)[request.offset:end])
    ...     request.complete(information=request.length)
    >>> import membuf
    >>> with membuf.open_target("device:disk-doc") as target:
    ...     target.size, target.read(bytearray(512), 4096)
    (1048576, 512)
    """

    __slots__ = (
        "_on_extents",
        "_on_ioctl",
        "_on_trim",
        "_on_zero",
        "block_size",
        "preferred_size",
        "readonly",
        "size",
        "write_through",
    )

    def __init__(
        self,
        name: str | None = None,
        io_type: IoType = BUFFERED,
        *,
        size: SupportsIndex,
        block_size: SupportsIndex = 1,
        preferred_size: SupportsIndex = 4096,
        readonly: bool = False,
        write_through: bool = False,
        **options: Any,
    ) -> None:
        self.block_size = _power(block_size, "block_size", _LARGEST_BLOCK)
        self.preferred_size = max(_power(preferred_size, "preferred_size", 1 << 25), 512)
        self.size = exact_index(size, "size")
        if self.size < 0 or self.size >> 63 or self.size % self.block_size:
            raise InvalidParameterError(
                f"size must be a multiple of block_size {self.block_size} below 2**63; "
                f"got {self.size}",
                operands={"size": self.size},
            )
        self.readonly, self.write_through = readonly, write_through
        self._on_trim: OnRange | None = None
        self._on_zero: OnRange | None = None
        self._on_extents: OnExtents | None = None
        self._on_ioctl: Callable[[Any], object] | None = None
        super().__init__(name, io_type, **options)
        self._handlers[_CONTROL] = _control
        self._handlers[_FLUSH] = _flushed

    # ---- callbacks ------------------------------------------------------------------------------

    def on_flush(self, handler: H) -> H:
        """Have `handler(request)` called where what was written is to be made durable.

        Without one a flush is done at once, which is right for a disk that keeps nothing back; a
        filter passes it down.
        """
        return self._register(_FLUSH, handler)

    def on_trim(self, function: F) -> F:
        """Have `function(offset, length)` called for bytes that are not needed any more.

        It is a plain or a coroutine function; when it returns the bytes are trimmed, and what it
        raises is what the request ends with.
        """
        return self._note("_on_trim", function)

    def on_zero(self, function: F) -> F:
        """Have `function(offset, length)` called for bytes that are to read as zeros.

        Without one, who wants zeros has to write them. See `on_trim`.
        """
        return self._note("_on_zero", function)

    def on_extents(self, function: F) -> F:
        """Have `function(offset, length)` return the data and the holes of a part, in order.

        It returns or yields `Extent`s; what it leaves out is a hole. Without one all is data. See
        `on_trim`.
        """
        return self._note("_on_extents", function)

    def on_ioctl(self, handler: H) -> H:
        """Have `handler(request)` called for control requests that are not those of a disk."""
        if not callable(handler):
            raise TypeError(f"a handler is a function of one request; got {handler!r}")
        return self._note("_on_ioctl", handler)

    # ---- what it is asked -----------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether it takes writes."""
        return not self.readonly

    def submit(self, irp: Irp) -> None:
        """Take a packet; what cannot be done ends here."""
        major = irp.major
        if major is _READ or major is _WRITE:
            status = self._refusal(irp)
            if status is not None:
                irp.complete(status, 0)
                return
        super().submit(irp)

    submit_checked = Device.submit
    """Take a packet of whose range, blocks and right to write the caller has made sure."""

    def _refusal(self, irp: Irp) -> st.Status | None:
        if irp.offset + irp.length > self.size or (irp.offset | irp.length) % self.block_size:
            return st.STATUS_INVALID_PARAMETER
        if self.readonly and irp.major is _WRITE:
            return st.STATUS_MEDIA_WRITE_PROTECTED
        return None

    # ---- inside ---------------------------------------------------------------------------------

    def _note(self, slot: str, function: F) -> F:
        if not callable(function):
            raise TypeError(f"a disk's operation is a function; got {function!r}")
        setattr(self, slot, function)
        return function

    def _operation(self, code: int) -> Callable[[int, int], object] | None:
        if code == storage.TRIM:
            return self._on_trim
        if code == storage.ZERO:
            return self._on_zero
        return self._on_extents if code == storage.ALLOCATED else None


def _flushed(request: ReceivedRequest) -> None:
    """Here nothing is kept back; what a filter passed on may be, below."""
    device = request.device
    if device.filter and device.target is not None:
        device._not_handled(request)
    else:
        request.complete()


def _control(request: ReceivedRequest) -> object:
    """The handler of a disk's control requests."""
    disk = cast("Disk", request.device)
    code = request.code
    operation = disk._operation(code)
    try:
        if storage.changes(code):
            storage.check_writable(disk)
        if operation is not None:
            return _operate(request, disk, operation)
        if code in storage.DESCRIBING:
            _finish(request, storage.describe(disk, code, request.output_length))
            return None
    except MembufError as error:  # of the request, or what the driver says it ends with
        request.complete(error.status, 0)
        return None
    if disk._on_ioctl is not None:
        return disk._on_ioctl(request)
    disk._not_handled(request)
    return None


def _operate(
    request: ReceivedRequest, disk: Disk, operation: Callable[[int, int], object]
) -> object:
    """Have the driver's function do it, range by range; a coroutine where that is one."""
    code = request.code
    ranges = storage.ranges_of(code, bytes(request.input_buffer()))
    for asked in ranges:
        storage.check_range(disk, asked)
        if (asked.offset | asked.length) % disk.block_size:
            raise InvalidParameterError(f"{asked} is no whole number of blocks of {disk!r}")
    work = (operation(*asked) for asked in ranges if asked.length)
    result: Any = ()
    for result in work:
        if isinstance(result, CoroutineType):
            first = cast("Awaitable[object]", result)
            return _awaited(request, ranges[0], first, work)
    _answer(request, ranges[0], result)
    return None


async def _awaited(
    request: ReceivedRequest, asked: Range, first: Awaitable[object], work: Iterator[object]
) -> None:
    """Do the first range and the rest, one after another: none begins where one failed."""
    try:
        result: Any = await first
        for begun in work:
            result = await cast("Awaitable[object]", begun)
        _answer(request, asked, result)
    except MembufError as error:
        request.complete(error.status, 0)


def _answer(request: ReceivedRequest, asked: Range, result: Any) -> None:
    """The end of an operation; of what has one range, `result` is what that came to."""
    if request.code != storage.ALLOCATED:
        request.complete()
        return
    _finish(request, *storage.allocated_answer(result, asked, request.output_length))


def _finish(request: ReceivedRequest, output: bytes, status: st.Status = st.STATUS_SUCCESS) -> None:
    if output:
        request.output_memory().copy_from(output)
    request.complete(status, len(output))


def _power(value: SupportsIndex, what: str, most: int) -> int:
    number = exact_index(value, what)
    if not 1 <= number <= most or number & (number - 1):
        raise InvalidParameterError(
            f"{what} must be a power of two, 1 to {most}; got {number}", operands={what: number}
        )
    return number

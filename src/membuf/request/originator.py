"""The originator's side: a device opened, and the I/O it is asked for.

What the I/O manager does: rights are checked and buffers attached before a driver sees the packet;
when it has come back the originator is told, once.

Source: requests 1.1 and 3.10 of the specification.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import (
    AccessDeniedError,
    AccessViolationError,
    IntegerOverflowError,
    InvalidParameterError,
)
from membuf.base.integers import exact_index
from membuf.request.attaching import Finish, attach_control, attach_transfer, nothing
from membuf.request.completion import RequestType
from membuf.request.files import FileObject
from membuf.request.ioctl import READ_ACCESS, WRITE_ACCESS
from membuf.request.irp import Irp
from membuf.request.pending import Pending

if TYPE_CHECKING:
    from types import TracebackType

    from membuf.request.device import Device
    from membuf.request.irp import Mode

_READ, _WRITE = RequestType.READ, RequestType.WRITE
_IOCTL, _INTERNAL = RequestType.DEVICE_CONTROL, RequestType.INTERNAL_DEVICE_CONTROL


_FILE = (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE)


class Handle:
    """An opened device; `Device.open` makes them.

    Calls come in three forms: `read` waits, `read_async` is awaited, `start_read` returns a
    `Pending`. Any thread may call, and any number at once.

    Attributes:
        device: what is open.
        file: the file object that drivers see.
        mode: "user", or "kernel" for what a driver opened.

    >>> import membuf
    >>> device = membuf.Device("handle-doc")
    >>> @device.on_default
    ... def echo(request):
    ...     request.complete(information=request.length)
    >>> with device.open() as handle:
    ...     handle.write(b"hello"), handle.start_write(b"abc").wait()
    (5, (STATUS_SUCCESS (0x00000000), 3))
    """

    __slots__ = ("_flying", "_lock", "closed", "device", "file", "mode")

    def __init__(self, device: Device, access: str, mode: Mode) -> None:
        self.device = device
        self.mode: Mode = mode
        self.file = FileObject(device, access)
        self._lock = threading.RLock()
        self._flying = 0
        self.closed = True  # until the device has let itself be opened
        self._run(self._packet(RequestType.CREATE))
        self.closed = False

    def close(self) -> None:
        """Close it; what waits in queues is cancelled. A second time does nothing.

        What drivers have of it goes on; the device hears of the end of the file with the last.

        Source: the framework's file object: EvtFileCleanup, then EvtFileClose.
        """
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._flying += 1
        try:
            self._run(self._packet(RequestType.CLEANUP))
        finally:
            self._left()

    def hold(self) -> None:
        """Keep the file from its end, for packets that do not come through the handle."""
        with self._lock:
            self._flying += 1

    def let_go(self) -> None:
        """End a `hold`."""
        self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- reading and writing --------------------------------------------------------------------

    def start_read(self, buffer: Any, offset: SupportsIndex = 0) -> Pending:
        """Begin a read into a buffer; the result is the count of bytes.

        Args:
            buffer: any writable buffer of contiguous bytes.
            offset: where on the device, in bytes.

        Raises:
            AccessDeniedError: it is not open for reading.
            AccessViolationError: the buffer is read-only.
        """
        self._check_right(READ_ACCESS)
        return self._transfer(_READ, _writable(buffer), offset)

    def start_write(self, data: Any, offset: SupportsIndex = 0) -> Pending:
        """Begin a write; the result is the count of bytes. See `start_read`."""
        self._check_right(WRITE_ACCESS)
        return self._transfer(_WRITE, _bytes_of(data), offset)

    def read(self, length: SupportsIndex, offset: SupportsIndex = 0) -> bytes:
        """Read up to `length` bytes and return them.

        Raises:
            MembufError: it did not end with success; `.status` says how, `.information` how many
                bytes there were.
        """
        self.device.check_may_wait()
        buffer = bytearray(_size(length, "length"))
        return bytes(memoryview(buffer)[: self._wait(self.start_read(buffer, offset))])

    def read_into(self, buffer: Any, offset: SupportsIndex = 0) -> int:
        """Read into a buffer and return the count of bytes; see `read`."""
        self.device.check_may_wait()
        return self._wait(self.start_read(buffer, offset))

    def write(self, data: Any, offset: SupportsIndex = 0) -> int:
        """Write the bytes and return how many the device took; see `read`."""
        self.device.check_may_wait()
        return self._wait(self.start_write(data, offset))

    async def read_async(self, length: SupportsIndex, offset: SupportsIndex = 0) -> bytes:
        """As `read`; a cancelled await cancels the request, and returns when it has ended."""
        buffer = bytearray(_size(length, "length"))
        count = await self.start_read(buffer, offset).finished()
        return bytes(memoryview(buffer)[:count])

    async def read_into_async(self, buffer: Any, offset: SupportsIndex = 0) -> int:
        """As `read_into`; see `read_async`."""
        return await self.start_read(buffer, offset).finished()

    async def write_async(self, data: Any, offset: SupportsIndex = 0) -> int:
        """As `write`; see `read_async`."""
        return await self.start_write(data, offset).finished()

    def flush(self) -> None:
        """Have the device make durable what was written (a request of type FLUSH)."""
        self._run(self._packet(RequestType.FLUSH))

    # ---- control --------------------------------------------------------------------------------

    def start_ioctl(self, code: SupportsIndex, input: Any = None, output: Any = None) -> Pending:
        """Begin a control request; the result is the count of bytes.

        Args:
            code: the control code; its method says how the buffers travel.
            input: a buffer, or None.
            output: a buffer, or None: written to, or for METHOD_IN_DIRECT read from.

        Raises:
            AccessDeniedError: the code wants an access that the handle is not open for.
            AccessViolationError: the output is read-only.
        """
        return self._control(_IOCTL, code, input, output)

    def start_internal_ioctl(
        self, code: SupportsIndex, input: Any = None, output: Any = None
    ) -> Pending:
        """Begin an internal control request; see `start_ioctl`."""
        return self._control(_INTERNAL, code, input, output)

    def ioctl(
        self,
        code: SupportsIndex,
        input: Any = None,
        out_length: SupportsIndex = 0,
        *,
        output: Any = None,
    ) -> bytes:
        """Send a control request and return what it answers.

        Args:
            code: the control code.
            input: a buffer, or None.
            out_length: how long the answer may be, in bytes.
            output: a buffer for it instead; the bytes are returned all the same.

        Raises:
            MembufError: it did not end with success; a warning's `.output` has the bytes.
        """
        return self._answer(_IOCTL, code, input, out_length, output)

    def internal_ioctl(
        self,
        code: SupportsIndex,
        input: Any = None,
        out_length: SupportsIndex = 0,
        *,
        output: Any = None,
    ) -> bytes:
        """As `ioctl`, of the kind that drivers send each other."""
        return self._answer(_INTERNAL, code, input, out_length, output)

    async def ioctl_async(
        self,
        code: SupportsIndex,
        input: Any = None,
        out_length: SupportsIndex = 0,
        *,
        output: Any = None,
    ) -> bytes:
        """As `ioctl`; see `read_async`."""
        output = bytearray(_size(out_length, "out_length")) if output is None else output
        count = await self._control(_IOCTL, code, input, output).finished()
        return bytes(_bytes_of(output)[:count])

    # ---- inside ---------------------------------------------------------------------------------

    def _packet(self, type: RequestType, **parameters: Any) -> Irp:
        depth = self.device.stack_depth
        return Irp(type, mode=self.mode, file=self.file, stack_count=depth, **parameters)

    def _transfer(self, type: RequestType, view: memoryview, offset: SupportsIndex) -> Pending:
        irp = self._packet(type, offset=_size(offset, "offset"), length=view.nbytes)
        return self._submit(irp, attach_transfer(self.device, irp, view), view)

    def _control(self, type: RequestType, code: SupportsIndex, input: Any, output: Any) -> Pending:
        number = _code(code)
        if type is _IOCTL:
            self._check_right(number >> 14 & 3)
        source = None if input is None else _bytes_of(input)
        target = None if output is None else _output(output, number)
        irp = self._packet(
            type,
            code=number,
            input_length=0 if source is None else source.nbytes,
            output_length=0 if target is None else target.nbytes,
        )
        return self._submit(irp, attach_control(self.device, irp, source, target), target)

    def _answer(
        self,
        type: RequestType,
        code: SupportsIndex,
        input: Any,
        out_length: SupportsIndex,
        output: Any,
    ) -> bytes:
        self.device.check_may_wait()
        length = _size(out_length, "out_length")
        if output is None and length:
            output = bytearray(length)
        count = self._wait(self._control(type, code, input, output))
        return b"" if output is None else bytes(_bytes_of(output)[:count])

    def _submit(self, irp: Irp, finish: Finish, view: memoryview | None = None) -> Pending:
        entered = irp.major in _FILE or self._enter(irp)
        pending = Pending(irp, finish, view)
        if entered:
            self.device.submit(irp)
        else:
            irp.complete(st.STATUS_INVALID_HANDLE, 0)
        return pending

    def _enter(self, irp: Irp) -> bool:
        """Count a request in; False where the handle is closed."""
        with self._lock:
            if self.closed:
                return False
            self._flying += 1
        irp.push(self._left)
        return True

    def _left(self, _irp: Irp | None = None) -> None:
        """Count a request, or the closing, out; the last one ends the file."""
        with self._lock:
            self._flying -= 1
            last = self.closed and not self._flying
        if last:
            self._submit(self._packet(RequestType.CLOSE), nothing)

    def _run(self, irp: Irp) -> int:
        pending = self._submit(irp, nothing)
        if not pending.done:
            self.device.check_may_wait()
        return self._wait(pending)

    def _wait(self, pending: Pending) -> int:
        try:
            pending.wait()
        except BaseException:
            pending.cancel()
            raise
        return pending.result()

    def _check_right(self, wanted: int) -> None:
        if wanted & ~self.file.granted and self.mode == "user":
            raise AccessDeniedError(
                13,
                f"{self.device!r} is not open for what this needs (access bits {wanted}, granted "
                f"{self.file.granted}): open it so",
            )


def _bytes_of(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise InvalidParameterError(
            f"a request moves consecutive bytes; this {type(buffer).__name__} has gaps"
        )
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def _writable(buffer: Any) -> memoryview:
    view = _bytes_of(buffer)
    if view.readonly:
        raise AccessViolationError(f"cannot read into {type(buffer).__name__}: it is read-only")
    return view


def _output(buffer: Any, code: int) -> memoryview:
    """The second buffer of a control request: METHOD_IN_DIRECT only reads it."""
    return _bytes_of(buffer) if code & 3 == 1 else _writable(buffer)


def _size(value: SupportsIndex, what: str) -> int:
    number = exact_index(value, what)
    if number < 0:
        raise InvalidParameterError(f"{what} must not be negative, got {number}")
    if number >> 63:
        raise IntegerOverflowError(f"{what} must be below 2**63; got {number:#x}")
    return number


def _code(code: SupportsIndex) -> int:
    number = _size(code, "code")
    if number >> 32:
        raise InvalidParameterError(f"a control code has 32 bits; got {number:#x}")
    return number

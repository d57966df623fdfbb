"""What a request asks for, and the memory that it holds for that.

The reference ledger (rule: the framework's memory-buffer life cycle): a successful format takes one
reference on each memory argument. Neither completion nor a failed send nor a cancel drops it;
formatting again, reuse, a change of target and the deletion of the request do.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar, Final, SupportsIndex

from membuf._native import Memory, Object
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError, from_status
from membuf.base.integers import exact_index
from membuf.request._core import RequestCore
from membuf.request.buffers import check_part, part, resolve
from membuf.request.completion import RequestType
from membuf.request.protocol import Control, RequestTarget

# Looking a member up in its enumeration costs as much as a call.
_READ, _WRITE = RequestType.READ, RequestType.WRITE

_CODE_LIMIT: Final = 2**32
_BUGCHECK_NULL_IRP: Final = (0x10D, 6, 2, 0, 0)
_BUGCHECK_NO_LOCATIONS: Final = (0x10D, 6, 1, 0, 0)


class Formatting(RequestCore):
    """The formatting half of a request.

    Attributes:
        own: whether it is a request of one's own, and not one that a queue presented.
    """

    __slots__ = ()

    own: ClassVar[bool] = True

    def __init__(
        self,
        target: RequestTarget | None = None,
        *,
        name: str | None = None,
        parent: Object | None = None,
    ) -> None:
        super().__init__(name, parent=parent)
        self._target: RequestTarget | None = target
        self._packet: Any = None
        self._formatted = False
        self._type = RequestType.NO_FORMAT
        self._memory: Any = None
        self._memory_offset = 0
        self._control: Control | None = None
        if target is not None:
            self._check_target(target)

    @property
    def irp(self) -> Any:
        """The packet that a received request came with; None for a request of one's own."""
        return None

    # ---- formatting -----------------------------------------------------------------------------

    def format_read(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> None:
        """Make it a read of the target into memory, and take a reference on the memory.

        What an earlier format took is given back first, even where this one then fails.

        Args:
            memory: a memory object, a buffer, an MDL, a MemoryDescriptor, or a list of buffers.
            offset: byte position in the target; a stream has none (leave it out).
            memory_offset: where the part of `memory` begins, in bytes.
            memory_length: its bytes; None or 0 reaches to the end (rule: WDFMEMORY_OFFSET).

        Raises:
            IntegerOverflowError: the part is not inside the memory; the earlier format stands.
            InvalidDeviceStateError: the target is not open, or the request is in flight.
            InvalidParameterError: direct I/O needs another alignment.
        """
        self._format(_READ, memory, offset, memory_offset, memory_length)

    def format_write(
        self,
        memory: Any,
        offset: SupportsIndex | None = 0,
        *,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
    ) -> None:
        """Make it a write to the target from memory; see `format_read`."""
        self._format(_WRITE, memory, offset, memory_offset, memory_length)

    def format_ioctl(
        self,
        code: SupportsIndex,
        input: Any = None,
        output: Any = None,
        *,
        input_offset: SupportsIndex = 0,
        input_length: SupportsIndex | None = None,
        output_offset: SupportsIndex = 0,
        output_length: SupportsIndex | None = None,
    ) -> None:
        """Make it a device control request, and take a reference on each memory.

        Args:
            code: the control code, 32 bits; its method says how the memories travel.
            input: a memory object, a buffer, an MDL, a MemoryDescriptor, or None.
            output: likewise; the same memory twice is held twice.
            input_offset: where the part of `input` begins, in bytes.
            input_length: its bytes; None or 0 reaches to the end.
            output_offset: where the part of `output` begins.
            output_length: its bytes.

        Raises:
            IntegerOverflowError: a part is not inside its memory; the earlier format stands.
            InvalidDeviceStateError: the target is not open, or the request is in flight.

        Source: WdfIoTargetFormatRequestForIoctl.
        """
        self._format_control(
            RequestType.DEVICE_CONTROL,
            code,
            (input, input_offset, input_length),
            (output, output_offset, output_length),
        )

    def format_internal_ioctl(
        self,
        code: SupportsIndex,
        input: Any = None,
        output: Any = None,
        *,
        input_offset: SupportsIndex = 0,
        input_length: SupportsIndex | None = None,
        output_offset: SupportsIndex = 0,
        output_length: SupportsIndex | None = None,
    ) -> None:
        """Make it an internal device control request; see `format_ioctl`.

        Source: WdfIoTargetFormatRequestForInternalIoctl.
        """
        self._format_control(
            RequestType.INTERNAL_DEVICE_CONTROL,
            code,
            (input, input_offset, input_length),
            (output, output_offset, output_length),
        )

    def format_internal_ioctl_others(
        self,
        code: SupportsIndex,
        argument1: Any = None,
        argument2: Any = None,
        argument4: Any = None,
        *,
        offsets: tuple[SupportsIndex, SupportsIndex, SupportsIndex] = (0, 0, 0),
    ) -> None:
        """Make it an internal control request that passes up to three memories as pointers.

        Nothing is copied, and no length is passed on.

        Args:
            code: the control code, 32 bits; it travels as argument 3.
            argument1: a memory as for `format_ioctl`, or None.
            argument2: likewise.
            argument4: likewise.
            offsets: where in each of them its pointer leads, in bytes.

        Source: WdfIoTargetFormatRequestForInternalIoctlOthers.
        """
        self._refuse_in_flight("be formatted")
        given = zip((argument1, argument2, argument4), offsets, strict=True)
        first, second, fourth = (part(memory, offset) for memory, offset in given)
        self._take(
            Control(RequestType.OTHER, control_code(code), arguments=(first, second, fourth)),
            None,
            0,
        )

    def format_current_type(self) -> None:
        """Let a received request be sent on as what it is, to whatever target `send` names.

        Raises:
            InvalidDeviceStateError: a request of one's own is not of any type yet
                (`.bugcheck`: the framework stops for it).

        Source: WdfRequestFormatRequestUsingCurrentType.
        """
        self._refuse_in_flight("be formatted")
        irp = self.irp
        if irp is None:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self!r} was not received and has no current type: give it one with format_read "
                "and its kin",
                bugcheck=_BUGCHECK_NULL_IRP,
            )
        if irp.location <= 1:
            raise self._refusal(
                st.STATUS_REQUEST_NOT_ACCEPTED, "has no stack location left", _BUGCHECK_NO_LOCATIONS
            )
        self._unformat()
        self._formatted = True

    def change_target(self, target: RequestTarget) -> None:
        """Send it elsewhere; **what it was formatted with is dropped**, even where this fails.

        Raises:
            InvalidDeviceStateError: the target is not open, or the request is in flight.
            MembufError: STATUS_REQUEST_NOT_ACCEPTED: a received request has too few stack
                locations for it.

        Source: WdfRequestChangeTarget.
        """
        self._refuse_in_flight("be given another target")
        self._unformat()
        self._check_target(target)
        self._target = target

    # ---- inside ---------------------------------------------------------------------------------

    def _format(
        self,
        kind: RequestType,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> None:
        self._refuse_in_flight("be formatted")
        given = memory
        if type(memory) is not Memory or memory_offset or memory_length:
            memory, memory_offset, memory_length = resolve(memory, memory_offset, memory_length)
            check_part(memory, memory_offset, memory_length)
        target = self._prepared_target()
        self._packet = target.make_packet(kind, memory, offset, memory_offset, memory_length)
        if not self.own:
            target.inherit(self._packet, self.irp)
        self._formatted = True
        self._type, self._memory, self._memory_offset = kind, given, operator.index(memory_offset)

    def _format_control(
        self,
        kind: RequestType,
        code: SupportsIndex,
        input: tuple[Any, SupportsIndex, SupportsIndex | None],
        output: tuple[Any, SupportsIndex, SupportsIndex | None],
    ) -> None:
        self._refuse_in_flight("be formatted")
        taken = part(*input)
        self._take(
            Control(kind, control_code(code), taken, part(*output)), taken.given, taken.offset
        )

    def _take(self, control: Control, memory: Any, offset: int) -> None:
        target = self._prepared_target()
        self._packet = target.make_control_packet(control)
        if not self.own:
            target.inherit(self._packet, self.irp)
        self._formatted = True
        self._control, self._type = control, control.kind
        self._memory, self._memory_offset = memory, offset

    def _prepared_target(self) -> RequestTarget:
        """The target for a new format, once the earlier one is dropped."""
        self._unformat()
        target = self._target
        if target is None:
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} has no target: give it one first"
            )
        if not self.own:
            self._check_target(target)
        return target

    def _check_target(self, target: RequestTarget) -> None:
        target.check_open()
        if not self.own and not self._fits(target):
            raise self._refusal(st.STATUS_REQUEST_NOT_ACCEPTED, "has too few stack locations")

    def _fits(self, target: RequestTarget) -> bool:
        """Whether a received packet has a stack location for every driver of a target."""
        irp = self.irp
        # The present location is the device's own; what lies below is for the target.
        return irp is None or irp.location > target.stack_depth

    def _unformat(self) -> None:
        packet, self._packet = self._packet, None
        self._formatted = False
        self._type, self._control = RequestType.NO_FORMAT, None
        self._memory, self._memory_offset = None, 0
        if packet is not None:
            packet.release()

    def _refuse_in_flight(self, what: str) -> None:
        if self._flying:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self!r} is in flight and cannot {what}: wait for its completion",
            )

    def _refusal(
        self, status: int, reason: str, bugcheck: tuple[int, ...] | None = None
    ) -> MembufError:
        return from_status(status, f"{self!r} {reason}", bugcheck=bugcheck)


def control_code(code: SupportsIndex) -> int:
    """A control code as a number of 32 bits."""
    number = exact_index(code, "code")
    if not 0 <= number < _CODE_LIMIT:
        raise InvalidParameterError(
            f"a control code has 32 bits; got {number:#x}", operands={"code": number}
        )
    return number

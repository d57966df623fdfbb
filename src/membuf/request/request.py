"""Own requests: formatted for a target, sent, completed, reused.

    made --format--> formatted --send--> in flight --completed--> ended --format--> formatted
                         ^                                           |
                         +----------------- reuse, format -----------+

The reference ledger (rule: the framework's memory-buffer life cycle): a successful format takes one
reference on the memory. Neither completion nor a failed send nor a cancel drops it; formatting
again, reuse, a change of target and the deletion of the request do.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any, Protocol, SupportsIndex

from membuf._native import Memory, Object
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.base.status import Status
from membuf.request.buffers import check_part, resolve
from membuf.request.completion import CompletionParams, RequestType

# Looking a member up in its enumeration costs as much as a call.
_READ, _WRITE = RequestType.READ, RequestType.WRITE

_BUGCHECK_ALREADY_SENT = (0x10D, 6, 3, 0, 0)


class Packet(Protocol):
    """What a target makes of a formatted request (the framework's I/O packet)."""

    callback: Callable[[Any], object] | None

    @property
    def information(self) -> int:
        """Bytes transferred."""
        ...

    def failure(self) -> MembufError | None:
        """The exception for its end, or None where it ended well."""

    def release(self) -> None:
        """Let the memory go: now, or when it is over."""


class RequestTarget(Protocol):
    """What a request needs of a target."""

    def make_packet(
        self,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex,
        memory_length: SupportsIndex | None,
    ) -> Any:
        """Take the memory and describe the transfer.

        Raises:
            InvalidDeviceStateError: the target is not open.
        """

    def check_open(self) -> None:
        """Raises InvalidDeviceStateError where the target is not open."""

    def send_packet(
        self, packet: Any, synchronous: bool, timeout: float | None, ignore_state: bool, /
    ) -> None:
        """Deliver or queue a packet; where it is refused nothing has happened to it."""

    def cancel_packet(self, packet: Any) -> bool:
        """Ask for its early end; whether it can still be stopped."""
        ...


CompletionRoutine = Callable[["Request", Any, CompletionParams, Any], object]


class _Ending:
    """The context whose cleanup callback drops what a deleted request holds."""


class Request(Object):
    """A request of one's own, to be sent to a target.

    Args:
        target: where it is to go.
        name: for reports.
        parent: the object whose deletion deletes it.

    Source: WdfRequestCreate.

    >>> import membuf.bus
    >>> with membuf.bus.open_target("file:/dev/zero", access="read") as target:
    ...     request = Request(target)
    ...     request.format_read(membuf.Memory(16))
    ...     request.send(synchronous=True)
    ...     request.status, request.information
    (STATUS_SUCCESS (0x00000000), 16)
    """

    __slots__ = (
        "_cancelled",
        "_failure",
        "_formatted",
        "_in_flight",
        "_information",
        "_memory",
        "_memory_offset",
        "_packet",
        "_routine",
        "_routine_context",
        "_status",
        "_target",
        "_type",
    )

    def __init__(
        self,
        target: RequestTarget | None = None,
        *,
        name: str | None = None,
        parent: Object | None = None,
    ) -> None:
        super().__init__(name, parent=parent)
        self._target = target
        self._packet: Any = None
        self._formatted = False
        self._cancelled = False
        # Held from a send to its completion: what makes two sends at once one too many.
        self._in_flight = threading.Lock()
        self._routine: CompletionRoutine | None = None
        self._routine_context: Any = None
        self._status = st.STATUS_SUCCESS
        self._failure: MembufError | None = None
        self._information = 0
        self._type = RequestType.NO_FORMAT
        self._memory: Any = None
        self._memory_offset = 0
        if target is not None:
            target.check_open()
        self.add_context(_Ending, on_cleanup=Request._disposed)

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
            memory: a memory object, a buffer, a MemoryDescriptor, or a list of buffers.
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

    def change_target(self, target: RequestTarget) -> None:
        """Send it elsewhere; what it was formatted with is dropped.

        Raises:
            InvalidDeviceStateError: the target is not open, or the request is in flight.
        """
        self._refuse_in_flight("be given another target")
        self._unformat()
        target.check_open()
        self._target = target

    # ---- sending --------------------------------------------------------------------------------

    def send(
        self,
        on_complete: CompletionRoutine | None = None,
        timeout: float | None = None,
        *,
        context: Any = None,
        synchronous: bool = False,
        ignore_target_state: bool = False,
    ) -> None:
        """Send it; it is delivered, or waits in its stopped target.

        Args:
            on_complete: called once as on_complete(request, target, params, context): on the
                event loop that sent it, on this thread for a synchronous send, otherwise on a
                thread of the engine.
            timeout: seconds, after which it is cancelled and ends with STATUS_IO_TIMEOUT.
            context: what `on_complete` gets as its last argument.
            synchronous: return when it has ended (how, `status` says).
            ignore_target_state: deliver it though the target is stopped or purged.

        Raises:
            InvalidDeviceStateError: the target does not take it (`.status` says why), it is not
                formatted, or it is in flight; a routine given stays set.
            RequestCancelledError: it was cancelled earlier and not reused.
        """
        if on_complete is not None:
            self._routine, self._routine_context = on_complete, context
        if not self._in_flight.acquire(blocking=False):
            raise self._refusal(st.STATUS_INVALID_DEVICE_REQUEST, _BUGCHECK_ALREADY_SENT)
        packet, target = self._packet, self._target
        try:
            if target is None or not self._formatted:
                raise self._refusal(st.STATUS_REQUEST_NOT_ACCEPTED)
            if self._cancelled:
                raise self._refusal(st.STATUS_CANCELLED)
        except MembufError as error:
            self._status = error.status
            self._in_flight.release()
            raise
        # Not before it is sent: a request that only waits to be dropped must not hold itself.
        packet.callback = self._completed
        self.reference("sent")
        try:
            target.send_packet(packet, synchronous, timeout, ignore_target_state)
        except BaseException as error:
            if packet.callback is not None:
                self._never_sent(error)
            raise

    def cancel(self) -> bool:
        """Ask for its early end; whether it can still be stopped.

        A transfer of a file that the system has begun cannot, and ends as it ends. Not in flight,
        the request remembers: its next send fails until it is reused.

        Source: WdfRequestCancelSentRequest.
        """
        self._cancelled = True
        target, packet = self._target, self._packet
        return bool(
            self._in_flight.locked() and target is not None and target.cancel_packet(packet)
        )

    def reuse(self, status: int = st.STATUS_SUCCESS) -> None:
        """Make it as new: nothing held, no routine, not cancelled.

        Args:
            status: what `status` says from now on.

        Raises:
            InvalidDeviceStateError: it is in flight.
        """
        self._refuse_in_flight("be reused")
        self._unformat()
        self._routine = self._routine_context = None
        self._cancelled = False
        self._status, self._failure, self._information = Status(status), None, 0
        self._type, self._memory, self._memory_offset = RequestType.NO_FORMAT, None, 0

    # ---- looking --------------------------------------------------------------------------------

    @property
    def target(self) -> Any:
        """The target it is sent to, or None."""
        return self._target

    @property
    def in_flight(self) -> bool:
        """Whether it is with its target: delivered or queued, and not completed."""
        return self._in_flight.locked()

    @property
    def status(self) -> Status:
        """The last status: of its end, of a send that failed, or as `reuse` set it."""
        return self._status

    @property
    def information(self) -> int:
        """Bytes transferred."""
        return self._information

    @property
    def completion(self) -> CompletionParams:
        """How it ended last (WdfRequestGetCompletionParams)."""
        return CompletionParams(
            self._type, self._status, self._information, self._memory, self._memory_offset
        )

    def result(self) -> int:
        """Bytes transferred; raises what it ended with where that was an error."""
        if self._failure is not None:
            raise self._failure
        return self._information

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
        self._unformat()
        target = self._target
        if target is None:
            raise from_status(
                st.STATUS_INVALID_DEVICE_STATE, f"{self!r} has no target: give it one first"
            )
        self._packet = target.make_packet(kind, memory, offset, memory_offset, memory_length)
        self._formatted = True
        self._type, self._memory, self._memory_offset = kind, given, operator.index(memory_offset)

    def _unformat(self) -> None:
        packet, self._packet = self._packet, None
        self._formatted = False
        if packet is not None:
            packet.release()

    def _refuse_in_flight(self, what: str) -> None:
        if self._in_flight.locked():
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self!r} is in flight and cannot {what}: wait for its completion",
            )

    def _refusal(self, status: Status, bugcheck: tuple[int, ...] | None = None) -> MembufError:
        return from_status(status, f"{self!r} {_REASONS[status]}", bugcheck=bugcheck)

    def _never_sent(self, error: BaseException) -> None:
        self._packet.callback = None
        self._in_flight.release()
        self._status = getattr(error, "status", st.STATUS_UNSUCCESSFUL)
        self.dereference("sent")

    def _completed(self, packet: Packet) -> None:
        """The packet is over: keep how it ended, tell the routine, drop the target's reference."""
        self._failure = packet.failure()
        self._status = st.STATUS_SUCCESS if self._failure is None else self._failure.status
        self._information = packet.information
        self._formatted = False
        self._in_flight.release()
        routine, context = self._routine, self._routine_context
        self._routine = self._routine_context = None
        try:
            if routine is not None:
                routine(self, self._target, self.completion, context)
        finally:
            self.dereference("sent")

    def _disposed(self) -> None:
        """The request is deleted: nothing of it holds memory any longer than its transfer does."""
        if self._in_flight.locked():
            self.cancel()
        packet = self._packet
        if packet is not None:
            packet.release()


_REASONS = {
    st.STATUS_INVALID_DEVICE_REQUEST: "is in flight already: wait for its completion",
    st.STATUS_REQUEST_NOT_ACCEPTED: "is not formatted since it last ended: format it first",
    st.STATUS_CANCELLED: "was cancelled earlier: reuse it first",
}

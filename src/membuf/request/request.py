"""Own requests: formatted for a target, sent, completed, reused.

    made --format--> formatted --send--> in flight --completed--> ended --format--> formatted
                         ^                                           |
                         +----------------- reuse, format -----------+

What a request asks for, and the memory it holds for that, is the other half: `formatting`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.base.status import Status
from membuf.request.completion import CompletionParams, RequestType
from membuf.request.formatting import Formatting
from membuf.request.protocol import Packet, RequestTarget

_SUCCESS: Final = st.STATUS_SUCCESS
_BUGCHECK_ALREADY_SENT: Final = (0x10D, 6, 3, 0, 0)

CompletionRoutine = Callable[["Request", Any, CompletionParams, Any], object]


class _Ending:
    """The context whose cleanup callback drops what a deleted request holds."""


class Request(Formatting):
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

    __slots__ = ()

    def __init__(
        self,
        target: RequestTarget | None = None,
        *,
        name: str | None = None,
        parent: Object | None = None,
    ) -> None:
        super().__init__(target, name=name, parent=parent)
        self._cancelled = False
        self._routine: CompletionRoutine | None = None
        self._routine_context: Any = None
        self._status = st.STATUS_SUCCESS
        self._failure: MembufError | None = None
        self._information = 0
        self._watch_end()

    # ---- sending --------------------------------------------------------------------------------

    def set_completion_routine(
        self, on_complete: CompletionRoutine | None, context: Any = None
    ) -> None:
        """Have `on_complete` told of the next completion, and of that one alone.

        `send` takes a routine too; one that is set here stays set through sends that fail.

        Source: WdfRequestSetCompletionRoutine.
        """
        self._routine, self._routine_context = on_complete, context

    def send(
        self,
        on_complete: CompletionRoutine | None = None,
        timeout: float | None = None,
        *,
        context: Any = None,
        target: RequestTarget | None = None,
        synchronous: bool = False,
        ignore_target_state: bool = False,
        send_and_forget: bool = False,
    ) -> None:
        """Send it; it is delivered, or waits in its stopped target.

        Args:
            on_complete: called once as on_complete(request, target, params, context): on the
                event loop that sent it, on this thread for a synchronous send, otherwise on a
                thread of the engine. A received request sent asynchronously must have one.
            timeout: seconds, after which it is cancelled and ends with STATUS_IO_TIMEOUT.
            context: what `on_complete` gets as its last argument.
            target: where to; None for the target it was formatted for. A request formatted for one
                target is not sent to another; one of its current type is, and one to be forgotten.
            synchronous: return when it has ended (how, `status` says).
            ignore_target_state: deliver it though the target is stopped or purged.
            send_and_forget: pass a received request on for good, with no other option: its
                buffers and the request itself are gone here, and whoever is below completes it.

        Raises:
            InvalidDeviceStateError: the target does not take it (`.status` says why), it is not
                formatted, or it is in flight; a routine given stays set.
            RequestCancelledError: it was cancelled earlier and not reused.
            InvalidParameterError: `send_and_forget` together with another option.

        Source: WdfRequestSend.
        """
        if on_complete is not None:
            self._routine, self._routine_context = on_complete, context
        if send_and_forget:
            others = synchronous or ignore_target_state or timeout is not None
            self._send_and_forget(target or self._target, others)
            return
        if not self.own and not synchronous and self._routine is None:
            raise self._refused(
                st.STATUS_INVALID_DEVICE_REQUEST,
                "is a received request: its asynchronous send needs a completion routine",
            )
        target = self._depart(target or self._target, ignore_target_state)
        packet = self._packet
        # Not before it is sent: a request that only waits to be dropped must not hold itself.
        packet.callback = self._completed
        self.reference("sent")
        cancelled = not self.own and self._follow(target, packet)
        try:
            target.send_packet(packet, synchronous, timeout, ignore_target_state)
        except BaseException as error:
            if packet.callback is not None:
                self._never_sent(packet, error)
            raise
        if cancelled:
            target.cancel_packet(packet)

    def refuse_send(self, status: int) -> None:
        """Note that a send was refused before it began: `status` says so."""
        self._status = Status(status)

    def cancel(self) -> bool:
        """Ask for its early end; whether it can still be stopped.

        A transfer of a file that the system has begun cannot, and ends as it ends; a device that
        has not made it cancelable finds the wish when it does. Not in flight, the request
        remembers: its next send fails until it is reused.

        Source: WdfRequestCancelSentRequest.
        """
        self._cancelled = True
        target, packet = self._target, self._packet
        return bool(self._flying and target is not None and target.cancel_packet(packet))

    def reuse(self, status: int = st.STATUS_SUCCESS) -> None:
        """Make it as new: nothing held, no routine, not cancelled.

        Args:
            status: what `status` says from now on.

        Raises:
            InvalidDeviceStateError: it is in flight.

        Source: WdfRequestReuse.
        """
        self._refuse_in_flight("be reused")
        self._unformat()
        self._routine = self._routine_context = None
        self._cancelled = False
        self._status, self._failure, self._information = Status(status), None, 0

    def release(self) -> None:
        """Give the memory back that it was formatted with; all else stays as it is.

        Raises:
            InvalidDeviceStateError: it is in flight.
        """
        self._refuse_in_flight("let its memory go")
        self._unformat()

    # ---- looking --------------------------------------------------------------------------------

    @property
    def target(self) -> Any:
        """The target it is sent to, or None."""
        return self._target

    @property
    def in_flight(self) -> bool:
        """Whether it is with its target: delivered or queued, and not completed."""
        return self._flying

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
        control = self._control
        params = (self._type, self._status, self._information, self._memory, self._memory_offset)
        if control is None:
            return CompletionParams(*params)
        output, (first, second, fourth) = control.output, control.arguments
        return CompletionParams(
            *params,
            control.code,
            output.given,
            output.offset,
            (first.given, second.given, fourth.given),
        )

    def result(self) -> int:
        """Bytes transferred; raises what it ended with where that was an error."""
        if self._failure is not None:
            raise self._failure
        return self._information

    # ---- inside ---------------------------------------------------------------------------------

    def _depart(self, target: RequestTarget | None, ignore_state: bool) -> RequestTarget:
        """Be in flight from now on, if every check that comes before the target's own passes."""
        if not self._take_off():
            raise self._refusal(
                st.STATUS_INVALID_DEVICE_REQUEST,
                "is in flight already: wait for its completion",
                _BUGCHECK_ALREADY_SENT,
            )
        try:
            return self._ready_target(target, ignore_state)
        except BaseException:
            self._land()
            raise

    def _ready_target(self, target: RequestTarget | None, ignore_state: bool) -> RequestTarget:
        """The target, once every check that comes before its own has passed."""
        if target is None or not self._formatted:
            raise self._refused(
                st.STATUS_REQUEST_NOT_ACCEPTED,
                "is not formatted since it last ended: format it first",
            )
        self._check_sendable()
        if not self.own and not self._fits(target):
            raise self._refused(st.STATUS_REQUEST_NOT_ACCEPTED, "has too few stack locations")
        if self._cancelled:
            self._check_accepts(target, ignore_state=ignore_state)
            raise self._refused(st.STATUS_CANCELLED, "was cancelled earlier: reuse it first")
        if self._packet is None:
            self._packet, self._target = target.make_irp_packet(self.irp), target
        elif target is not self._target:
            raise self._refused(
                st.STATUS_REQUEST_NOT_ACCEPTED, f"is formatted for {self._target!r}: send it there"
            )
        return target

    def _check_accepts(self, target: RequestTarget, *, ignore_state: bool) -> None:
        try:
            target.check_accepts(ignore_state=ignore_state)
        except MembufError as error:
            self._status = error.status
            raise

    def _send_and_forget(self, target: RequestTarget | None, other_options: bool) -> None:
        if other_options:
            self._status = st.STATUS_INVALID_PARAMETER
            raise InvalidParameterError(f"{self!r}: send_and_forget goes with no other option")
        if self.own:
            raise self._refused(
                st.STATUS_INVALID_DEVICE_STATE,
                "is a request of one's own: only a received one can be forgotten",
            )
        if self._type is not RequestType.NO_FORMAT:
            raise self._refused(
                st.STATUS_INVALID_DEVICE_REQUEST,
                "is formatted for a target: reuse it, or send it with a completion routine",
            )
        if target is None:
            raise self._refused(st.STATUS_INVALID_DEVICE_STATE, "has no target: give it one first")
        if self.irp.location < target.stack_depth:  # its own location is left to the target
            raise self._refused(st.STATUS_REQUEST_NOT_ACCEPTED, "has too few stack locations")
        try:
            target.check_forwards()
        except MembufError as error:
            self._status = error.status
            raise
        self._check_sendable()
        self._unformat()
        self._pass_on(target)

    def _pass_on(self, target: RequestTarget) -> None:
        """Let the request end here, and its packet go on to the target."""
        target.forward(self._forget())

    def _check_sendable(self) -> None:
        """One's own request is; a received one may be somebody else's."""

    def _follow(self, target: RequestTarget, packet: Packet) -> bool:
        """Have a received request's originator cancel it below too; whether it has already.

        One that is passed down as it is needs no help: its target holds the very packet.
        """
        if self._type is RequestType.NO_FORMAT:
            return False

        def cancel(_: Any) -> None:
            target.cancel_packet(packet)

        return not self.irp.set_cancel_routine(cancel)

    def _unfollow(self) -> None:
        if self._type is not RequestType.NO_FORMAT:
            self.irp.set_cancel_routine(None)

    def _forget(self) -> Any:
        """Let the request end here though its packet goes on; returns the packet."""
        raise NotImplementedError

    def _refused(self, status: Status, reason: str) -> MembufError:
        """The error of a send that is refused, which `status` says from now on."""
        self._status = status
        return self._refusal(status, reason)

    def _never_sent(self, packet: Packet, error: BaseException) -> None:
        packet.callback = None
        if not self.own:
            self._unfollow()
        self._land()
        self._status = getattr(error, "status", st.STATUS_UNSUCCESSFUL)
        self.dereference("sent")

    def _completed(self, packet: Packet) -> None:
        """The packet is over: keep how it ended, tell the routine, drop the target's reference."""
        self._failure = packet.failure()
        self._status = self._failure.status if self._failure else packet.status or _SUCCESS
        self._information = packet.information
        self._formatted = False
        if not self.own:
            self._unfollow()
        self._land()
        routine, context = self._routine, self._routine_context
        self._routine = self._routine_context = None
        try:
            if routine is not None:
                routine(self, self._target, self.completion, context)
        finally:
            self.dereference("sent")

    def _watch_end(self) -> None:
        """Have `_disposed` called when it is deleted."""
        self.add_context(_Ending, on_cleanup=Request._disposed)

    def _disposed(self) -> None:
        """The request is deleted: nothing of it holds memory any longer than its transfer does."""
        if self._flying:
            self.cancel()
        packet = self._packet
        if packet is not None:
            packet.release()

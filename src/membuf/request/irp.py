"""The I/O packet: what an originator makes, what devices pass down, and how it comes back.

    originator --submit--> device --submit--> lower device
               <-complete-        <-complete-

A packet carries its parameters, the buffers of its access method, a stack of completion routines
(last pushed, first called) and one slot for a cancel routine. Who takes the cancel routine out of
its slot decides a race between cancelling and completing; nobody can take it twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Literal

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.status import Status
from membuf.request.completion import RequestType
from membuf.request.reports import report

Mode = Literal["user", "kernel"]
CompletionRoutine = Callable[["Irp"], object]
CancelRoutine = Callable[["Irp"], object]

# Guards every cancel slot: held for a few instructions, never while calling out. What the collector
# ends inside them may come here again.
_slots = threading.RLock()


def _after_fork() -> None:
    """In a forked child: whoever held the lock is not here."""
    global _slots  # noqa: PLW0603
    _slots = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class Irp:
    """One I/O packet.

    Attributes:
        major: what it asks for.
        offset, length: of a read or write, in bytes.
        write_through: of a write: whether it is to be durable when it ends (SL_WRITE_THROUGH).
        code, input_length, output_length: of a control request.
        arguments: the pointers of an internal request with others, (1, 2, 4).
        system_buffer: the framework's copy, a writable exporter, or None (buffered).
        mdl: the originator's locked pages, or None (direct).
        user_buffer, type3_input: the originator's own exporters, or None (neither).
        mode: who made it, "user" or "kernel".
        thread: identity of the thread that made it.
        file: the file object it belongs to, or None.
        status, information: how it ended.
        cancelled: whether somebody asked for its early end.
        completed: whether it has come back to its originator.
        stack_count: devices it can pass.
        location: stack locations not used yet, the present one included; 1 is the last device's.

    Source: the IRP structure, as far as requests 3.10 of the specification names it.

    >>> irp = Irp(RequestType.READ, length=8)
    >>> irp.push(lambda irp: print("over:", irp.status, irp.information))
    >>> irp.complete(0, 8)
    over: STATUS_SUCCESS (0x00000000) 8
    """

    __slots__ = (
        "_cancel_routine",
        "_routines",
        "arguments",
        "cancelled",
        "code",
        "completed",
        "file",
        "information",
        "input_length",
        "length",
        "location",
        "major",
        "mdl",
        "mode",
        "offset",
        "output_length",
        "stack_count",
        "status",
        "system_buffer",
        "thread",
        "type3_input",
        "user_buffer",
        "write_through",
    )

    def __init__(
        self,
        major: RequestType,
        *,
        offset: int = 0,
        length: int = 0,
        code: int = 0,
        input_length: int = 0,
        output_length: int = 0,
        arguments: tuple[Any, Any, Any] | None = None,
        mode: Mode = "kernel",
        file: Any = None,
        stack_count: int = 1,
    ) -> None:
        self.major = major
        self.offset, self.length = offset, length
        self.write_through = False
        self.code, self.input_length, self.output_length = code, input_length, output_length
        self.arguments = arguments
        self.system_buffer: Any = None
        self.mdl: Any = None
        self.user_buffer: Any = None
        self.type3_input: Any = None
        self.mode: Mode = mode
        self.thread = threading.get_ident()
        self.file = file
        self.status = st.STATUS_PENDING
        self.information = 0
        self.cancelled = False
        self.completed = False
        self.stack_count = stack_count
        # One above the first device's: `Device.submit` steps onto it.
        self.location = stack_count + 1
        self._routines: list[tuple[CompletionRoutine, int]] = []
        self._cancel_routine: CancelRoutine | None = None

    def push(self, routine: CompletionRoutine) -> None:
        """Have `routine(irp)` called when it comes back to this level.

        A routine that returns True keeps the packet: whoever it belongs to there completes it
        again, and the routines below are called then.
        """
        self._routines.append((routine, self.location))

    def complete(self, status: int = st.STATUS_SUCCESS, information: int = 0) -> None:
        """End it at this level; the routines are called, last pushed first.

        What a routine raises is reported, and the next one is called.

        Raises:
            InvalidDeviceStateError: it has come back to its originator already.
        """
        if self.completed:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, "the packet is complete already: complete it once"
            )
        self.status = status if type(status) is Status else Status(status)
        self.information = information
        routines = self._routines
        while routines:
            routine, self.location = routines.pop()
            last = not routines
            self.completed = last
            try:
                kept = routine(self) is True
            except Exception as error:  # noqa: BLE001 - who completes it is not who is told
                report(error, f"a completion routine of {self!r}")
                kept = False
            if kept:
                # Who keeps it may have completed it again by now, down to the last routine.
                self.completed = self.completed and not last
                return
        self.completed = True

    def cancel(self) -> bool:
        """Ask for its early end; whether a cancel routine was there to be called.

        Without one the wish is remembered: `cancelled` says so to who owns the packet.
        """
        with _slots:
            self.cancelled = True
            routine, self._cancel_routine = self._cancel_routine, None
        if routine is None:
            return False
        routine(self)
        return True

    def set_cancel_routine(self, routine: CancelRoutine | None) -> bool:
        """Put a cancel routine into the slot, or with None take it out.

        Returns:
            With a routine: False where the packet is cancelled already; the slot stays empty then.
            With None: False where no routine was there, so that who cancelled calls it.
        """
        with _slots:
            if routine is None:
                found, self._cancel_routine = self._cancel_routine is not None, None
                return found
            if self.cancelled:
                return False
            self._cancel_routine = routine
            return True

    @property
    def described(self) -> str:
        """What it asks for, in words."""
        if self.major in (RequestType.READ, RequestType.WRITE):
            return f"{self.major.name} of {self.length} bytes at {self.offset}"
        return f"{self.major.name} {self.code:#x}" if self.code else self.major.name

    def __repr__(self) -> str:
        state = "complete" if self.completed else "cancelled" if self.cancelled else "pending"
        return f"<Irp {self.described}, mode {self.mode}, {state}>"

# cython: language_level=3, binding=False, freethreading_compatible=True, auto_pickle=False
"""The I/O packet itself, which every request makes; see `membuf.request.irp`."""

cimport cython

from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.status import Status
from membuf.request.completion import RequestType
from membuf.request.reports import report


cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil


cdef object SUCCESS = st.STATUS_SUCCESS
cdef object PENDING = st.STATUS_PENDING
cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE


@cython.freelist(32)
@cython.trashcan(True)
cdef class Irp:
    """Irp(major, *, offset=0, length=0, code=0, input_length=0, output_length=0, arguments=None,
    mode='kernel', file=None, stack_count=1, write_through=False)
    --

    One I/O packet.

    Attributes:
        major: what it asks for.
        offset, length: of a read or write, in bytes.
        code, input_length, output_length: of a control request.
        arguments: the pointers of an internal request with others, (1, 2, 4).
        system_buffer: the framework's copy, a writable exporter, or None (buffered).
        mdl: the originator's locked pages, or None (direct).
        user_buffer, type3_input: the originator's own exporters, or None (neither).
        mode: who made it, "user" or "kernel".
        thread: identity of the thread that made it.
        file: the file object it belongs to, or None.
        write_through: whether the bytes are to be durable before it completes (SL_WRITE_THROUGH).
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

    # The attributes that the class explains.
    __slots__ = (
        "arguments", "cancelled", "code", "completed", "file", "information", "input_length",
        "length", "location", "major", "mdl", "mode", "offset", "output_length", "stack_count",
        "status", "system_buffer", "thread", "type3_input", "user_buffer", "write_through",
    )

    def __init__(
        self, major, *, offset=0, length=0, code=0, input_length=0, output_length=0,
        arguments=None, mode="kernel", file=None, int stack_count=1, bint write_through=False
    ):
        self.major = major
        self.offset = offset
        self.length = length
        self.code = code
        self.input_length = input_length
        self.output_length = output_length
        self.arguments = arguments
        self.mode = mode
        self.file = file
        self.thread = PyThread_get_thread_ident()
        self.status = PENDING
        self.information = 0
        self.stack_count = stack_count
        # One above the first device's: `Device.submit` steps onto it.
        self.location = stack_count + 1
        self.write_through = write_through

    def push(self, routine):
        """Have `routine(irp)` called when it comes back to this level.

        A routine that returns True keeps the packet: whoever it belongs to there completes it
        again, and the routines below are called then.
        """
        with cython.critical_section(self):
            if self.routines:
                if self.below is None:
                    self.below = []
                self.below.append((self.routine, self.level))
            self.routine = routine
            self.level = self.location
            self.routines += 1

    cdef object pop(self):
        """The routine that was pushed last, and the level it was pushed at."""
        with cython.critical_section(self):
            routine = self.routine
            self.location = self.level
            self.routine = None
            self.routines -= 1
            if self.routines:
                self.routine, self.level = self.below.pop()
            self.completed = self.routines == 0
        return routine

    def complete(self, status=SUCCESS, information=0):
        """End it at this level; the routines are called, last pushed first.

        What a routine raises is reported, and the next one is called.

        Raises:
            InvalidDeviceStateError: it has come back to its originator already.
        """
        self.finish(status, information)

    cdef int finish(self, object status, object information) except -1:
        cdef bint last
        cdef bint kept
        if self.completed:
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST, "the packet is complete already: complete it once"
            )
        if type(status) is not Status:
            status = Status(status)
        with cython.critical_section(self):
            self.status = status
            self.information = information
        while self.routines:
            routine = self.pop()
            last = self.completed
            try:
                kept = routine(self) is True
            except Exception as error:  # who completes it is not who is told
                report(error, f"a completion routine of {self!r}")
                kept = False
            if kept:
                # Who keeps it may have completed it again by now, down to the last routine.
                self.completed = self.completed and not last
                return 0
        self.completed = True
        return 0

    def cancel(self):
        """Ask for its early end; whether a cancel routine was there to be called.

        Without one the wish is remembered: `cancelled` says so to who owns the packet.
        """
        with cython.critical_section(self):
            self.cancelled = True
            routine = self.cancel_routine
            self.cancel_routine = None
        if routine is None:
            return False
        routine(self)
        return True

    def set_cancel_routine(self, routine):
        """Put a cancel routine into the slot, or with None take it out.

        Returns:
            With a routine: False where the packet is cancelled already; the slot stays empty then.
            With None: False where no routine was there, so that who cancelled calls it.
        """
        cdef bint result
        with cython.critical_section(self):
            before = self.cancel_routine
            result = before is not None if routine is None else not self.cancelled
            if result:
                self.cancel_routine = routine
        return result

    @property
    def described(self):
        """What it asks for, in words."""
        if self.major in (READ, WRITE):
            return f"{self.major.name} of {self.length} bytes at {self.offset}"
        return f"{self.major.name} {self.code:#x}" if self.code else self.major.name

    def __repr__(self):
        state = "complete" if self.completed else "cancelled" if self.cancelled else "pending"
        return f"<Irp {self.described}, mode {self.mode}, {state}>"

# cython: language_level=3, binding=False, freethreading_compatible=True
"""The gate of a target: open while it is started, and keeping account of what passes.

Every transfer is counted in and counted out here, whoever runs it. What is on its way is a list of
the operations themselves, so that passing takes no memory and cannot fail.
"""

import threading

cimport cython

from membuf.target._operation cimport (
    OPERATION_FLUSH, OPERATION_READ, OPERATION_WRITE, Operation,
)


cdef extern from "<errno.h>" nogil:
    int ECANCELED


cdef class Gate:
    """Gate()
    --

    Whether transfers may pass, which are on their way, and what they have done so far.
    """

    def __cinit__(self):
        self.idle = threading.Condition()

    def open(self):
        """Let transfers pass."""
        with cython.critical_section(self):
            self.accepting = True

    def shut(self):
        """Let no further transfer pass."""
        with cython.critical_section(self):
            self.accepting = False

    cdef bint enter(self, Operation *operation, Py_ssize_t weight) noexcept:
        """Count a transfer in; False where the gate is shut."""
        with cython.critical_section(self):
            if not self.accepting and not operation.ignores_state:
                return False
            self.in_flight += weight
            if operation.ignores_state:
                self.ignoring += weight
            if self.in_flight > self.peak_in_flight:
                self.peak_in_flight = self.in_flight
            operation.previous = NULL
            operation.following = self.flying
            if self.flying != NULL:
                self.flying.previous = operation
            self.flying = operation
        return True

    cdef void leave(self, Operation *operation, Py_ssize_t weight) noexcept:
        """Count it out, and wake who waits for that."""
        cdef bint wake
        with cython.critical_section(self):
            self.in_flight -= weight
            if operation.ignores_state:
                self.ignoring -= weight
            if operation.previous != NULL:
                operation.previous.following = operation.following
            else:
                self.flying = operation.following
            if operation.following != NULL:
                operation.following.previous = operation.previous
            wake = self.waiters > 0
        if self.drained is not None:
            self.tell_drained()
        if wake:
            with self.idle:
                self.idle.notify_all()

    cdef void account(self, Operation *operation) noexcept:
        """Add what a transfer did to the counters."""
        with cython.critical_section(self):
            if operation.kind == OPERATION_READ:
                self.reads += 1
                self.bytes_read += operation.done
            elif operation.kind == OPERATION_WRITE:
                self.writes += 1
                self.bytes_written += operation.done
            elif operation.kind == OPERATION_FLUSH:
                self.flushes += 1
            else:
                self.controls += 1
            if operation.error == ECANCELED:
                self.cancelled += 1
            elif operation.error:
                self.errors += 1

    def cancel_flying(self, bint ignoring_too):
        """Mark what is on its way as cancelled, and return the packets among it."""
        cdef Operation *operation
        packets = []
        with cython.critical_section(self):
            operation = self.flying
            while operation != NULL:
                if ignoring_too or not operation.ignores_state:
                    operation.cancelled = True
                    if operation.owner != NULL:
                        packets.append(<object>operation.owner)
                operation = operation.following
        return packets

    def when_drained(self, callback):
        """Call it once nothing is on its way: now, or with the last transfer that leaves."""
        self.drained = callback
        self.tell_drained()

    cdef int tell_drained(self) except -1:
        with cython.critical_section(self):
            if self.in_flight or self.drained is None:
                return 0
            callback, self.drained = self.drained, None
        callback()
        return 0

    cdef Operation *abandon(self) except? NULL:
        """Start afresh with nothing on its way; returns the list of what was.

        For a forked child, in which nothing of it will ever be counted out.
        """
        cdef Operation *operation = self.flying
        self.idle = threading.Condition()
        self.drained = None
        self.flying = NULL
        self.in_flight = self.ignoring = self.waiters = 0
        return operation

    def wait(self, double seconds):
        """Sleep until a transfer is counted out, or for that long."""
        with self.idle:
            self.waiters += 1
            try:
                if self.in_flight:
                    self.idle.wait(seconds)
            finally:
                self.waiters -= 1

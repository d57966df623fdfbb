from membuf.target._operation cimport Operation


cdef class Gate:
    cdef readonly bint accepting
    cdef readonly Py_ssize_t in_flight
    cdef readonly Py_ssize_t ignoring
    cdef readonly Py_ssize_t peak_in_flight
    cdef readonly unsigned long long reads
    cdef readonly unsigned long long writes
    cdef readonly unsigned long long flushes
    cdef readonly unsigned long long controls
    cdef readonly unsigned long long bytes_read
    cdef readonly unsigned long long bytes_written
    cdef readonly unsigned long long errors
    cdef readonly unsigned long long cancelled
    cdef Py_ssize_t waiters
    cdef object idle
    cdef object drained
    cdef Operation *flying

    cdef bint enter(self, Operation *operation, Py_ssize_t weight) noexcept
    cdef void leave(self, Operation *operation, Py_ssize_t weight) noexcept
    cdef void account(self, Operation *operation) noexcept
    cdef int tell_drained(self) except -1
    cdef Operation *abandon(self) except? NULL

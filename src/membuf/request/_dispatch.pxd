from membuf.request._core cimport AnyDevice, AnyQueue
from membuf.request._irp cimport Irp
from membuf.request._received cimport ReceivedCore


cdef class QueueCore(AnyQueue):
    cdef readonly object dispatch
    cdef readonly object maximum
    cdef readonly bint allow_zero_length
    cdef readonly DeviceCore device
    cdef public dict _handlers
    cdef public object _waiting
    cdef public set _marked
    cdef public object _jobs
    cdef public object _on_idle
    cdef public object _on_empty
    cdef public object _on_ready
    cdef public bint _accepts
    cdef public bint _dispatches
    cdef public bint _held
    cdef public bint _cancels_owned
    cdef public bint _ready_due
    cdef public Py_ssize_t _owned
    cdef public Py_ssize_t _ending
    cdef public Py_ssize_t _presented
    cdef public Py_ssize_t _completed
    cdef public Py_ssize_t _cancelled
    cdef Py_ssize_t limit
    cdef bint manual
    cdef bint sequential
    # The threads in its dispatch loop.
    cdef unsigned long *inside
    cdef Py_ssize_t insiders
    cdef Py_ssize_t room
    # Of a sequential queue: whether a thread presents, and which.
    cdef bint is_presented
    cdef unsigned long presenter

    cdef int arrive(self, ReceivedCore request) except -1
    cdef bint is_inside(self, unsigned long thread) noexcept
    cdef bint may_present(self, unsigned long thread) noexcept
    cdef bint passes_through(self, ReceivedCore request, unsigned long thread) except -1
    cdef int enter_loop(self, unsigned long thread) except -1
    cdef void leave_loop(self, unsigned long thread) noexcept
    cdef object begin(self, unsigned long thread)
    cdef object next_job(self, unsigned long thread)
    cdef int run(self, unsigned long thread, object job) except -1
    cdef void take_turn(self, unsigned long thread) noexcept
    cdef int present(self, ReceivedCore request) except -1
    cdef int give(self, ReceivedCore request) except -1


cdef class DeviceCore(AnyDevice):
    cdef public object filter
    cdef public str _power
    cdef object arrival
    cdef object in_caller
    cdef public dict _handlers
    cdef public dict _routes
    cdef public object _default

    cdef ReceivedCore received(self, Irp irp)
    cdef int call(self, object handler, ReceivedCore request) except -1

from cpython.object cimport PyTypeObject
from membuf.request._irp cimport Irp


cdef extern from "membuf_native.h":
    const char *MEMBUF_API_NAME
    int MEMBUF_API_VERSION

    ctypedef struct membuf_api:
        int version
        PyTypeObject *memory_type
        int (*object_begin)(object self) except -1
        int (*object_end)(object self) except -1
        bint (*object_frozen)(object self) noexcept
        object (*request_memory)(object buffer, object size, bint read_only, object request)
        Py_ssize_t (*references)(object self) noexcept

    ctypedef class membuf._native.Object [object membuf_object]:
        pass

cdef extern from "Python.h":
    ctypedef void *PyThread_type_lock


cdef class Lock:
    cdef PyThread_type_lock lock
    cdef bint held

    cdef void take(self) noexcept
    cdef void leave(self) noexcept


cdef class RequestCore(Object):
    # Those of a request of one's own are slots for Python: see `_core.pyx`.
    cdef object _cancelled
    cdef object _control
    cdef object _failure
    cdef object _formatted
    cdef object _information
    cdef object _memory
    cdef object _memory_offset
    cdef object _packet
    cdef object _routine
    cdef object _routine_context
    cdef object _status
    cdef object _target
    cdef object _type
    cdef readonly bint _flying


cdef class Retrieved:
    cdef public object input
    cdef public object output
    cdef public object input_mdl
    cdef public object output_mdl
    cdef public object mapped
    cdef public list locked


cdef class ReceivedCore(RequestCore):
    cdef Irp packet
    cdef QueueCore in_queue
    cdef readonly DeviceCore device
    cdef readonly object type
    cdef public int _owner
    cdef public int _mark
    cdef public bint _presented
    cdef public bint _in_caller
    cdef public bint _has_callbacks
    cdef public object _on_cancel
    cdef public Retrieved _retrieved

    cdef int begin(self, DeviceCore device, Irp irp) except -1
    cdef bint may_say(self, object information) except -1
    cdef bint is_held(self) except -1
    cdef int claim(self, str what) except -1
    cdef int end(self, object status, object information, bint owned) except -1
    cdef object end_objects(self)
    cdef object transfer_memory(self, object kind, bint read_only)
    cdef void put_in(self, QueueCore queue) noexcept


cdef class QueueCore(Object):
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
    cdef int left(self, bint owned) except -1


cdef class DeviceCore(Object):
    cdef readonly Lock _lock
    cdef public object io_type
    cdef public object target
    cdef public object filter
    cdef public str _power
    cdef public object _arrival
    cdef public object _in_caller
    cdef public dict _handlers
    cdef public dict _routes
    cdef public object _default

    cdef ReceivedCore received(self, Irp irp)
    cdef int call(self, object handler, ReceivedCore request) except -1

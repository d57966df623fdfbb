from membuf.request._core cimport AnyDevice, AnyQueue, RequestCore
from membuf.request._irp cimport Irp


cdef enum Owner:
    FRAMEWORK = 0
    DRIVER = 1
    ENDING = 2
    GONE = 3


cdef class Retrieved:
    cdef public object input
    cdef public object output
    cdef public object input_mdl
    cdef public object output_mdl
    cdef public object mapped
    cdef public list locked


cdef class ReceivedCore(RequestCore):
    cdef Irp packet
    cdef AnyQueue in_queue
    cdef readonly AnyDevice device
    cdef readonly object type
    cdef public int _owner
    cdef public int _mark
    cdef public bint _presented
    cdef public bint _in_caller
    cdef public bint _has_callbacks
    cdef public object _on_cancel
    cdef Retrieved kept

    cdef int begin(self, AnyDevice device, Irp irp) except -1
    cdef bint may_say(self, object information) except -1
    cdef bint is_held(self) except -1
    cdef int claim(self, str what) except -1
    cdef int end(self, object status, object information, bint owned) except -1
    cdef object end_objects(self)
    cdef object transfer_memory(self, object kind, bint read_only)
    cdef object buffered_memory(self, Irp irp, bint read_only)
    cdef void put_in(self, AnyQueue queue) noexcept

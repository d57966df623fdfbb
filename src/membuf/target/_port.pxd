from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from membuf.target._gate cimport Gate
from membuf.target._operation cimport Hold, Operation
from posix.uio cimport iovec


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef extern from "<errno.h>" nogil:
    int ECANCELED


cdef enum:
    PACKET_READY = 0
    PACKET_STARTED = 1
    PACKET_DONE = 2


cdef class Port(Gate):
    cdef readonly int fd
    cdef readonly object name
    cdef readonly bint stream
    cdef readonly Py_ssize_t memory_alignment
    cdef readonly Py_ssize_t offset_alignment
    cdef size_t memory_mask
    cdef size_t offset_mask

    cdef int describe(self, Operation *operation, int kind, object offset) except -1
    cdef int attach(
        self, Operation *operation, iovec *vector, Hold *hold, object memory, Py_ssize_t start,
        Py_ssize_t length
    ) except -1
    cdef bint is_aligned(self, Operation *operation, iovec *vector) noexcept
    cdef object refusal(self, Operation *operation, iovec *vector)
    cpdef Py_ssize_t delivering(self)


cdef class Packet:
    cdef Operation operation
    cdef Hold hold
    cdef Hold *holds
    cdef iovec *vector_block
    cdef int hold_count
    cdef int state
    cdef uint64_t mark
    cdef bint entered
    cdef bint keeps_memory
    cdef PyObject *enclosing
    cdef readonly Port port
    cdef public object callback
    cdef public object lane
    cdef public object status
    cdef public bint timed_out
    cdef bint waited
    cdef readonly bint worked

    cdef int fill(
        self, Port port, int kind, object memory, object offset, object memory_offset,
        object memory_length
    ) except -1
    cdef int fill_vectors(self, object memories) except -1
    cpdef bint begin(self) except -1
    cpdef release(self)
    cdef void drop_holds(self) noexcept
    cdef int finished(self) except -1
    cdef void deliver(self) noexcept
    cdef void complete(self) noexcept
    cdef void depart(self) noexcept
    cdef void disown(self) noexcept
    cdef int look_at(self, object deadline) except -1
    cdef int look_for_signals(self) except -1

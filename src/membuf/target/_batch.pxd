from membuf.target._operation cimport Hold, Operation
from membuf.target._port cimport Port


cdef class Batch:
    cdef readonly Port port
    cdef Py_ssize_t count
    cdef Py_ssize_t begun
    cdef bint entered
    cdef Operation gate
    cdef Operation *operations
    cdef Hold *holds

    cdef int add(self, Py_ssize_t index, int kind, object memory, object offset) except -1
    cdef void release(self) noexcept

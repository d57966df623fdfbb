from cpython.object cimport PyObject

from membuf.target._port cimport Packet, Port


cdef PyObject *set_stepping(PyObject *loop) noexcept
cpdef current_loop()


cdef class Future(Packet):
    cdef public bint _asyncio_future_blocking
    cdef object loop
    cdef object waiter
    cdef object waiter_context
    cdef list others
    cdef object cancel_message
    cdef bint cancel_asked
    cdef bint looked_at

    cdef bint ended_for_good(self) noexcept
    cdef object outcome(self)
    cdef int begin_on(
        self, object loop, Port port, int kind, object memory, object offset,
        object memory_offset, object memory_length
    ) except -1
    cdef int wake(self, object callback, object context) except -1


cdef class Notice(Packet):
    cdef object given

    cdef int begin_with(
        self, object callback, Port port, int kind, object memory, object offset,
        object memory_offset, object memory_length
    ) except -1

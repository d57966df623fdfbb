from membuf.target._port cimport Packet


cdef class Future(Packet):
    cdef public object _asyncio_future_blocking
    cdef object loop
    cdef list callbacks
    cdef object cancel_message
    cdef bint cancel_asked
    cdef bint looked_at

    cdef object outcome(self)

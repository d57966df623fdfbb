from libc.stdint cimport uint64_t
from membuf.bus.nbd._command cimport Command, Counters, Home


cdef class Replies(Home):
    cdef object owner
    cdef int fd
    cdef object tls
    cdef bint structured
    cdef Counters counters
    cdef Command youngest  # of the commands that are not over
    cdef list replies
    cdef Py_ssize_t next_reply
    cdef size_t sent  # bytes of the first reply
    cdef object plain  # TLS: bytes that were given to be encrypted, and are not sent yet
    cdef bint receiving
    cdef bint flush_due
    cdef bint blocked  # the socket takes no more
    cdef readonly bint closed
    cdef readonly Py_ssize_t commands
    cdef readonly size_t byte_count
    cdef public uint64_t progress  # bytes received and sent

    cdef int succeed(self, Command command) except -1
    cdef int fail(self, Command command, int error) except -1
    cdef int reply(self, Command command) except -1
    cdef int flush(self) except -1
    cdef int flushed(self) except -1
    cdef bint has_replies(self) noexcept
    cdef int send_some(self) except -1
    cdef int note_sent(self, size_t sent) except -1
    cdef int send_secured(self) except -1
    cdef int block(self) except -1
    cdef int count_in(self, Command command) except -1
    cdef int count_out(self, Command command) except -1
    cdef int lost(self, str reason) except -1
    cdef list on_their_way(self)
    cdef int dropped(self) except -1

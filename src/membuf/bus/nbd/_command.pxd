from libc.stdint cimport uint16_t, uint32_t, uint64_t
from membuf.request._irp cimport Irp
from membuf.target._operation cimport Hold


cdef enum:
    COMMAND_READ = 0
    COMMAND_WRITE = 1
    COMMAND_DISC = 2
    COMMAND_FLUSH = 3
    COMMAND_TRIM = 4
    COMMAND_CACHE = 5
    COMMAND_ZERO = 6
    COMMAND_STATUS = 7
    COMMANDS = 8

cdef enum:
    FLAG_FUA = 1
    FLAG_NO_HOLE = 2
    FLAG_DF = 4
    FLAG_REQ_ONE = 8
    FLAG_FAST_ZERO = 16

cdef enum:
    CHUNK_NONE = 0
    CHUNK_DATA = 1
    CHUNK_STATUS = 5
    CHUNK_ERROR = 0x8001


cdef class Buffers:
    cdef list plain
    cdef list cleared
    cdef object tag

    cdef object take(self, size_t size, bint clear)


cdef class Counters:
    cdef uint64_t[8] commands
    cdef public uint64_t bytes_read
    cdef public uint64_t bytes_written
    cdef public uint64_t errors
    cdef public Py_ssize_t in_flight
    cdef public Py_ssize_t peak_in_flight


cdef class Home:
    cdef unsigned long thread

    cdef int ended_here(self, Command command) except -1
    cdef int ended_elsewhere(self, Command command) except -1


cdef class Command:
    cdef Home home
    cdef Command before  # the commands of a connection that are not over, linked
    cdef Command behind
    cdef readonly uint64_t cookie
    cdef readonly uint64_t offset
    cdef readonly uint32_t length
    cdef readonly uint16_t kind
    cdef readonly uint16_t flags
    cdef Irp irp
    cdef object memory
    cdef object finish
    cdef object extra  # bytes behind the head of a reply that is no read's
    cdef Hold hold
    cdef char *address
    cdef size_t arrived  # of what a write brings
    cdef bint flushing
    cdef bint answered
    cdef int refusal  # the error of a write that is answered when all of it has come
    cdef unsigned char head[32]
    cdef size_t head_length
    cdef const char *payload
    cdef size_t payload_length

    cdef size_t cost(self) noexcept
    cdef int take_memory(self, Buffers buffers, bint clear) except -1
    cdef int let_go(self) except -1
    cdef void answer_simply(self, uint32_t error) noexcept
    cdef void answer_in_chunk(self, uint16_t kind, size_t length) noexcept
    cdef void put_offset(self) noexcept

from libc.stdint cimport int32_t, uint32_t, uint64_t

from membuf.target._batch cimport Batch
from membuf.target._operation cimport Operation
from membuf.target._port cimport Packet
from membuf.target._regions cimport Regions


cdef extern from "liburing.h" nogil:
    struct io_uring_params:
        uint32_t flags
        uint32_t features

    struct io_uring_sqe:
        uint64_t user_data
        uint32_t flags
        uint32_t buf_index

    struct io_uring_cqe:
        uint64_t user_data
        int32_t res

    struct io_uring_sq:
        unsigned ring_entries

    struct io_uring_cq:
        unsigned ring_entries

    struct io_uring:
        io_uring_sq sq
        io_uring_cq cq
        unsigned flags
        int ring_fd


cdef class Ring:
    cdef io_uring ring
    cdef object __weakref__
    cdef bint open
    cdef int taking
    cdef bint idles
    cdef readonly bint retired
    cdef readonly unsigned depth
    cdef readonly unsigned busy
    cdef readonly unsigned unsubmitted
    cdef readonly unsigned long long submissions
    cdef size_t copied_bytes
    cdef object backlog
    cdef Regions regions
    cdef bint flushing
    cdef object lane
    cdef object loop

    cdef io_uring_sqe *entry(self) noexcept nogil
    cdef bint push(self, Operation *operation, uint64_t mark) noexcept nogil
    cdef void hand_over(self) noexcept
    cdef int submit(self, bint wait) noexcept nogil
    cdef void find_regions(self, Batch batch) noexcept
    cdef bint drive(self, Batch batch) noexcept nogil
    cdef void feed(self, Batch batch) noexcept nogil
    cdef void take_operations(self) noexcept nogil
    cdef bint pass_port(self, Packet packet) except -1
    cpdef start(self, Packet packet)
    cdef int take_packets(self) noexcept
    cdef bint take_one(self) noexcept
    cdef void exit(self) noexcept
    cdef void send(self, Packet packet) noexcept
    cdef void push_packet(self, Packet packet, uint64_t mark) noexcept
    cdef void end(self, Packet packet) noexcept
    cdef void came_back(self, uint64_t mark, int result) noexcept
    cdef void await_ready(self, Packet packet) noexcept

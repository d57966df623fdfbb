from membuf.target._operation cimport Hold, Operation


cdef enum:
    REGIONS_MAXIMUM = 64


cdef struct Region:
    # A mapping that transfers use: at first only counted, then registered with the ring.
    char *base
    size_t size
    void *domain
    int uses
    bint registered


cdef class Regions:
    cdef void *ring
    cdef Region table[REGIONS_MAXIMUM]
    cdef int count
    cdef bint prepared
    cdef readonly size_t registered_bytes
    cdef readonly int refusal

    cdef int find(self, Hold *hold, Operation *operation) noexcept
    cdef int count_in(self, Hold *hold) noexcept
    cdef int register(self, int slot, Hold *hold) noexcept
    cdef void let_go(self) noexcept

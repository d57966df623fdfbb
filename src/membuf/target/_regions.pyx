# cython: language_level=3, binding=False, freethreading_compatible=True
"""The slabs that a ring knows in advance: the system need not look their pages up at each transfer.

A mapping is registered when it has been used a few times, so that memory used once costs nothing
(registering makes all its pages present and pins them). What is registered stays mapped until the
ring is closed, and there is a limit to it.
"""

cimport cython

from membuf.target._operation cimport (
    Hold, Operation, hold_region, unhold_region,
)
from posix.uio cimport iovec


cdef extern from "liburing.h" nogil:
    struct io_uring:
        pass
    int io_uring_register_buffers_sparse(io_uring *ring, unsigned count)
    int io_uring_register_buffers_update_tag(
        io_uring *ring, unsigned offset, const iovec *vectors, const unsigned long long *tags,
        unsigned count)

cdef enum:
    USES_BEFORE_REGISTERING = 8

cdef extern from *:
    """
    #define MEMBUF_REGISTERED_MAXIMUM ((size_t)64 << 20)
    """
    size_t MEMBUF_REGISTERED_MAXIMUM


@cython.final
cdef class Regions:
    """The registered mappings of one ring; used by the ring's thread."""

    def __dealloc__(self):
        self.let_go()

    cdef int find(self, Hold *hold, Operation *operation) noexcept:
        """The number under which the ring knows the memory of an operation, or -1."""
        cdef char *start = <char *>operation.vectors.iov_base
        cdef Region *region
        cdef int slot
        if self.refusal or hold.by_export:
            return -1
        for slot in range(self.count):
            region = &self.table[slot]
            if region.base <= start < region.base + region.size:
                if region.registered:
                    return slot if start + operation.length <= region.base + region.size else -1
                region.uses += 1
                if region.uses < USES_BEFORE_REGISTERING:
                    return -1
                return self.register(slot, hold)
        return self.count_in(hold)

    cdef int count_in(self, Hold *hold) noexcept:
        """Begin to count the uses of a mapping."""
        cdef Region *region
        if self.count == REGIONS_MAXIMUM:
            return -1
        region = &self.table[self.count]
        if not hold_region(hold, &region.domain, <void **>&region.base, &region.size):
            return -1
        unhold_region(region.domain, region.base)
        region.uses = 1
        self.count += 1
        return -1

    cdef int register(self, int slot, Hold *hold) noexcept:
        """Have the ring know the mapping that `hold` lies in now under that number."""
        cdef Region *region = &self.table[slot]
        cdef iovec vector
        cdef unsigned long long tag = 0
        cdef int answer = 0
        # Asked anew: what was counted may have been unmapped since, and its place taken.
        if not hold_region(hold, &region.domain, <void **>&region.base, &region.size):
            return -1
        region.uses = 0
        if self.registered_bytes + region.size > MEMBUF_REGISTERED_MAXIMUM:
            unhold_region(region.domain, region.base)
            return -1
        if not self.prepared:
            answer = io_uring_register_buffers_sparse(<io_uring *>self.ring, REGIONS_MAXIMUM)
            self.prepared = answer >= 0
        if answer >= 0:
            vector.iov_base = region.base
            vector.iov_len = region.size
            answer = io_uring_register_buffers_update_tag(
                <io_uring *>self.ring, slot, &vector, &tag, 1)
        if answer < 0:
            # An old kernel, or no right to pin that much: transfers work without.
            self.refusal = -answer
            unhold_region(region.domain, region.base)
            return -1
        region.registered = True
        self.registered_bytes += region.size
        return slot

    cdef void let_go(self) noexcept:
        """The ring is closed: what was registered may be unmapped."""
        cdef int slot
        for slot in range(self.count):
            if self.table[slot].registered:
                unhold_region(self.table[slot].domain, self.table[slot].base)
        self.count = 0
        self.registered_bytes = 0

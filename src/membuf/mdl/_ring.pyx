# cython: language_level=3, binding=False, freethreading_compatible=True
"""Pages that the system holds for us: buffers registered with a ring that does no I/O."""

from libc.stdint cimport uintptr_t
from posix.uio cimport iovec

from membuf.base.errors import from_errno


cdef extern from "liburing.h" nogil:
    struct io_uring:
        int ring_fd
    int io_uring_queue_init(unsigned entries, io_uring *ring, unsigned flags)
    void io_uring_queue_exit(io_uring *ring)
    int io_uring_register_buffers_sparse(io_uring *ring, unsigned count)
    int io_uring_register_buffers_update_tag(
        io_uring *ring, unsigned offset, const iovec *vectors, const unsigned long long *tags,
        unsigned count)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)


cdef class PinRing:
    """PinRing(slots)
    --

    So many places for pinned ranges.

    Raises:
        MembufError: the system has no io_uring, forbids it, or is older than Linux 5.19.
    """

    cdef io_uring ring
    cdef bint open

    def __init__(self, unsigned slots):
        cdef int answer
        if self.open:
            raise RuntimeError("a ring is made once")
        answer = io_uring_queue_init(1, &self.ring, 0)
        if answer >= 0:
            self.open = True
            answer = io_uring_register_buffers_sparse(&self.ring, slots)
        if answer < 0:
            self.close()
            raise from_errno(-answer, "io_uring cannot pin pages here")

    def __dealloc__(self):
        self.close()

    def pin(self, unsigned slot, size_t address, size_t size):
        """Fix the frames of pages that are mapped and writable; 0 or an errno."""
        return self.update(slot, address, size)

    def unpin(self, unsigned slot):
        """Let the frames of a place go."""
        self.update(slot, 0, 0)

    cpdef close(self):
        """Let everything go."""
        if self.open:
            self.open = False
            io_uring_queue_exit(&self.ring)

    def leave(self):
        """In a forked child: let go of the ring, which is the parent's, untouched."""
        if self.open:
            self.open = False
            close(self.ring.ring_fd)

    cdef int update(self, unsigned slot, size_t address, size_t size) noexcept:
        cdef unsigned long long tag = 0
        cdef iovec vector
        cdef int answer
        # SAFETY: the pages are only held; whoever pins keeps them mapped until the unpin.
        vector.iov_base = <void *><uintptr_t>address
        vector.iov_len = size
        with nogil:
            answer = io_uring_register_buffers_update_tag(&self.ring, slot, &vector, &tag, 1)
        return -answer if answer < 0 else 0

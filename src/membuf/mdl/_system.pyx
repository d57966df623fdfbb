# cython: language_level=3, binding=False, freethreading_compatible=True
"""What the system knows of pages: present, locked, and by whom."""

from cpython cimport array
from cpython.buffer cimport PyObject_GetBuffer
from cpython.ref cimport Py_DECREF
from libc.errno cimport EBUSY, errno
from libc.stdint cimport uint64_t, uintptr_t


cdef extern from "<sys/mman.h>" nogil:
    int MS_INVALIDATE
    int msync(void *address, size_t size, int flags)
    int madvise(void *address, size_t size, int advice)

cdef enum:
    # By their numbers, so that headers older than Linux 5.14 will do.
    MADV_POPULATE_READ = 22
    MADV_POPULATE_WRITE = 23


cdef extern from "<sys/syscall.h>" nogil:
    long SYS_mlock
    long SYS_munlock

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, ...)
    ssize_t pread(int fd, void *buffer, size_t count, long long offset)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <sys/ioctl.h>

    /* PROCMAP_QUERY of Linux 6.11 by its documented layout of thirteen 64-bit words: size, flags,
       address asked for; then start, end, flags and page size of the mapping there. */
    static int membuf_mapping(int fd, uint64_t address, uint64_t *start, uint64_t *end,
                              uint64_t *page_size)
    {
        uint64_t query[13];
        memset(query, 0, sizeof query);
        query[0] = sizeof query;
        query[2] = address;
        if (ioctl(fd, _IOWR('f', 17, uint64_t[13]), query) != 0) {
            return -1;
        }
        *start = query[3];
        *end = query[4];
        *page_size = query[6];
        return 0;
    }
    """
    int membuf_mapping(
        int fd, uint64_t address, uint64_t *start, uint64_t *end, uint64_t *page_size) nogil

cdef enum:
    PAGE = 4096

cdef extern from *:
    """
    #define MEMBUF_PRESENT ((uint64_t)1 << 63)
    #define MEMBUF_FRAME (((uint64_t)1 << 55) - 1)
    """
    uint64_t MEMBUF_PRESENT
    uint64_t MEMBUF_FRAME

cdef array.array numbers = array.array("Q")


cdef class Exporter:
    """A class whose instances are buffers: of what their `buffer` property answers."""

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        # Cython has put a None there, which is overwritten: the view belongs to who exports it.
        Py_DECREF(None)
        PyObject_GetBuffer(self.buffer, buffer, flags)


def populate(size_t address, size_t size, bint write):
    """Make pages present and check that they can be read, or written; 0 or an errno."""
    cdef int advice = MADV_POPULATE_WRITE if write else MADV_POPULATE_READ
    cdef int answer
    with nogil:
        # SAFETY: only the page tables change; what is not mapped is refused.
        answer = madvise(<void *><uintptr_t>address, size, advice)
    return errno if answer != 0 else 0


def lock_pages(size_t address, size_t size):
    """Keep pages in memory; 0 or an errno, with part of them perhaps locked."""
    cdef long answer
    with nogil:
        # SAFETY: no byte is touched; what is not mapped is refused. Asked of the system itself,
        # since sanitizers make mlock() do nothing.
        answer = syscall(SYS_mlock, <void *><uintptr_t>address, size)
    return errno if answer != 0 else 0


def unlock_pages(size_t address, size_t size):
    """Let pages be paged out again, whoever locked them."""
    with nogil:
        # SAFETY: no byte is touched.
        syscall(SYS_munlock, <void *><uintptr_t>address, size)


def is_any_locked(size_t address, size_t size):
    """Whether any of these pages is locked, by whomever."""
    cdef int answer
    with nogil:
        # SAFETY: by itself MS_INVALIDATE does nothing in Linux but refuse locked pages.
        answer = msync(<void *><uintptr_t>address, size, MS_INVALIDATE)
    return answer != 0 and errno == EBUSY


def read_frames(int fd, size_t address, Py_ssize_t count):
    """The frame numbers of pages, or None where one is absent or its number is hidden.

    Args:
        fd: of the page map of this process.
        address: where the first page begins.
        count: how many.
    """
    cdef array.array frames = array.clone(numbers, count, False)
    cdef uint64_t *entries = <uint64_t *>frames.data.as_ulonglongs
    cdef ssize_t wanted = count * <ssize_t>sizeof(uint64_t)
    cdef ssize_t done = 0
    cdef ssize_t answer = 1
    cdef bint known = True
    cdef Py_ssize_t index
    with nogil:
        while done < wanted and answer > 0:
            answer = pread(
                fd, <char *>entries + done, wanted - done, address // PAGE * 8 + done)
            done += max(answer, 0)
        for index in range(done // <ssize_t>sizeof(uint64_t)):
            if not entries[index] & MEMBUF_PRESENT or not entries[index] & MEMBUF_FRAME:
                known = False
            entries[index] &= MEMBUF_FRAME
    return frames if known and done == wanted else None


def mapping_at(int fd, uint64_t address):
    """The mapping an address lies in: (start, end, page size), or None where it is not known.

    Args:
        fd: of the list of mappings of this process.
        address: any address in it.
    """
    cdef uint64_t start = 0
    cdef uint64_t end = 0
    cdef uint64_t page_size = 0
    if membuf_mapping(fd, address, &start, &end, &page_size) != 0:
        return None
    return start, end, page_size

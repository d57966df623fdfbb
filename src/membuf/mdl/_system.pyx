# cython: language_level=3, binding=False, freethreading_compatible=True
"""What the system knows of pages: present, locked, and by whom."""

from cpython.buffer cimport PyObject_GetBuffer
from cpython.ref cimport Py_DECREF
from libc.errno cimport EBUSY, errno
from libc.stdint cimport uintptr_t


cdef extern from "<sys/mman.h>" nogil:
    int MS_INVALIDATE
    int mlock(const void *address, size_t size)
    int munlock(const void *address, size_t size)
    int msync(void *address, size_t size, int flags)
    int madvise(void *address, size_t size, int advice)

cdef enum:
    # By their numbers, so that headers older than Linux 5.14 will do.
    MADV_POPULATE_READ = 22
    MADV_POPULATE_WRITE = 23


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
    cdef int answer
    with nogil:
        # SAFETY: no byte is touched; what is not mapped is refused.
        answer = mlock(<void *><uintptr_t>address, size)
    return errno if answer != 0 else 0


def unlock_pages(size_t address, size_t size):
    """Let pages be paged out again, whoever locked them."""
    with nogil:
        # SAFETY: no byte is touched.
        munlock(<void *><uintptr_t>address, size)


def is_any_locked(size_t address, size_t size):
    """Whether any of these pages is locked, by whomever."""
    cdef int answer
    with nogil:
        # SAFETY: by itself MS_INVALIDATE does nothing in Linux but refuse locked pages.
        answer = msync(<void *><uintptr_t>address, size, MS_INVALIDATE)
    return answer != 0 and errno == EBUSY

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t
from posix.uio cimport iovec


cdef extern from "membuf_native.h":
    const char *MEMBUF_API_NAME
    int MEMBUF_API_VERSION

    ctypedef struct membuf_hold:
        PyObject *memory
        void *address
        Py_ssize_t size

    ctypedef struct membuf_api:
        int version
        PyTypeObject *memory_type
        int (*hold)(object memory, int writable, membuf_hold *out) except -1
        void (*unhold)(membuf_hold *hold)
        int (*region_hold)(
            const membuf_hold *hold, void **domain, void **base, size_t *size
        ) noexcept
        void (*region_unhold)(void *domain, void *base) noexcept


cdef enum:
    OPERATION_READ = 3
    OPERATION_WRITE = 4
    OPERATION_FLUSH = 9

cdef enum:
    TRANSFER_MAXIMUM = 1 << 30
    VECTORS_MAXIMUM = 1024


cdef union HoldDetail:
    membuf_hold native
    Py_buffer view


cdef struct Hold:
    # Keeps bytes where they are: a memory object's by the core's hold, which costs no object, any
    # other buffer's by an export. `exporter` is NULL where nothing is held; a memory object belongs
    # to the core's hold, any other exporter to this one.
    PyObject *exporter
    bint by_export
    HoldDetail detail


cdef struct Operation:
    # One transfer as the engines see it: plain data, so that it needs no interpreter.
    int fd
    int kind
    bint stream
    bint data_only
    bint may_block
    bint ignores_state
    int region
    int patience
    int error
    int cancelled
    int vector_count
    iovec *vectors
    iovec vector
    size_t length
    size_t done
    int64_t offset
    size_t offset_mask
    void *owner
    Operation *previous
    Operation *following


cdef int hold_take(
    Hold *hold, object memory, bint writable, char **address, Py_ssize_t *size
) except -1
cdef void hold_drop(Hold *hold) noexcept
cdef char *hold_address(const Hold *hold) noexcept
cdef Py_ssize_t hold_size(const Hold *hold) noexcept
cdef bint hold_region(Hold *hold, void **domain, void **base, size_t *size) noexcept
cdef void unhold_region(void *domain, void *base) noexcept

cdef bint operation_advance(Operation *operation, ssize_t result) noexcept nogil
cdef bint operation_run(Operation *operation) noexcept nogil
cdef Py_ssize_t exact_size(object value, str name) except? -1

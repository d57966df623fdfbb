# cython: language_level=3, binding=False, freethreading_compatible=True
"""A transfer as plain data: how it is held, carried on after a short result, and run by a thread.

The rules for a short result, the same for every engine:

* A file or block device: carried on until all bytes are there, the file ends, or the system
  answers with an error. `done` counts what was transferred before the error.
* A stream (pipe, socket, terminal): a read ends with the first bytes that arrive, a write with the
  last byte written.
* Direct I/O that stops inside a block has met the end of the file.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_Clear
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_Import
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.errno cimport EAGAIN, EINTR, EINVAL, EIO, errno
from posix.uio cimport iovec

from membuf.base.errors import AccessViolationError
from membuf.target import failures


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PyLong_AsSsize_t(object number) noexcept
    bint Py_IS_TYPE(object instance, PyTypeObject *type)

cdef extern from "<errno.h>" nogil:
    int ECANCELED
    int EOPNOTSUPP

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    short POLLIN
    short POLLOUT
    int poll(pollfd *fds, unsigned long count, int timeout)

cdef extern from "<unistd.h>" nogil:
    int fsync(int fd)
    int fdatasync(int fd)

cdef extern from "<sys/uio.h>" nogil:
    int RWF_NOWAIT
    ssize_t preadv(int fd, const iovec *vectors, int count, long long offset)
    ssize_t pwritev(int fd, const iovec *vectors, int count, long long offset)
    ssize_t preadv2(int fd, const iovec *vectors, int count, long long offset, int flags)
    ssize_t pwritev2(int fd, const iovec *vectors, int count, long long offset, int flags)

cdef enum:
    # How long a thread waits on a silent stream before it looks whether it was cancelled.
    CANCEL_LOOK_MILLISECONDS = 20


cdef const membuf_api *core = <const membuf_api *>PyCapsule_Import(MEMBUF_API_NAME, 0)
if core.version != MEMBUF_API_VERSION:
    raise ImportError("membuf._native and membuf.target come from different builds")


cdef int hold_take(
    Hold *hold, object memory, bint writable, char **address, Py_ssize_t *size
) except -1:
    """Hold the bytes of `memory` and say where they are; after an error nothing is held."""
    if Py_IS_TYPE(memory, core.memory_type):
        core.hold(memory, writable, &hold.detail.native)
        address[0] = <char *>hold.detail.native.address
        size[0] = hold.detail.native.size
        hold.exporter = <PyObject *>memory
        hold.by_export = False
        return 0
    try:
        PyObject_GetBuffer(
            memory, &hold.detail.view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    except BufferError as error:
        raise AccessViolationError(
            f"a read needs writable, contiguous memory; got {type(memory).__name__}: {error}"
        ) from None
    address[0] = <char *>hold.detail.view.buf
    size[0] = hold.detail.view.len
    Py_INCREF(memory)
    hold.exporter = <PyObject *>memory
    hold.by_export = True
    return 0


cdef void hold_drop(Hold *hold) noexcept:
    """Let go what is held, if anything is."""
    cdef PyObject *exporter = hold.exporter
    if exporter == NULL:
        return
    hold.exporter = NULL
    if hold.by_export:
        PyBuffer_Release(&hold.detail.view)
        Py_XDECREF(exporter)
    else:
        core.unhold(&hold.detail.native)


cdef char *hold_address(const Hold *hold) noexcept:
    """Where the held bytes begin."""
    return <char *>hold.detail.view.buf if hold.by_export else <char *>hold.detail.native.address


cdef Py_ssize_t hold_size(const Hold *hold) noexcept:
    """How many bytes are held."""
    return hold.detail.view.len if hold.by_export else hold.detail.native.size


cdef bint hold_region(Hold *hold, void **domain, void **base, size_t *size) noexcept:
    """Keep the mapping around a held memory object mapped; False where it is not the core's."""
    return core.region_hold(&hold.detail.native, domain, base, size) == 1


cdef void unhold_region(void *domain, void *base) noexcept:
    core.region_unhold(domain, base)


cdef void skip(Operation *operation, size_t count) noexcept nogil:
    """Move the start of what is left past `count` bytes, which are fewer than what is left."""
    while count >= operation.vectors.iov_len:
        count -= operation.vectors.iov_len
        operation.vectors += 1
        operation.vector_count -= 1
    operation.vectors.iov_base = <char *>operation.vectors.iov_base + count
    operation.vectors.iov_len -= count


cdef bint operation_advance(Operation *operation, ssize_t result) noexcept nogil:
    """Take in the result of one attempt (a count, or minus an errno); True when it is over."""
    if result < 0:
        if result == -EINTR and not operation.cancelled:
            return False
        operation.error = ECANCELED if result == -EINTR else <int>-result
        return True
    operation.done += <size_t>result
    if operation.done >= operation.length:
        return True
    if result == 0:
        # A write that takes nothing and names no reason would be tried for ever.
        operation.error = 0 if operation.kind == OPERATION_READ else EIO
        return True
    if operation.kind == OPERATION_READ:
        if operation.stream or operation.done & operation.offset_mask:
            return True
    skip(operation, <size_t>result)
    return False


cdef int operation_await_ready(Operation *operation) noexcept nogil:
    """Wait a moment for a stream to be readable or writable; 0, or minus an errno."""
    cdef pollfd waiting
    cdef int answer
    waiting.fd = operation.fd
    waiting.events = POLLIN if operation.kind == OPERATION_READ else POLLOUT
    waiting.revents = 0
    if operation.cancelled:
        return -ECANCELED
    answer = poll(&waiting, 1, min(
        operation.patience or <int>CANCEL_LOOK_MILLISECONDS, <int>CANCEL_LOOK_MILLISECONDS))
    if answer > 0:
        return 0
    return -errno if answer < 0 else -EINTR


cdef ssize_t attempt_stream(Operation *operation, int count) noexcept nogil:
    cdef int flags = 0 if operation.may_block else RWF_NOWAIT
    cdef ssize_t result = operation_await_ready(operation)
    if result < 0:
        return result
    # Without RWF_NOWAIT a large write would stay in the system, deaf to a cancel, until the other
    # end has taken all of it; where the stream does not know the flag there is no way round that.
    if operation.kind == OPERATION_READ:
        result = preadv2(operation.fd, operation.vectors, count, -1, flags)
    else:
        result = pwritev2(operation.fd, operation.vectors, count, -1, flags)
    if result < 0 and flags and (errno == EOPNOTSUPP or errno == EINVAL or errno == EAGAIN):
        # Not known here, or (a file opened to append) not possible without waiting.
        operation.may_block = True
        return -EINTR
    return result if result >= 0 else -errno


cdef ssize_t attempt(Operation *operation) noexcept nogil:
    """One system call for what is left; a count, or minus an errno."""
    cdef int64_t offset = operation.offset + <int64_t>operation.done
    cdef int count = min(operation.vector_count, <int>VECTORS_MAXIMUM)
    cdef ssize_t result
    if operation.kind == OPERATION_FLUSH:
        result = fdatasync(operation.fd) if operation.data_only else fsync(operation.fd)
    elif operation.stream:
        return attempt_stream(operation, count)
    elif operation.kind == OPERATION_READ:
        result = preadv(operation.fd, operation.vectors, count, offset)
    else:
        result = pwritev(operation.fd, operation.vectors, count, offset)
    return result if result >= 0 else -errno


cdef bint operation_run(Operation *operation) noexcept nogil:
    """Run it on this thread until it is over (True) or a signal may want attention (False)."""
    cdef ssize_t result
    while True:
        result = attempt(operation)
        if result == -EAGAIN and operation.stream:
            result = -EINTR
        if operation_advance(operation, result):
            return True
        if result == -EINTR:
            return False


cdef Py_ssize_t exact_size(object value, str name) except? -1:
    """An offset or length from a caller: an integer, at least 0."""
    cdef Py_ssize_t size
    if PyLong_CheckExact(value):
        size = PyLong_AsSsize_t(value)
        if size >= 0:
            return size
        PyErr_Clear()
    return unusual_size(value, name)


cdef Py_ssize_t unusual_size(object value, str name) except? -1:
    cdef object number = failures.exact_index(value, name)
    if number < 0:
        raise failures.negative(name, number)
    if number > PY_SSIZE_T_MAX:
        raise failures.out_of_range(name, number)
    return number

from cpython.object cimport PyTypeObject


cdef extern from "membuf_native.h":
    const char *MEMBUF_API_NAME
    int MEMBUF_API_VERSION

    ctypedef struct membuf_api:
        int version
        PyTypeObject *memory_type
        int (*object_begin)(object self) except -1
        int (*object_end)(object self) except -1
        bint (*object_frozen)(object self) noexcept
        object (*request_memory)(object buffer, object size, bint read_only, object request)
        Py_ssize_t (*references)(object self) noexcept

    ctypedef class membuf._native.Object [object membuf_object]:
        pass

cdef extern from "pthread.h":
    ctypedef struct pthread_mutex_t:
        pass


cdef const membuf_api *core


cdef class Lock:
    cdef pthread_mutex_t lock
    cdef bint held

    cdef void take(self) noexcept
    cdef void leave(self) noexcept


cdef class RequestCore(Object):
    # Those of a request of one's own are slots for Python: see `_core.pyx`.
    cdef object _cancelled
    cdef object _control
    cdef object _failure
    cdef object _formatted
    cdef object _information
    cdef object _memory
    cdef object _memory_offset
    cdef object _packet
    cdef object _routine
    cdef object _routine_context
    cdef object _status
    cdef object _target
    cdef object _type
    cdef readonly bint _flying

    cdef void set_new(self, object target, object status) noexcept
    cdef void set_end(self, object status, object information) noexcept


cdef class AnyQueue(Object):
    cdef int left(self, bint owned) except -1


cdef class AnyDevice(Object):
    cdef readonly Lock _lock
    cdef public object io_type
    cdef object lower

# cython: language_level=3, binding=False, freethreading_compatible=True, auto_pickle=False
# cython: nonecheck=True
"""What the straight way of a request stands on: a lock, the interface of the core, and what every
request, queue and device has.

What every request passes is native (`_received`, `_dispatch`); what few pass is in the Python
classes over that: `Formatting`, `ReceivedRequest`, `Queue`, `Device`. Whose a request is, and what
a queue holds, is decided under the lock of its device; nothing is called while it is held.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_Import

from membuf.request.completion import RequestType


cdef extern from "pthread.h":
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_destroy(pthread_mutex_t *)
    int pthread_mutex_trylock(pthread_mutex_t *)
    int pthread_mutex_lock(pthread_mutex_t *) nogil
    int pthread_mutex_unlock(pthread_mutex_t *)

cdef extern from *:
    """
    #include <stddef.h>
    #include <structmember.h>

    /* Fields of a native class as slots, which Python code reads and writes as fast as its own. One
       that Python code has deleted is NULL: native code writes them by MEMBUF_SET alone. */
    static int membuf_add_slots(PyTypeObject *type, PyMemberDef *slots)
    {
        int result = 0;
        for (; slots->name != NULL && result == 0; slots++) {
            PyObject *slot = PyDescr_NewMember(type, slots);
            result = slot == NULL ? -1 : PyDict_SetItemString(type->tp_dict, slots->name, slot);
            Py_XDECREF(slot);
        }
        PyType_Modified(type);
        return result;
    }

    #define MEMBUF_SLOT(self, field) \\
        {#field, T_OBJECT_EX, offsetof(__typeof__(*(self)), field), 0, NULL}
    #define MEMBUF_ADD_SLOTS(type, self) ({ \\
        static PyMemberDef slots[] = { \\
            MEMBUF_SLOT(self, _cancelled), MEMBUF_SLOT(self, _control), \\
            MEMBUF_SLOT(self, _failure), MEMBUF_SLOT(self, _formatted), \\
            MEMBUF_SLOT(self, _information), MEMBUF_SLOT(self, _memory), \\
            MEMBUF_SLOT(self, _memory_offset), MEMBUF_SLOT(self, _packet), \\
            MEMBUF_SLOT(self, _routine), MEMBUF_SLOT(self, _routine_context), \\
            MEMBUF_SLOT(self, _status), MEMBUF_SLOT(self, _target), \\
            MEMBUF_SLOT(self, _type), {NULL}}; \\
        membuf_add_slots((PyTypeObject *)(type), slots); })
    #define MEMBUF_SET(self, field, value) Py_XSETREF((self)->field, Py_NewRef(value))
    #define MEMBUF_SET_END(self, status, information) do { \\
        MEMBUF_SET(self, _status, status); \\
        MEMBUF_SET(self, _information, information); } while (0)
    #define MEMBUF_SET_NEW(self, target, type, zero) do { \\
        MEMBUF_SET(self, _target, target); \\
        MEMBUF_SET(self, _type, type); \\
        MEMBUF_SET(self, _memory_offset, zero); \\
        MEMBUF_SET(self, _formatted, Py_False); \\
        MEMBUF_SET(self, _cancelled, Py_False); } while (0)
    """
    int MEMBUF_ADD_SLOTS(object type, RequestCore self) except -1
    void MEMBUF_SET_END(RequestCore self, object status, object information)
    void MEMBUF_SET_NEW(RequestCore self, object target, object type, object zero)


cdef object NO_FORMAT = RequestType.NO_FORMAT
cdef object ZERO = 0

core = <const membuf_api *>PyCapsule_Import(MEMBUF_API_NAME, 0)
if core.version != MEMBUF_API_VERSION:
    raise ImportError("membuf._native and membuf.request come from different builds")


@cython.final
cdef class Lock:
    """Lock()
    --

    A mutual exclusion for a few instructions: as threading's, and native code takes it cheaply.
    """

    # A lock of Python's asks for the time before it tries: as long as a request may take elsewhere.
    def __cinit__(self):
        if pthread_mutex_init(&self.lock, NULL) != 0:
            raise MemoryError

    def __dealloc__(self):
        pthread_mutex_destroy(&self.lock)

    cdef void take(self) noexcept:
        if pthread_mutex_trylock(&self.lock) != 0:
            with nogil:
                pthread_mutex_lock(&self.lock)
        self.held = True

    cdef void leave(self) noexcept:
        self.held = False
        pthread_mutex_unlock(&self.lock)

    def __enter__(self):
        self.take()

    def __exit__(self, *_):
        if not self.held:
            raise RuntimeError("the lock is not held")
        self.leave()


@cython.trashcan(True)
cdef class RequestCore(Object):
    """RequestCore(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    What every request has; `Formatting` says what it is for.
    """

    def _take_off(self):
        """Be in flight from now on; False where it is already."""
        cdef bint first
        with cython.critical_section(self):
            first = not self._flying
            self._flying = True
        return first

    def _land(self):
        """Be in flight no more."""
        self._flying = False

    cdef void set_new(self, object target, object status) noexcept:
        """Not formatted yet, for a target."""
        with cython.critical_section(self):
            MEMBUF_SET_NEW(self, target, NO_FORMAT, ZERO)
            MEMBUF_SET_END(self, status, ZERO)

    cdef void set_end(self, object status, object information) noexcept:
        """How it ended."""
        with cython.critical_section(self):
            MEMBUF_SET_END(self, status, information)


cdef int add_slots(RequestCore request) except -1:
    return MEMBUF_ADD_SLOTS(RequestCore, request)


add_slots(None)


@cython.trashcan(True)
cdef class AnyQueue(Object):
    """AnyQueue(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    What a request knows of its queue.
    """

    cdef int left(self, bint owned) except -1:
        """One of its requests is complete, or gone for good."""
        raise NotImplementedError


@cython.trashcan(True)
cdef class AnyDevice(Object):
    """AnyDevice(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    What a request knows of its device.
    """

    def __cinit__(self):
        self._lock = Lock()

    @property
    def target(self):
        """The I/O target below it, or None (the local target)."""
        with cython.critical_section(self):
            return self.lower

    @target.setter
    def target(self, target):
        with cython.critical_section(self):
            self.lower = target

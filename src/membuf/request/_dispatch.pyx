# cython: language_level=3, binding=False, freethreading_compatible=True, auto_pickle=False
# cython: nonecheck=True
"""The half of queues and devices that every request passes: from its arrival to a handler."""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc

from membuf.request._core cimport AnyDevice, AnyQueue, Lock, core
from membuf.request._irp cimport Irp
from membuf.request._received cimport DRIVER, ENDING, ReceivedCore

from collections import OrderedDict, deque

from membuf.base import status as st
from membuf.request.completion import RequestType


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    unsigned long PyThread_get_thread_ident() nogil
    bint PyCoro_CheckExact(object)

cdef extern from *:
    """
    /* How many callbacks of drivers this thread is inside of. */
    static _Thread_local Py_ssize_t membuf_presenting = 0;
    """
    Py_ssize_t membuf_presenting


cdef object CREATE = RequestType.CREATE
cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE
cdef object FILE_TYPES = (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE)
cdef object DEFAULT = RequestType.OTHER
cdef object SUCCESS = st.STATUS_SUCCESS
cdef object ZERO = 0

# The class of what a device receives, once it is written.
cdef type received_class = None


def receive_as(type received not None):
    """Have what devices receive be of a class over `ReceivedCore`."""
    global received_class
    if not issubclass(received, ReceivedCore):
        raise TypeError(f"a class over ReceivedCore is needed, got {received!r}")
    received_class = received


def presenting():
    """How many callbacks of drivers this thread is inside of: one must not wait for another."""
    return membuf_presenting


@cython.trashcan(True)
cdef class QueueCore(AnyQueue):
    """QueueCore(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    The half of a queue that every request passes: coming in, being presented, leaving.
    """

    def __cinit__(self):
        self._handlers = {}
        self._waiting = OrderedDict()
        self._marked = set()
        self._jobs = deque()
        self._accepts = self._dispatches = True

    def __dealloc__(self):
        PyMem_RawFree(self.inside)

    def _configure(self, DeviceCore device not None, str dispatch, maximum, bint allow_zero_length):
        self.device = device
        self.dispatch = dispatch
        self.manual = dispatch == "manual"
        self.sequential = dispatch == "sequential"
        self.allow_zero_length = allow_zero_length
        self.maximum = maximum
        self.limit = min(maximum, PY_SSIZE_T_MAX)

    # ---- coming in

    cdef int arrive(self, ReceivedCore request) except -1:
        """A new request."""
        cdef Lock lock = self.device._lock
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint accepted
        job = None
        lock.take()
        try:
            accepted = self._accepts and not core.object_frozen(self)
            if accepted and self.passes_through(request, me):
                job = request
            elif accepted:
                self._enter(request)
                job = self.begin(me)
        finally:
            lock.leave()
        if job is not None:
            self.run(me, job)
        elif not accepted:
            request._refuse(st.STATUS_INVALID_DEVICE_STATE)
        return 0

    cdef bint passes_through(self, ReceivedCore request, unsigned long thread) except -1:
        """Under the lock: whether it is presented at once, so that nobody sees it wait."""
        if self._waiting or self._jobs or self.is_inside(thread) or not self.may_present(thread):
            return False
        if request.packet.cancelled:
            return False
        self.enter_loop(thread)
        request.put_in(self)
        self._owned += 1
        self._presented += 1
        self.take_turn(thread)
        return True

    # ---- presenting

    def _dispatch(self):
        """Run what is to be run, unless this thread is in the middle of it."""
        cdef Lock lock = self.device._lock
        cdef unsigned long me = PyThread_get_thread_ident()
        lock.take()
        try:
            job = self.begin(me)
        finally:
            lock.leave()
        if job is not None:
            self.run(me, job)

    cdef bint is_inside(self, unsigned long thread) noexcept:
        """Under the lock: whether a thread is in the dispatch loop."""
        cdef Py_ssize_t index
        for index in range(self.insiders):
            if self.inside[index] == thread:
                return True
        return False

    cdef int enter_loop(self, unsigned long thread) except -1:
        cdef unsigned long *more
        cdef Py_ssize_t room
        if self.insiders == self.room:
            room = 2 * self.room + 4
            more = <unsigned long *>PyMem_RawRealloc(self.inside, room * sizeof(unsigned long))
            if more == NULL:
                raise MemoryError
            self.inside = more
            self.room = room
        self.inside[self.insiders] = thread
        self.insiders += 1
        return 0

    cdef void leave_loop(self, unsigned long thread) noexcept:
        """Under the lock: this thread runs nothing of the queue any more."""
        cdef Py_ssize_t index
        for index in range(self.insiders):
            if self.inside[index] == thread:
                self.insiders -= 1
                self.inside[index] = self.inside[self.insiders]
                break
        if self.presenter == thread:
            self.is_presented = False

    cdef void take_turn(self, unsigned long thread) noexcept:
        """Of a sequential queue: others may call back meanwhile, but not present."""
        if self.sequential:
            self.is_presented = True
            self.presenter = thread

    cdef object begin(self, unsigned long me):
        """Under the lock: the first job for this thread, unless it is in the middle of one."""
        if self.is_inside(me):
            return None
        self.enter_loop(me)
        job = None
        try:
            job = self.next_job(me)
        finally:
            if job is None:
                self.leave_loop(me)
        return job

    cdef int run(self, unsigned long me, object job) except -1:
        """Run jobs until there are none; nothing is locked while one runs."""
        global membuf_presenting
        cdef Lock lock = self.device._lock
        cdef bint inside = True
        membuf_presenting += 1
        try:
            while job is not None:
                if isinstance(job, ReceivedCore):
                    self.present(job)
                else:
                    job[0](job[1])
                job = None
                lock.take()
                try:
                    job = self.next_job(me)
                finally:
                    if job is None:
                        self.leave_loop(me)
                        inside = False
                    lock.leave()
        finally:
            membuf_presenting -= 1
            if inside:
                lock.take()
                self.leave_loop(me)
                lock.leave()
        return 0

    cdef object next_job(self, unsigned long thread):
        """Under the lock: what to do next; a request that is to be presented is the driver's."""
        if self._jobs:
            return self._jobs.popleft()
        if self._ready_due:
            self._ready_due = False
            if self._on_ready is not None and self._waiting:
                return self._call_on_ready, self._on_ready
        if self._waiting and self.may_present(thread):
            self.take_turn(thread)
            request = self._waiting.popitem(last=False)[0]
            self.give(request)
            return request
        if self._on_idle is None and self._on_empty is None:
            return None
        callback = self._take_callback()
        return None if callback is None else (self.device._call_back(callback), self)

    cdef bint may_present(self, unsigned long thread) noexcept:
        return (
            self._dispatches
            and self._owned < self.limit
            and not self._held
            and not self.manual
            and (not self.is_presented or self.presenter == thread)
        )

    cdef int give(self, ReceivedCore request) except -1:
        """Under the lock: it has left those that wait, and is the driver's."""
        # Who cancels it at this moment finds it the driver's, and cancelled.
        request.packet.set_cancel_routine(None)
        request._owner = DRIVER
        self._owned += 1
        self._presented += 1
        return 0

    def _give(self, ReceivedCore request not None):
        """Under the lock: it has left those that wait, and is the driver's."""
        self.give(request)

    cdef int present(self, ReceivedCore request) except -1:
        cdef DeviceCore device = self.device
        cdef Irp irp = request.packet
        cdef dict handlers = self._handlers if self._handlers else device._handlers
        handler = handlers.get(request.type)
        if handler is None:
            handler = handlers.get(DEFAULT)
        if handler is None:
            device._not_handled(request)
        elif not irp.length and not self.allow_zero_length and irp.major in (READ, WRITE):
            request._refuse(SUCCESS)
        else:
            request._presented = True
            device.call(handler, request)
        return 0

    # ---- going out

    cdef int left(self, bint owned) except -1:
        """One of its requests is complete, or gone for good."""
        cdef Lock lock = self.device._lock
        cdef unsigned long me = PyThread_get_thread_ident()
        lock.take()
        try:
            if owned:
                self._owned -= 1
                self._completed += 1
            else:
                self._ending -= 1
                self._cancelled += 1
            job = self.begin(me)
        finally:
            lock.leave()
        if job is not None:
            self.run(me, job)
        return 0

    def _left(self, bint owned):
        """One of its requests is complete, or gone for good."""
        self.left(owned)


@cython.trashcan(True)
cdef class DeviceCore(AnyDevice):
    """DeviceCore(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    The half of a device that every request passes: its entrance.
    """

    def __cinit__(self):
        self._handlers = {}
        self._routes = {}

    @property
    def _arrival(self):
        with cython.critical_section(self):
            return self.arrival

    @_arrival.setter
    def _arrival(self, handler):
        with cython.critical_section(self):
            self.arrival = handler

    @property
    def _in_caller(self):
        with cython.critical_section(self):
            return self.in_caller

    @_in_caller.setter
    def _in_caller(self, handler):
        with cython.critical_section(self):
            self.in_caller = handler

    def submit(self, Irp irp not None):
        """Take a packet: the one entrance of every request."""
        cdef bint transfer = irp.major is READ or irp.major is WRITE
        irp.location -= 1
        if self._power == "new":
            self.start()
        if not transfer and irp.major in FILE_TYPES and self._submit_file(irp):
            return
        if core.object_frozen(self):
            irp.complete(st.STATUS_NO_SUCH_DEVICE, ZERO)
        elif self.in_caller is not None and (irp.major is not CREATE or CREATE in self._routes):
            request = self.received(irp)
            if (<ReceivedCore>request)._owner < ENDING:
                self._call_in_caller(self._in_caller, request)
        else:
            queue = self._default
            if queue is None or self._routes or not transfer:
                queue = self._queue_for(irp.major)
            if queue is None:
                self._unhandled(irp)
                return
            request = self.received(irp)
            if (<ReceivedCore>request)._owner < ENDING:
                (<QueueCore?>queue).arrive(request)

    cdef ReceivedCore received(self, Irp irp):
        """A new request, with what `on_arrival` gives it; complete where that raised."""
        cdef ReceivedCore request = <ReceivedCore?>received_class.__new__(received_class)
        request.begin(self, irp)
        if self.arrival is not None:
            self.call(self._arrival, request)
        return request

    def _received(self, Irp irp not None):
        """A new request, with what `on_arrival` gives it; complete where that raised."""
        return self.received(irp)

    cdef int call(self, object handler, ReceivedCore request) except -1:
        """Call a handler; what it raises ends the request, a coroutine goes to its loop."""
        try:
            result = handler(request)
        except Exception as error:  # whatever a driver raises ends its request
            request._fail(error, f"{handler!r} of {self!r}")
            return 0
        if result is not None and PyCoro_CheckExact(result):
            self._run_coroutine(result, request)
        return 0

    def _call(self, handler, ReceivedCore request not None):
        """Call a handler; what it raises ends the request, a coroutine goes to its loop."""
        self.call(handler, request)

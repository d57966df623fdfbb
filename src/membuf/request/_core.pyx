# cython: language_level=3, binding=False, freethreading_compatible=True, auto_pickle=False
# cython: nonecheck=True
"""The straight way of a request: from a device through a queue to a handler, and to its end.

What every request passes is here; what few pass is in the Python classes over these: `Formatting`,
`ReceivedRequest`, `Queue`, `Device`. Whose a request is, and what a queue holds, is decided under
the lock of its device; nothing is called while it is held.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_Import

from collections import OrderedDict, deque

from membuf.base import status as st
from membuf.base.errors import ObjectDeletedError
from membuf.base.status import Status
from membuf.request import completing
from membuf.request.apart import apart
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.reports import report


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    int NOWAIT_LOCK
    int WAIT_LOCK
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock)
    int PyThread_acquire_lock(PyThread_type_lock, int) nogil
    void PyThread_release_lock(PyThread_type_lock) nogil
    unsigned long PyThread_get_thread_ident() nogil
    bint PyCoro_CheckExact(object)
    bint PyLong_CheckExact(object)

cdef extern from *:
    """
    #include <stddef.h>
    #include <structmember.h>

    #if PY_VERSION_HEX < 0x030D0000
    #define Py_IsFinalizing() _Py_IsFinalizing()
    #endif

    /* How many callbacks of drivers this thread is inside of. */
    static _Thread_local Py_ssize_t membuf_presenting = 0;

    /* Fields of a native class as slots, which Python code reads and writes as fast as its own. One
       that Python code has deleted is NULL: native code writes them by MEMBUF_SET_END alone. */
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
    #define MEMBUF_SET_END(self, status, information) do { \\
        Py_XSETREF((self)->_status, Py_NewRef(status)); \\
        Py_XSETREF((self)->_information, Py_NewRef(information)); } while (0)
    """
    bint Py_IsFinalizing()
    Py_ssize_t membuf_presenting
    int MEMBUF_ADD_SLOTS(object type, RequestCore self) except -1
    void MEMBUF_SET_END(RequestCore self, object status, object information)


cdef enum Owner:
    FRAMEWORK = 0
    DRIVER = 1
    ENDING = 2
    GONE = 3

cdef enum Mark:
    UNMARKED = 0
    MARKED = 1

cdef object CREATE = RequestType.CREATE
cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE
cdef object FILE_TYPES = (RequestType.CREATE, RequestType.CLEANUP, RequestType.CLOSE)
cdef object DEFAULT = RequestType.OTHER
cdef object NO_FORMAT = RequestType.NO_FORMAT
cdef object BUFFERED = IoType.BUFFERED
cdef object SUCCESS = st.STATUS_SUCCESS
cdef object ZERO = 0

cdef const membuf_api *core = <const membuf_api *>PyCapsule_Import(MEMBUF_API_NAME, 0)
if core.version != MEMBUF_API_VERSION:
    raise ImportError("membuf._native and membuf.request come from different builds")

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


@cython.final
cdef class Lock:
    """Lock()
    --

    A mutual exclusion for a few instructions: as threading's, and native code takes it cheaply.
    """

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef void take(self) noexcept:
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
        self.held = True

    cdef void leave(self) noexcept:
        self.held = False
        PyThread_release_lock(self.lock)

    def __enter__(self):
        self.take()

    def __exit__(self, *_):
        if not self.held:
            raise RuntimeError("the lock is not held")
        self.leave()


# ---- requests ------------------------------------------------------------------------------------


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


cdef int add_slots(RequestCore request) except -1:
    return MEMBUF_ADD_SLOTS(RequestCore, request)


add_slots(None)


@cython.final
@cython.freelist(8)
cdef class Retrieved:
    """Retrieved()
    --

    What was retrieved of a request until now: nothing is made twice.

    Attributes:
        input, output: its memory.
        input_mdl, output_mdl: what stands over that.
        mapped: which of the two memories stands over the request's own MDL.
        locked: memory that was probed and locked, or None.
    """

    def __iter__(self):
        memories = [memory for memory in (self.input, self.output) if memory is not None]
        return iter(memories + (self.locked or []))

    def free_mdls(self):
        """The request is over: what was built for it goes."""
        mdls = {id(mdl): mdl for mdl in (self.input_mdl, self.output_mdl) if mdl is not None}
        self.input_mdl = self.output_mdl = None
        for mdl in mdls.values():
            mdl.end()


cdef class ReceivedCore(RequestCore):
    """ReceivedCore(device, irp)
    --

    The half of a received request that every one passes.
    """

    def __init__(self, DeviceCore device not None, Irp irp not None):
        self.begin(device, irp)

    cdef int begin(self, DeviceCore device, Irp irp) except -1:
        core.object_begin(self)
        self.device = device
        self.packet = irp
        self.type = irp.major
        self._owner = DRIVER
        self._target = device.target
        self._formatted = self._cancelled = False
        self._type = NO_FORMAT
        self._memory_offset = self._information = ZERO
        self._status = SUCCESS
        return 0

    # ---- what it asks for

    @property
    def _irp(self):
        return self.packet

    @property
    def irp(self):
        """The packet under it."""
        return self.packet

    @property
    def length(self):
        """Bytes to be read or written; 0 for other types."""
        return self.packet.length

    @property
    def offset(self):
        """Where on the device, in bytes."""
        return self.packet.offset

    @property
    def code(self):
        """The control code; 0 for other types."""
        return self.packet.code

    @property
    def input_length(self):
        """Bytes of a control request's input."""
        return self.packet.input_length

    @property
    def output_length(self):
        """Bytes of a control request's output."""
        return self.packet.output_length

    @property
    def mode(self):
        """Who made it: "user" or "kernel"."""
        return self.packet.mode

    @property
    def file(self):
        """The file object it came through, or None."""
        return self.packet.file

    @property
    def write_through(self):
        """Whether the originator wants the bytes durable before the request completes.

        Source: SL_WRITE_THROUGH of a stack location.
        """
        return self.packet.write_through

    @property
    def queue(self):
        """The queue it is in or was presented by, or None."""
        with cython.critical_section(self):
            return self.in_queue

    @property
    def _queue(self):
        with cython.critical_section(self):
            return self.in_queue

    @_queue.setter
    def _queue(self, QueueCore queue):
        self.put_in(queue)

    cdef void put_in(self, QueueCore queue) noexcept:
        with cython.critical_section(self):
            self.in_queue = queue

    @property
    def completed(self):
        """Whether its completion has begun."""
        return self._owner >= ENDING

    @property
    def owned(self):
        """Whether it is the driver's."""
        return self._owner == DRIVER

    # ---- completing

    def complete(self, status=SUCCESS, information=None):
        """End it: its memory is taken back, then its originator is told.

        Args:
            status: how it ended; the framework's own statuses are translated.
            information: bytes transferred; if absent what `set_information` set, or what it came
                back with where it was sent on.

        Raises:
            InvalidDeviceStateError: it is not the driver's now, or is marked cancelable.
            InvalidParameterError: success with more information than was asked for (`.bugcheck`).
            MembufError: something holds its memory still (`.bugcheck`). In each case nothing has
                changed, but that a format's references are dropped.
            TypeError: information that is no integer.
        """
        cdef unsigned long number
        if type(status) is not Status:
            status = Status(status)
        number = status
        if information is None:
            information = (<object>self)._information
        elif information and not (PyLong_CheckExact(information) and information > 0):
            information = completing.count(information)
        self.claim("complete")
        try:
            if information and number < 0x80000000 and not self.may_say(information):
                completing.check_information(self, information)
            if self._packet is not None:
                self._unformat()
            if self._retrieved is not None and not self._has_callbacks and self.is_held():
                completing.check_holds(self)
        except BaseException:
            self._owner = DRIVER
            raise
        if number >> 16 & 0xFFF == 0x20:
            status = completing.seen_above(status)
        self.end(status, information, True)

    cdef bint may_say(self, object information) except -1:
        """Whether a read or write can have moved so much; for the others it is asked elsewhere."""
        cdef Irp irp = self.packet
        return (irp.major is READ or irp.major is WRITE) and information <= irp.length

    cdef bint is_held(self) except -1:
        """Whether something may hold its memory."""
        cdef Retrieved kept = self._retrieved
        return (
            kept.locked is not None
            or (kept.input is not None and core.references(kept.input) > 0)
            or (kept.output is not None and core.references(kept.output) > 0)
        )

    cdef int claim(self, str what) except -1:
        cdef Lock lock = self.device._lock
        cdef str refused = None
        lock.take()
        if self._owner != DRIVER or self._flying:
            refused = "it is not yours now"
        elif self._mark == MARKED:
            refused = "it is marked cancelable: unmark it first"
        else:
            self._owner = ENDING
        lock.leave()
        if refused is not None:
            raise self._denied(what, refused)
        return 0

    def _claim(self, str what not None):
        """Take it from the driver for its end, once."""
        self.claim(what)

    cdef int end(self, object status, object information, bint owned) except -1:
        cdef Irp irp = self.packet
        held = self.end_objects()
        with cython.critical_section(self):
            MEMBUF_SET_END(self, status, ZERO)
        self._owner = GONE
        queue = self.in_queue
        try:
            if type(irp) is Irp:
                irp.finish(status, information)
            else:
                irp.complete(status, information)
        finally:
            if queue is not None:
                (<QueueCore>queue).left(owned)
        if held is not None:
            raise held
        return 0

    def _end(self, status, information, bint owned=True):
        """The end of a request whose completion nobody else can begin."""
        self.end(status, information, owned)

    cdef object end_objects(self):
        """Cleanup callbacks, then children and what they hold; the error of what held them."""
        cdef Retrieved kept
        held = None
        try:
            core.object_end(self)
        except ExceptionGroup as error:
            report(error, f"a callback of {self!r}")
        except ObjectDeletedError:
            pass  # garbage with its device: the collector was here first
        kept = self._retrieved
        if kept is not None:
            if self._has_callbacks:
                held = completing.find_hold(self)
            if kept.input_mdl is not None or kept.output_mdl is not None:
                kept.free_mdls()
            self._retrieved = None
        return held

    def _end_objects(self):
        """What it has ends; returns the error of what holds its memory still, or None."""
        return self.end_objects()

    def __del__(self):
        # From wherever garbage is collected, with any lock held: a thread of its own completes it.
        try:
            if self._owner == DRIVER and not Py_IsFinalizing():
                lost = (self.packet, self.in_queue, (<object>self)._packet, repr(self))
                self._owner = GONE
                apart(completing.end_dropped, *lost)
        finally:
            (<PyTypeObject *>Object).tp_finalize(<PyObject *>self)

    # ---- memory

    def input_memory(self):
        """The memory that a write or control request brings; the same object every time.

        Raises:
            InvalidDeviceStateError: it has none by its type or access method.
            BufferTooSmallError: it has no bytes.
            MembufError: the request is complete (STATUS_INTERNAL_ERROR).

        Source: WdfRequestRetrieveInputMemory.
        """
        memory = self.transfer_memory(WRITE, True)
        return self._retrieve_input() if memory is None else memory

    def output_memory(self):
        """The memory that a read or control request wants filled; see `input_memory`.

        Source: WdfRequestRetrieveOutputMemory.
        """
        memory = self.transfer_memory(READ, False)
        return self._retrieve_output() if memory is None else memory

    cdef object transfer_memory(self, object kind, bint read_only):
        """The memory of a buffered transfer of that type; None: ask for it the long way."""
        cdef Irp irp = self.packet
        cdef DeviceCore device = self.device
        if self.type is not kind or device.io_type is not BUFFERED or self._owner >= ENDING:
            return None
        if irp.system_buffer is None or not irp.length:
            return None
        device._lock.take()  # another thread may retrieve it, too
        try:
            kept = self._retrieved
            if kept is None:
                kept = self._retrieved = Retrieved.__new__(Retrieved)
            memory = (<Retrieved>kept).input if read_only else (<Retrieved>kept).output
            if memory is None:
                memory = core.request_memory(irp.system_buffer, irp.length, read_only, self)
                if read_only:
                    (<Retrieved>kept).input = memory
                else:
                    (<Retrieved>kept).output = memory
        finally:
            device._lock.leave()
        return memory


# ---- queues --------------------------------------------------------------------------------------


cdef class QueueCore(Object):
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


# ---- devices -------------------------------------------------------------------------------------


cdef class DeviceCore(Object):
    """DeviceCore(name=None, *, parent=None, on_cleanup=None, on_destroy=None)
    --

    The half of a device that every request passes: its entrance.
    """

    def __cinit__(self):
        self._lock = Lock()
        self._handlers = {}
        self._routes = {}

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
        elif self._in_caller is not None and (irp.major is not CREATE or CREATE in self._routes):
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
        if self._arrival is not None:
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

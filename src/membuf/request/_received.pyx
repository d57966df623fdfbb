# cython: language_level=3, binding=False, freethreading_compatible=True, auto_pickle=False
# cython: nonecheck=True
"""The half of a received request that every one passes: what it asks for, its memory, its end."""

cimport cython
from cpython.object cimport PyObject, PyTypeObject

from membuf.request._core cimport AnyDevice, AnyQueue, Lock, Object, RequestCore, core
from membuf.request._irp cimport Irp

from membuf.base import status as st
from membuf.base.errors import ObjectDeletedError
from membuf.base.status import Status
from membuf.request import completing
from membuf.request.apart import apart
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.reports import report


cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030D0000
    #define Py_IsFinalizing() _Py_IsFinalizing()
    #endif
    """
    bint Py_IsFinalizing()
    bint PyLong_CheckExact(object)


cdef enum Mark:
    UNMARKED = 0
    MARKED = 1

cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE
cdef object BUFFERED = IoType.BUFFERED
cdef object SUCCESS = st.STATUS_SUCCESS
cdef object ZERO = 0


@cython.final
@cython.freelist(8)
@cython.trashcan(True)
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


@cython.trashcan(True)
cdef class ReceivedCore(RequestCore):
    """ReceivedCore(device, irp)
    --

    The half of a received request that every one passes.
    """

    def __init__(self, AnyDevice device not None, Irp irp not None):
        self.begin(device, irp)

    cdef int begin(self, AnyDevice device, Irp irp) except -1:
        core.object_begin(self)
        self.device = device
        self.packet = irp
        self.type = irp.major
        self._owner = DRIVER
        self.set_new(device.target, SUCCESS)
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
    def _queue(self, AnyQueue queue):
        self.put_in(queue)

    @property
    def _retrieved(self):
        with cython.critical_section(self):
            return self.kept

    @_retrieved.setter
    def _retrieved(self, Retrieved kept):
        with cython.critical_section(self):
            self.kept = kept

    cdef void put_in(self, AnyQueue queue) noexcept:
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
            if self.kept is not None and not self._has_callbacks and self.is_held():
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
        cdef Retrieved kept = self.kept
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
        self.set_end(status, ZERO)
        self._owner = GONE
        queue = self.in_queue
        try:
            if type(irp) is Irp:
                irp.finish(status, information)
            else:
                irp.complete(status, information)
        finally:
            if queue is not None:
                (<AnyQueue>queue).left(owned)
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
        kept = self.kept
        if kept is not None:
            if self._has_callbacks:
                held = completing.find_hold(self)
            if kept.input_mdl is not None or kept.output_mdl is not None:
                kept.free_mdls()
            with cython.critical_section(self):
                self.kept = None
        return held

    def _end_objects(self):
        """What it has ends; returns the error of what holds its memory still, or None."""
        return self.end_objects()

    def __del__(self):
        # From wherever garbage is collected, with any lock held: a thread of its own completes it.
        try:
            if self._owner == DRIVER and not Py_IsFinalizing():
                lost = (self.packet, self.in_queue, getattr(self, "_packet", None), repr(self))
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
        cdef AnyDevice device = self.device
        if self.type is not kind or device.io_type is not BUFFERED:
            return None
        if irp.system_buffer is None or not irp.length:
            return None
        device._lock.take()  # another thread may retrieve it, too, or complete the request
        try:
            return None if self._owner >= ENDING else self.buffered_memory(irp, read_only)
        finally:
            device._lock.leave()

    cdef object buffered_memory(self, Irp irp, bint read_only):
        cdef Retrieved kept = self.kept
        if kept is None:
            kept = Retrieved.__new__(Retrieved)
            with cython.critical_section(self):
                self.kept = kept
        memory = kept.input if read_only else kept.output
        if memory is None:
            memory = core.request_memory(irp.system_buffer, irp.length, read_only, self)
            if read_only:
                kept.input = memory
            else:
                kept.output = memory
        return memory

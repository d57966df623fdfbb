# cython: language_level=3, binding=False, freethreading_compatible=True
"""Where transfers leave a target: the port that checks and counts them, the packet of each.

A port is the part of a target that every transfer passes: its gate with a file descriptor behind it
and the alignment that direct I/O asks for. A packet is one transfer that somebody waits for; it
holds its memory.
"""

import _thread
import time

cimport cython
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.exc cimport (
    PyErr_CheckSignals, PyErr_SetObject, PyErr_WriteUnraisable,
)
from cpython.object cimport PyObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.uio cimport iovec

from membuf.mdl._system cimport Exporter
from membuf.target._gate cimport Gate
from membuf.target._operation cimport (
    OPERATION_FLUSH, OPERATION_READ, OPERATION_WRITE, Hold, Operation, exact_size, hold_address,
    hold_drop, hold_size, hold_take, operation_run,
)

from membuf.request.buffers import resolve
from membuf.target import failures


cdef extern from *:
    """
    /* The packets whose completion runs on this thread, the innermost first. */
    static _Thread_local PyObject *membuf_delivering = NULL;
    """
    PyObject *membuf_delivering


class PortShutError(Exception):
    """The port does not take transfers now; the target decides what becomes of this one."""


cdef inline Py_ssize_t optional_size(object length) except? -1:
    return 0 if length is None else exact_size(length, "memory_length")


cdef tuple described_part(object memory, Py_ssize_t start, Py_ssize_t length):
    """The buffer, offset and length behind an argument that is no buffer itself."""
    if memory is None:
        raise TypeError("memory must be a memory object or a buffer; got None")
    part = resolve(memory, start, length)
    if isinstance(part[0], list):
        raise TypeError(f"one buffer is needed here; got the chain of {memory!r}")
    return part


cdef inline bint may_be_several(object memory):
    """Whether an argument may stand for more than one buffer: a chain of MDLs does."""
    return isinstance(memory, (list, tuple, Exporter)) or not PyObject_CheckBuffer(memory)


cdef object several(object memory):
    """The buffers that an argument stands for as a list or tuple, or None for at most one."""
    if not isinstance(memory, (list, tuple)):
        memory = resolve(memory, 0, None)[0] if memory is not None else None
    return memory if isinstance(memory, (list, tuple)) else None


@cython.final
cdef class Port(Gate):
    """Port(fd, *, name, stream=False, memory_alignment=1, offset_alignment=1)
    --

    What a target shows its engine: a file descriptor, its limits, its gate and its counters.

    Args:
        fd: an open file descriptor; the target closes it.
        name: what errors call it.
        stream: whether it has no offsets (pipe, socket, terminal).
        memory_alignment, offset_alignment: bytes, powers of two; what direct I/O asks for.
    """

    def __cinit__(
        self, int fd, *, object name, bint stream=False, Py_ssize_t memory_alignment=1,
        Py_ssize_t offset_alignment=1
    ):
        self.fd = fd
        self.name = name
        self.stream = stream
        self.memory_alignment = memory_alignment
        self.offset_alignment = offset_alignment
        self.memory_mask = <size_t>memory_alignment - 1
        self.offset_mask = <size_t>offset_alignment - 1

    cdef int describe(self, Operation *operation, int kind, object offset) except -1:
        """Fill a zeroed operation with what it asks for and where."""
        cdef Py_ssize_t start = 0
        if offset is not None:
            start = exact_size(offset, "offset")
            if self.stream and start:
                raise failures.stream_offset(self.name, start)
        operation.fd = self.fd
        operation.kind = kind
        operation.stream = self.stream
        operation.offset = start
        operation.offset_mask = self.offset_mask
        return 0

    cdef int attach(
        self, Operation *operation, iovec *vector, Hold *hold, object memory, Py_ssize_t start,
        Py_ssize_t length
    ) except -1:
        """Hold `memory` and add a part of it to the transfer; on an error nothing is held.

        A length of 0 reaches from the start to the end.
        """
        cdef char *address
        cdef Py_ssize_t size
        if not PyObject_CheckBuffer(memory) or isinstance(memory, Exporter):
            memory, start, length = described_part(memory, start, length)
        hold_take(hold, memory, operation.kind == OPERATION_READ, &address, &size)
        if start > size or length > size - start:
            hold_drop(hold)
            raise failures.outside_memory(start, length, size)
        vector.iov_base = address + start
        vector.iov_len = <size_t>(length if length else size - start)
        operation.length += vector.iov_len
        if (
            operation.length > <size_t>(PY_SSIZE_T_MAX - operation.offset)
            or (operation.kind <= OPERATION_WRITE and not self.is_aligned(operation, vector))
        ):
            hold_drop(hold)
            raise self.refusal(operation, vector)
        return 0

    cdef bint is_aligned(self, Operation *operation, iovec *vector) noexcept:
        """Whether a read or write keeps to the limits; the memory of a control request need not."""
        return not (
            <uintptr_t>vector.iov_base & self.memory_mask
            or (<size_t>operation.offset | vector.iov_len) & self.offset_mask
        )

    cdef object refusal(self, Operation *operation, iovec *vector):
        """Why a transfer is not one that the system can be asked for."""
        if operation.length > <size_t>(PY_SSIZE_T_MAX - operation.offset):
            return failures.past_the_last_offset(operation.offset, operation.length)
        return failures.unaligned(
            self.name, operation.offset, vector.iov_len, <uintptr_t>vector.iov_base,
            self.offset_alignment, self.memory_alignment,
        )

    def transfer(self, int kind, memory, offset, memory_offset=0, memory_length=None):
        """Run a transfer on this thread and return its count of bytes.

        Raises:
            PortShutError: the gate is shut.
            MembufError: a check failed (nothing was done), or the system answered with an error.
        """
        cdef Operation operation
        cdef Hold hold
        if may_be_several(memory) and several(memory) is not None:
            packet = Packet(self, kind, memory, offset, memory_offset, memory_length)
            return packet.run_here()
        memset(&operation, 0, sizeof(Operation))
        self.describe(&operation, kind, offset)
        operation.vectors = &operation.vector
        operation.vector_count = 1
        self.attach(
            &operation, &operation.vector, &hold, memory,
            exact_size(memory_offset, "memory_offset"), optional_size(memory_length),
        )
        try:
            run_counted(self, &operation)
        finally:
            hold_drop(&hold)
        if operation.error:
            raise failures.failure(
                kind, operation.error, self.name, operation.offset, operation.length,
                operation.done,
            )
        return operation.done

    def flush(self, bint data_only):
        """Have the system write what it buffers; True where nothing went wrong."""
        cdef Operation operation
        memset(&operation, 0, sizeof(Operation))
        self.describe(&operation, OPERATION_FLUSH, None)
        operation.data_only = data_only
        run_counted(self, &operation)
        if operation.error:
            raise failures.failure(OPERATION_FLUSH, operation.error, self.name, 0, 0, 0)

    def note(self, int kind, Py_ssize_t done, int error):
        """Count a transfer that was over before it could be on its way."""
        cdef Operation operation
        operation.kind = kind
        operation.done = <size_t>done
        operation.error = error
        self.account(&operation)

    def outstanding(self, bint ignoring_too):
        """Transfers on their way, without those whose completion runs on this very thread."""
        cdef Py_ssize_t count = self.in_flight if ignoring_too else self.in_flight - self.ignoring
        return count - self.delivering()

    cpdef Py_ssize_t delivering(self):
        """Transfers whose completion runs on this very thread."""
        cdef Py_ssize_t count = 0
        cdef PyObject *inner = membuf_delivering
        while inner != NULL:
            if (<Packet>inner).port is self:
                count += 1
            inner = (<Packet>inner).enclosing
        return count

    def after_fork(self):
        """In a forked child: what is on its way is the parent's; let the child's share of it go.

        Nobody is told: the parent is.
        """
        cdef Operation *operation = self.abandon()
        while operation != NULL:
            if operation.owner != NULL:
                (<Packet>operation.owner).disown()
            operation = operation.following


cdef int run_counted(Port port, Operation *operation) except -1:
    """Run an operation on this thread between the port's gate and its counters."""
    cdef bint over = False
    if not port.enter(operation, 1):
        raise PortShutError
    try:
        while not over:
            with nogil:
                over = operation_run(operation)
            if not over:
                PyErr_CheckSignals()
    finally:
        port.leave(operation, 1)
        port.account(operation)
    return 0


def unraisable(BaseException error, object context):
    """Report an error where no caller can receive it (`sys.unraisablehook`)."""
    PyErr_SetObject(type(error), error)
    PyErr_WriteUnraisable(context)


cdef int report(object error, Packet packet) except -1:
    """Make an error in a completion callback known where no caller can receive it."""
    loop = getattr(packet.lane, "loop", None)
    if isinstance(error, KeyboardInterrupt):
        # A callback is no place to stop the program from: the main thread gets it once more.
        _thread.interrupt_main()
    elif loop is not None and not loop.is_closed():
        loop.call_exception_handler(
            {"message": f"error in the completion callback of {packet!r}", "exception": error}
        )
    else:
        unraisable(error, packet)
    return 0


cdef tuple part_of(Hold *hold, iovec *vector):
    """The exporter that a hold is of, where the part of it begins, and its bytes."""
    return <object>hold.exporter, <char *>vector.iov_base - hold_address(hold), vector.iov_len


@cython.freelist(256)
cdef class Packet:
    """Packet(port, kind, memory, offset, memory_offset=0, memory_length=None, *, callback=None,
    keeps_memory=False, ignores_state=False)
    --

    One transfer that somebody waits for. It is used once, and holds its memory until it is over.

    Args:
        port: the port that it passes.
        kind: 3 read, 4 write, 9 flush (the framework's request types).
        memory: a writable (read) or readable (write) buffer, a list or tuple of such buffers for
            a vectored transfer, or None for a transfer of nothing.
        offset: byte position in the target; None or 0 where it has none.
        memory_offset, memory_length: the part of `memory`; a length of None or 0 reaches to its
            end. A list or tuple is always taken whole.
        callback: called as callback(packet) when it is over.
        keeps_memory: hold the memory past the end, until release().
        ignores_state: pass the gate though it is shut.

    Raises:
        MembufError: a check failed; nothing is held.
    """

    def __init__(
        self, Port port, int kind, memory, offset, memory_offset=0, memory_length=None, *,
        callback=None, bint keeps_memory=False, bint ignores_state=False
    ):
        self.fill(port, kind, memory, offset, memory_offset, memory_length)
        self.callback = callback
        self.keeps_memory = keeps_memory
        self.operation.ignores_state = ignores_state

    def __dealloc__(self):
        self.drop_holds()

    cdef int fill(
        self, Port port, int kind, object memory, object offset, object memory_offset,
        object memory_length
    ) except -1:
        if self.port is not None:
            raise RuntimeError("a packet is used once")
        self.port = port
        port.describe(&self.operation, kind, offset)
        self.operation.owner = <void *>self
        if memory is None:
            return 0
        memories = several(memory) if may_be_several(memory) else None
        if memories is not None:
            if memory_offset or memory_length:
                raise TypeError("several buffers are taken whole: leave memory_offset out")
            return self.fill_vectors(memories)
        port.attach(
            &self.operation, &self.operation.vector, &self.hold, memory,
            exact_size(memory_offset, "memory_offset"), optional_size(memory_length),
        )
        self.operation.vectors = &self.operation.vector
        self.operation.vector_count = 1
        return 0

    cdef int fill_vectors(self, object memories) except -1:
        cdef Py_ssize_t count = len(memories)
        cdef Py_ssize_t index
        self.vector_block = <iovec *>calloc(max(count, 1), sizeof(iovec))
        self.holds = <Hold *>calloc(max(count, 1), sizeof(Hold))
        if self.vector_block == NULL or self.holds == NULL:
            raise MemoryError
        for index in range(count):
            self.port.attach(
                &self.operation, &self.vector_block[index], &self.holds[index],
                memories[index], 0, 0,
            )
            self.hold_count += 1
        self.operation.vectors = self.vector_block
        self.operation.vector_count = <int>count
        return 0

    cdef void drop_holds(self) noexcept:
        cdef int index
        hold_drop(&self.hold)
        for index in range(self.hold_count):
            hold_drop(&self.holds[index])
        self.hold_count = 0
        free(self.holds)
        free(self.vector_block)
        self.holds = NULL
        self.vector_block = NULL

    cpdef release(self):
        """Let the memory go: now, or when the transfer is over."""
        self.keeps_memory = False
        if self.state != PACKET_STARTED:
            self.drop_holds()

    cpdef bint begin(self) except -1:
        """Count it in at the port's gate; False where the gate is shut."""
        if self.entered or self.state != PACKET_READY:
            raise RuntimeError("a packet is used once")
        self.entered = self.port.enter(&self.operation, 1)
        if self.entered:
            self.state = PACKET_STARTED
        return self.entered

    def work(self, deadline=None):
        """Run it to its end on this thread; `finish` then tells who waits.

        Args:
            deadline: by `time.monotonic`, when a transfer of a stream is given up.
        """
        cdef bint over = False
        while not over:
            if deadline is not None:
                self.look_at(deadline)
            with nogil:
                over = operation_run(&self.operation)
            if not over:
                self.look_for_signals()
        self.worked = True

    cdef int look_at(self, object deadline) except -1:
        """Cancel it where its time is up, and let it wait no longer than it may."""
        cdef double seconds = deadline - time.monotonic()
        if seconds > 0:
            self.operation.patience = <int>min(1000 * seconds + 1, 1000.0)
        elif not self.operation.cancelled:
            self.timed_out = True
            self.operation.cancelled = True
        return 0

    cdef int look_for_signals(self) except -1:
        try:
            PyErr_CheckSignals()
        except BaseException:
            self.operation.error = ECANCELED
            raise
        return 0

    def run_here(self):
        """Run it on this thread, release its memory and return its count of bytes."""
        try:
            run_counted(self.port, &self.operation)
        finally:
            self.state = PACKET_DONE
            self.drop_holds()
        return self.result()

    def finish(self):
        """It is over: count it out and tell who waits."""
        self.complete()

    def interrupt(self, int error, status=None, Py_ssize_t done=0):
        """Decide its end without a transfer of its own.

        Args:
            error: an errno, or 0.
            status: a status of the framework, or the exception that another transfer ended with.
            done: bytes that others have transferred for it.
        """
        if self.state != PACKET_DONE:
            self.operation.error = error
            self.operation.done = done
            self.status = status

    def withdraw(self):
        """It passed the gate but could not be sent: as if it had not been tried."""
        self.state = PACKET_READY
        self.entered = False
        self.port.leave(&self.operation, 1)

    def result(self):
        """The count of bytes; raises what the transfer ended with."""
        if self.operation.error or self.status is not None:
            raise self.failure()
        return self.operation.done

    cdef void complete(self) noexcept:
        if self.state == PACKET_DONE:
            return
        self.state = PACKET_DONE
        self.port.account(&self.operation)
        if not self.keeps_memory:
            self.drop_holds()
        if self.waited:
            # Who waits is to find it gone from the port; a callback, still there: its target does
            # not stop before its callbacks have returned.
            self.depart()
            self.deliver()
        else:
            self.deliver()
            self.depart()

    cdef void disown(self) noexcept:
        self.state = PACKET_DONE
        self.operation.error = ECANCELED
        self.entered = False
        self.callback = None
        self.drop_holds()

    cdef void depart(self) noexcept:
        if self.entered:
            self.port.leave(&self.operation, 1)

    cdef void deliver(self) noexcept:
        global membuf_delivering
        self.enclosing = membuf_delivering
        membuf_delivering = <PyObject *>self
        try:
            self.finished()
        except BaseException as error:
            report(error, self)
        finally:
            membuf_delivering = self.enclosing

    cdef int finished(self) except -1:
        """Tell who waits; subclasses have their own way."""
        if self.callback is not None:
            callback, self.callback = self.callback, None
            callback(self)
        return 0

    def failure(self):
        """The exception for its end, or None where it ended well."""
        if self.status is not None:
            return failures.refused(self.status, self)
        if self.operation.error:
            return failures.failure(
                self.operation.kind, self.operation.error, self.port.name,
                self.operation.offset, self.operation.length, self.operation.done,
                self.timed_out,
            )
        return None

    @property
    def kind(self):
        return self.operation.kind

    @property
    def stream(self):
        return self.operation.stream

    @property
    def offset(self):
        return self.operation.offset

    @property
    def length(self):
        return self.operation.length

    @property
    def information(self):
        """Bytes transferred so far."""
        return self.operation.done

    @property
    def error(self):
        """The errno that it ended with, or 0."""
        return self.operation.error

    @property
    def data_only(self):
        """Whether a flush leaves out what reading the data back does not need."""
        return bool(self.operation.data_only)

    @data_only.setter
    def data_only(self, bint value):
        self.operation.data_only = value

    @property
    def ignores_state(self):
        """Whether it passes the gate though it is shut."""
        return bool(self.operation.ignores_state)

    @ignores_state.setter
    def ignores_state(self, bint value):
        self.operation.ignores_state = value

    @property
    def begun(self):
        """Whether it has passed the port's gate."""
        return self.entered

    @property
    def over(self):
        return self.state == PACKET_DONE

    def mark_cancelled(self):
        """Have it stop at the next occasion."""
        self.operation.cancelled = True

    @property
    def marked_cancelled(self):
        """Whether it is to stop."""
        return bool(self.operation.cancelled)

    @property
    def vectored(self):
        """Whether it has several buffers, or a list of one."""
        return self.holds != NULL

    @property
    def part(self):
        """What another packet needs for the same transfer: memory, memory_offset, memory_length.

        Several buffers come as a list, and no memory as None.
        """
        cdef int index
        if self.hold.exporter != NULL:
            return part_of(&self.hold, &self.operation.vector)
        if self.holds == NULL:
            return None, 0, 0
        parts = [part_of(&self.holds[index], &self.vector_block[index])
                 for index in range(self.hold_count)]
        return [memory if start == 0 and length == hold_size(&self.holds[index]) else
                memoryview(memory).cast("B")[start:start + length]
                for index, (memory, start, length) in enumerate(parts)], 0, 0

    @property
    def memory(self):
        """What it holds: the buffer, a list of buffers, or None once it is released."""
        cdef int index
        if self.hold.exporter != NULL:
            return <object>self.hold.exporter
        if self.holds == NULL:
            return None
        return [<object>self.holds[index].exporter for index in range(self.hold_count)]

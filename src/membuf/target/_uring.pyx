# cython: language_level=3, binding=False, freethreading_compatible=True
"""A ring of io_uring, and the two ways to use one.

A ring belongs to one thread at a time, which sends and takes back; there is no lock. Entries are
submitted at most eight at a time: with more the device has nothing to do while they are prepared
(measured: one submission for 32 loses 15 % of the rate).
"""

from collections import deque

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EAGAIN, EBUSY, EINTR
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from posix.uio cimport iovec

from membuf.target._batch cimport Batch
from membuf.target._future cimport Future, Notice, set_stepping
from membuf.target._operation cimport (
    OPERATION_FLUSH, OPERATION_READ, TRANSFER_MAXIMUM, VECTORS_MAXIMUM, Operation,
    operation_advance,
)
from membuf.target._port cimport Packet, Port
from membuf.target._regions cimport Regions

from membuf.base.errors import from_errno
from membuf.target import failures


cdef extern from "<errno.h>" nogil:
    int EBADF
    int ECANCELED

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    short POLLIN
    short POLLOUT
    int poll(pollfd *fds, unsigned long count, int timeout)

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *buffer, size_t count)

cdef extern from "liburing.h" nogil:
    uint32_t IORING_FSYNC_DATASYNC
    int io_uring_queue_init(unsigned entries, io_uring *ring, unsigned flags)
    void io_uring_queue_exit(io_uring *ring)
    int io_uring_submit(io_uring *ring)
    int io_uring_submit_and_wait(io_uring *ring, unsigned count)
    io_uring_sqe *io_uring_get_sqe(io_uring *ring)
    int io_uring_peek_cqe(io_uring *ring, io_uring_cqe **entry)
    void io_uring_cqe_seen(io_uring *ring, io_uring_cqe *entry)
    unsigned io_uring_cq_ready(io_uring *ring)
    void io_uring_sqe_set_data64(io_uring_sqe *sqe, uint64_t data)
    void io_uring_prep_nop(io_uring_sqe *sqe)
    void io_uring_prep_read(
        io_uring_sqe *sqe, int fd, void *buffer, unsigned count, uint64_t offset)
    void io_uring_prep_write(
        io_uring_sqe *sqe, int fd, const void *buffer, unsigned count, uint64_t offset)
    void io_uring_prep_readv(
        io_uring_sqe *sqe, int fd, const iovec *vectors, unsigned count, uint64_t offset)
    void io_uring_prep_writev(
        io_uring_sqe *sqe, int fd, const iovec *vectors, unsigned count, uint64_t offset)
    void io_uring_prep_read_fixed(
        io_uring_sqe *sqe, int fd, void *buffer, unsigned count, uint64_t offset, int region)
    void io_uring_prep_write_fixed(
        io_uring_sqe *sqe, int fd, const void *buffer, unsigned count, uint64_t offset,
        int region)
    void io_uring_prep_fsync(io_uring_sqe *sqe, int fd, unsigned flags)
    void io_uring_prep_poll_add(io_uring_sqe *sqe, int fd, unsigned mask)
    void io_uring_prep_cancel64(io_uring_sqe *sqe, uint64_t data, int flags)

cdef enum:
    CHUNK = 8
    MUCH_TO_COPY = 16 << 20
    # The mark of an entry whose end interests nobody.
    NOBODY = 0
    # Set in a packet's mark while it waits for its stream to be ready.
    WAITING = 1
    # A loop that drains completions which start further transfers might never end.
    TAKE_MAXIMUM = 256


cdef void prepare(Operation *operation, io_uring_sqe *sqe) noexcept nogil:
    """Fill an entry for what is left of an operation."""
    cdef uint64_t offset = <uint64_t>-1
    cdef unsigned size
    if operation.kind == OPERATION_FLUSH:
        io_uring_prep_fsync(
            sqe, operation.fd, IORING_FSYNC_DATASYNC if operation.data_only else 0)
        return
    if not operation.stream:
        offset = <uint64_t>operation.offset + operation.done
    if operation.vector_count > 1:
        size = <unsigned>min(operation.vector_count, <int>VECTORS_MAXIMUM)
        if operation.kind == OPERATION_READ:
            io_uring_prep_readv(sqe, operation.fd, operation.vectors, size, offset)
        else:
            io_uring_prep_writev(sqe, operation.fd, operation.vectors, size, offset)
        return
    size = <unsigned>min(operation.length - operation.done, <size_t>TRANSFER_MAXIMUM)
    if operation.region >= 0:
        prepare_registered(operation, sqe, size, offset)
    elif operation.kind == OPERATION_READ:
        io_uring_prep_read(sqe, operation.fd, start_of(operation), size, offset)
    else:
        io_uring_prep_write(sqe, operation.fd, start_of(operation), size, offset)


cdef void prepare_registered(
    Operation *operation, io_uring_sqe *sqe, unsigned size, uint64_t offset
) noexcept nogil:
    if operation.kind == OPERATION_READ:
        io_uring_prep_read_fixed(
            sqe, operation.fd, start_of(operation), size, offset, operation.region)
    else:
        io_uring_prep_write_fixed(
            sqe, operation.fd, start_of(operation), size, offset, operation.region)


cdef inline void *start_of(Operation *operation) noexcept nogil:
    return operation.vectors.iov_base if operation.vector_count else NULL


@cython.final
cdef class Ring:
    """Ring(depth=128, *, idles=False)
    --

    A ring of io_uring; only one thread at a time may use it.

    Args:
        depth: transfers that can be with the system at once.
        idles: send operations that do nothing, to measure what the rest costs.

    Raises:
        MembufError: with the errno for which the system refuses io_uring.
    """

    def __cinit__(self, unsigned depth=128, *, bint idles=False):
        # Twice the entries: what is cancelled, or waits for a stream, takes a second one.
        cdef int answer = io_uring_queue_init(2 * depth, &self.ring, 0)
        if answer < 0:
            raise from_errno(-answer, "io_uring is refused")
        self.open = True
        self.idles = idles
        self.depth = depth
        self.backlog = deque()
        self.regions = Regions()
        self.regions.ring = &self.ring

    def __dealloc__(self):
        if self.open:
            io_uring_queue_exit(&self.ring)

    def close(self):
        """Give the ring back to the system; nothing may be on its way.

        In a forked child it only lets go of the child's share of the parent's ring. Called from
        inside a completion it is put off until the ring is done with it.
        """
        if not self.open:
            return
        self.open = False
        self.lane = self.loop = None
        if not self.taking:
            self.exit()

    cdef void exit(self) noexcept:
        io_uring_queue_exit(&self.ring)
        self.regions.let_go()

    @property
    def registered_bytes(self):
        """Memory that the system need not look up at each transfer."""
        return self.regions.registered_bytes

    def fileno(self):
        """The descriptor; it is readable when something has come back."""
        return self.ring.ring_fd

    # ---- entries --------------------------------------------------------------------------------

    cdef io_uring_sqe *entry(self) noexcept nogil:
        """The next free entry; NULL where the system takes none from us just now."""
        cdef io_uring_sqe *sqe = io_uring_get_sqe(&self.ring)
        if sqe == NULL:
            self.submit(False)
            sqe = io_uring_get_sqe(&self.ring)
        if sqe != NULL:
            self.busy += 1
            self.unsubmitted += 1
        return sqe

    cdef bint push(self, Operation *operation, uint64_t mark) noexcept nogil:
        cdef io_uring_sqe *sqe = self.entry()
        if sqe == NULL:
            return False
        if self.idles:
            io_uring_prep_nop(sqe)
        else:
            prepare(operation, sqe)
        io_uring_sqe_set_data64(sqe, mark)
        if not operation.offset_mask:
            self.copied_bytes += operation.length - operation.done
        return True

    cdef void hand_over(self) noexcept:
        """Submit from Python code.

        The system may copy buffered data there and then; only where that is much it is worth
        giving the interpreter away, since it may be a switch interval before it comes back.
        """
        if self.copied_bytes >= MUCH_TO_COPY:
            with nogil:
                self.submit(False)
        else:
            self.submit(False)

    cdef int submit(self, bint wait) noexcept nogil:
        """Hand the entries over, and wait for one to come back; 0, or minus an errno."""
        cdef int answer
        if not wait and not self.unsubmitted:
            return 0
        answer = io_uring_submit_and_wait(&self.ring, 1) if wait else io_uring_submit(&self.ring)
        if answer < 0:
            if answer == -EAGAIN or answer == -EBUSY:
                # The system is short of memory: give it a moment.
                poll(NULL, 0, 1)
            return answer
        self.unsubmitted -= min(<unsigned>answer, self.unsubmitted)
        self.copied_bytes = 0
        self.submissions += 1
        return 0

    # ---- batches: one thread sends and waits, without the interpreter ---------------------------

    def run(self, Batch batch):
        """Run a batch to its end.

        A signal whose handler raises lets no further transfer begin; those on their way end first.
        """
        cdef bint over = False
        raised = None
        self.find_regions(batch)
        while not over:
            with nogil:
                over = self.drive(batch)
            if not over and raised is None:
                try:
                    PyErr_CheckSignals()
                except BaseException as error:
                    raised = error
                    batch.gate.cancelled = True
        if raised is not None:
            raise raised

    cdef void find_regions(self, Batch batch) noexcept:
        cdef Py_ssize_t index
        cdef Operation *operation
        for index in range(batch.count):
            operation = &batch.operations[index]
            operation.region = -1
            if operation.offset_mask:
                operation.region = self.regions.find(&batch.holds[index], operation)

    cdef bint drive(self, Batch batch) noexcept nogil:
        """Send and take back until all is over (True) or a signal came (False)."""
        cdef int answer
        while True:
            self.feed(batch)
            if not self.busy:
                return True
            answer = self.submit(not io_uring_cq_ready(&self.ring))
            self.take_operations()
            if answer == -EINTR:
                return False

    cdef void feed(self, Batch batch) noexcept nogil:
        cdef Operation *operation
        while self.busy < self.depth and batch.begun < batch.count:
            if batch.gate.cancelled:
                return
            operation = &batch.operations[batch.begun]
            if not self.push(operation, <uint64_t><uintptr_t>operation):
                return
            batch.begun += 1
            if self.unsubmitted >= CHUNK:
                self.submit(False)

    cdef void take_operations(self) noexcept nogil:
        """Take back what has come; what is not over is sent on."""
        cdef io_uring_cqe *cqe
        cdef Operation *operation
        cdef int result
        while io_uring_peek_cqe(&self.ring, &cqe) == 0:
            operation = <Operation *><uintptr_t>cqe.user_data
            result = cqe.res
            io_uring_cqe_seen(&self.ring, cqe)
            self.busy -= 1
            if not operation_advance(operation, result):
                # It has just left room for itself.
                self.push(operation, <uint64_t><uintptr_t>operation)

    # ---- packets: their ends are told one by one ------------------------------------------------

    def attend(self, lane, loop):
        """Serve an event loop: tell ends on it, and have it flush what `start` keeps."""
        self.lane = lane
        self.loop = loop
        loop.add_reader(self.ring.ring_fd, self.ready)

    def future(self, Port port, int kind, memory, offset, memory_offset, memory_length):
        """Start a transfer and return what to await; None where the port is shut."""
        cdef Future future = Future.__new__(Future)
        future.begin_on(self.loop, port, kind, memory, offset, memory_offset, memory_length)
        return future if self.pass_port(future) else None

    def notice(self, callback, Port port, int kind, memory, offset, memory_offset, memory_length):
        """Start a transfer whose end `callback` is told; False where the port is shut."""
        cdef Notice notice = Notice.__new__(Notice)
        notice.begin_with(callback, port, kind, memory, offset, memory_offset, memory_length)
        return self.pass_port(notice)

    cdef bint pass_port(self, Packet packet) except -1:
        packet.lane = self.lane
        if not packet.begin():
            packet.release()
            return False
        self.start(packet)
        return True

    cpdef start(self, Packet packet):
        """Send a packet.

        It is handed to the system at once where the system has nothing to do, and otherwise with
        the next seven, or when the loop's turn ends.
        """
        if not self.open:
            raise from_errno(EBADF, "the ring is closed")
        if self.backlog or self.busy >= self.depth:
            self.backlog.append(packet)
            return
        self.send(packet)
        if self.unsubmitted >= CHUNK or self.unsubmitted == self.busy or self.loop is None:
            self.hand_over()
        elif not self.flushing:
            self.flushing = True
            self.loop.call_soon(self.flush)

    def flush(self):
        """Hand over what `start` has kept."""
        self.flushing = False
        self.hand_over()

    def ready(self):
        """Called by the loop when something has come back."""
        set_stepping(<PyObject *>self.loop)
        try:
            self.take_packets()
        finally:
            set_stepping(NULL)

    def cancel(self, Packet packet):
        """Ask for the early end of a packet; whether it can still be stopped.

        A transfer of a file or disk that the system has begun runs to its end.
        """
        cdef io_uring_sqe *sqe
        packet.operation.cancelled = True
        try:
            self.backlog.remove(packet)
        except ValueError:
            pass
        else:
            packet.operation.error = ECANCELED
            packet.complete()
            return True
        if packet.over:
            return False
        sqe = self.entry()
        if sqe == NULL:
            return False
        io_uring_prep_cancel64(sqe, packet.mark, 0)
        io_uring_sqe_set_data64(sqe, NOBODY)
        self.hand_over()
        return packet.operation.stream

    def take(self):
        """Take back what has come and tell its ends, from wherever; their number."""
        cdef PyObject *stepping = set_stepping(NULL)
        try:
            return self.take_packets()
        finally:
            set_stepping(stepping)

    cdef int take_packets(self) noexcept:
        """Take back what has come, tell its ends and hand over what they started; their number.

        No more than a few hundred at a time: the descriptor stays readable where more is left.
        """
        cdef int count = 0
        self.taking += 1
        while self.open and count < TAKE_MAXIMUM and self.take_one():
            count += 1
            if self.backlog and self.busy < self.depth:
                self.send(self.backlog.popleft())
            if self.unsubmitted >= CHUNK:
                self.hand_over()
        self.taking -= 1
        if self.open:
            self.hand_over()
        elif not self.taking:
            self.exit()
        return count

    cdef bint take_one(self) noexcept:
        cdef io_uring_cqe *cqe
        cdef uint64_t mark
        cdef int result
        if io_uring_peek_cqe(&self.ring, &cqe) != 0:
            return False
        mark, result = cqe.user_data, cqe.res
        # Before any Python code runs: it may use this ring.
        io_uring_cqe_seen(&self.ring, cqe)
        self.busy -= 1
        if mark != NOBODY:
            self.came_back(mark, result)
        return True

    def serve(self, int wake, orders):
        """Wait for orders or for what comes back, obey the orders and tell the ends.

        An exception raised into the thread from outside appears before anything is taken in hand,
        so that it finds no order half obeyed and no end half told.

        Args:
            wake: an eventfd that is written when there are orders.
            orders: a deque of callables.
        """
        cdef pollfd waiting[2]
        cdef uint64_t count
        waiting[0].fd = self.ring.ring_fd
        waiting[1].fd = wake
        waiting[0].events = waiting[1].events = POLLIN
        with nogil:
            poll(waiting, 2, -1)
        failures.checkpoint()
        if waiting[1].revents:
            read(wake, &count, sizeof(count))
        while orders:
            order = orders.popleft()
            order()
        self.take()

    def retire(self):
        """Have the thread that serves it end."""
        self.retired = True

    def wait(self, int milliseconds):
        """Wait until something has come back, or for that long."""
        cdef pollfd waiting
        waiting.fd = self.ring.ring_fd
        waiting.events = POLLIN
        with nogil:
            poll(&waiting, 1, milliseconds)

    cdef void send(self, Packet packet) noexcept:
        # The ring owns a reference until the packet has come back.
        Py_INCREF(packet)
        packet.operation.region = -1
        if packet.operation.offset_mask and packet.operation.vector_count == 1:
            # Only direct I/O has the system look up the pages of the memory.
            packet.operation.region = self.regions.find(&packet.hold, &packet.operation)
        self.push_packet(packet, <uint64_t><uintptr_t><void *>packet)

    cdef void push_packet(self, Packet packet, uint64_t mark) noexcept:
        packet.mark = mark
        if not self.push(&packet.operation, mark):
            packet.operation.error = EAGAIN
            self.end(packet)

    cdef void end(self, Packet packet) noexcept:
        packet.complete()
        Py_DECREF(packet)

    cdef void came_back(self, uint64_t mark, int result) noexcept:
        cdef Packet packet = <Packet><void *><uintptr_t>(mark & ~<uint64_t>WAITING)
        if mark & WAITING:
            # Its stream is ready now, or the waiting was cancelled.
            result = -EINTR if result >= 0 else result
        elif result == -EAGAIN and packet.operation.stream and not packet.operation.cancelled:
            self.await_ready(packet)
            return
        if operation_advance(&packet.operation, result):
            self.end(packet)
        else:
            self.push_packet(packet, mark & ~<uint64_t>WAITING)

    cdef void await_ready(self, Packet packet) noexcept:
        """The stream was opened not to block: wait for it, then try again."""
        cdef io_uring_sqe *sqe = self.entry()
        if sqe == NULL:
            packet.operation.error = EAGAIN
            self.end(packet)
            return
        packet.mark |= WAITING
        io_uring_prep_poll_add(
            sqe, packet.operation.fd,
            POLLIN if packet.operation.kind == OPERATION_READ else POLLOUT)
        io_uring_sqe_set_data64(sqe, packet.mark)

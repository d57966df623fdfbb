# cython: language_level=3, binding=False, freethreading_compatible=True
"""The transmission phase of one connection, the server's side: commands in, packets, replies out.

Bytes arrive in a staging area; a command's header is read there. What a write brings goes on into
a memory object from a lookaside list: what has arrived by a copy, the rest straight from the
socket. A command then becomes a packet for what is served, and is its completion routine. Replies
leave in the order in which packets end, as many as there are in one call, the bytes of a read
straight from its memory object.

Everything but `Command.__call__` runs on the thread of the event loop.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from posix.uio cimport iovec

from membuf.target._operation cimport Hold, hold_drop, hold_take

import ssl
from collections import deque

from membuf._native import LookasideList, Memory
from membuf.base import status as st
from membuf.bus.nbd.protocol import error_of
from membuf.request.completion import RequestType
from membuf.request.irp import Irp


cdef extern from "<endian.h>" nogil:
    uint16_t be16toh(uint16_t)
    uint16_t htobe16(uint16_t)
    uint32_t be32toh(uint32_t)
    uint32_t htobe32(uint32_t)
    uint64_t be64toh(uint64_t)
    uint64_t htobe64(uint64_t)

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    ssize_t recvmsg(int fd, msghdr *message, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

cdef extern from "<errno.h>" nogil:
    int EPERM
    int EIO
    int ENOMEM
    int EINVAL
    int ENOSPC

cdef enum:
    HEADER_BYTES = 28
    STAGING_BYTES = 128 * 1024
    VECTORS = 128
    SMALLEST_ORDER = 9
    LARGEST_ORDER = 22
    ORDERS = 23
    ROUNDS = 8  # of receiving, before others have their turn
    ENDED_BATCH = 16  # replies that are worth a call of their own

cdef enum:
    COMMAND_READ = 0
    COMMAND_WRITE = 1
    COMMAND_DISC = 2
    COMMAND_FLUSH = 3
    COMMAND_TRIM = 4
    COMMAND_CACHE = 5
    COMMAND_ZERO = 6
    COMMAND_STATUS = 7
    COMMANDS = 8

cdef enum:
    FLAG_FUA = 1
    FLAG_NO_HOLE = 2
    FLAG_DF = 4
    FLAG_REQ_ONE = 8
    FLAG_FAST_ZERO = 16

cdef uint32_t REQUEST_MAGIC = 0x25609513
cdef uint32_t SIMPLE_MAGIC = 0x67446698
cdef uint32_t CHUNK_MAGIC = 0x668E33EF
cdef uint16_t CHUNK_NONE = 0
cdef uint16_t CHUNK_DATA = 1
cdef uint16_t CHUNK_STATUS = 5
cdef uint16_t CHUNK_ERROR = 0x8001

cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE
cdef object FLUSH = RequestType.FLUSH
cdef object SUCCESS = st.STATUS_SUCCESS
cdef object WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

# The flags that a command may have.
cdef uint16_t[8] ALLOWED
ALLOWED[:] = [FLAG_DF, FLAG_FUA, 0, 0, FLAG_FUA, 0, FLAG_FUA | FLAG_NO_HOLE | FLAG_FAST_ZERO,
              FLAG_REQ_ONE]


cdef class Buffers:
    """Buffers(tag)
    --

    Memory for what commands carry: lookaside lists by size, a power of two each.

    Args:
        tag: of the pool.
    """

    cdef list plain
    cdef list cleared
    cdef object tag

    def __cinit__(self, tag):
        self.tag = tag
        self.plain = [None] * ORDERS
        self.cleared = [None] * ORDERS

    cdef object take(self, size_t size, bint clear):
        """Memory of that size or more."""
        cdef int order = SMALLEST_ORDER
        while (<size_t>1 << order) < size:
            order += 1
        if order > LARGEST_ORDER:
            return Memory(size, tag=self.tag, zero=clear)
        lists = self.cleared if clear else self.plain
        found = lists[order]
        if found is None:
            found = lists[order] = LookasideList(1 << order, tag=self.tag, zero=clear)
        return found.allocate()

    def delete(self):
        """Give the lists back."""
        for lists in (self.plain, self.cleared):
            for index, found in enumerate(lists):
                if found is not None and not found.deleted:
                    found.delete()
                lists[index] = None


cdef class Counters:
    """Counters()
    --

    What all connections of a server have done.
    """

    cdef uint64_t[8] commands
    cdef public uint64_t bytes_read
    cdef public uint64_t bytes_written
    cdef public uint64_t errors
    cdef public Py_ssize_t in_flight
    cdef public Py_ssize_t peak_in_flight

    def __cinit__(self):
        memset(self.commands, 0, sizeof(self.commands))

    def of_command(self, int kind):
        """How many commands of a kind there were."""
        return self.commands[kind] if 0 <= kind < COMMANDS else 0


@cython.final
@cython.freelist(64)
cdef class Command:
    """One command of a client, from its header to the end of its reply."""

    cdef Channel channel
    cdef readonly uint64_t cookie
    cdef readonly uint64_t offset
    cdef readonly uint32_t length
    cdef readonly uint16_t kind
    cdef readonly uint16_t flags
    cdef object irp
    cdef object memory
    cdef object finish
    cdef object extra  # bytes behind the head of a reply that is no read's
    cdef Hold hold
    cdef char *address
    cdef size_t arrived  # of what a write brings
    cdef bint flushing
    cdef int refusal  # the error of a write that is answered when all of it has come
    cdef unsigned char head[32]
    cdef size_t head_length
    cdef const char *payload
    cdef size_t payload_length

    def __dealloc__(self):
        hold_drop(&self.hold)

    def __call__(self, irp):
        """The packet has come back; called on any thread."""
        cdef Channel channel = self.channel
        if PyThread_get_thread_ident() == channel.thread:
            channel.ended(self)
        else:
            channel.ended_elsewhere(self)

    cdef int take_memory(self, Buffers buffers, bint clear) except -1:
        cdef Py_ssize_t size
        self.memory = buffers.take(self.length, clear)
        hold_take(&self.hold, self.memory, True, &self.address, &size)
        return 0

    cdef int let_go(self) except -1:
        """Give its memory back."""
        hold_drop(&self.hold)
        memory, self.memory = self.memory, None
        self.irp = self.extra = None
        if memory is not None:
            memory.delete()
        return 0

    cdef void answer_simply(self, uint32_t error) noexcept:
        (<uint32_t *>self.head)[0] = htobe32(SIMPLE_MAGIC)
        (<uint32_t *>self.head)[1] = htobe32(error)
        memcpy(self.head + 8, &self.cookie, 8)
        self.head_length = 16

    cdef void answer_in_chunk(self, uint16_t kind, size_t length) noexcept:
        cdef uint16_t done = htobe16(1)
        cdef uint16_t wire = htobe16(kind)
        cdef uint32_t size = htobe32(<uint32_t>length)
        (<uint32_t *>self.head)[0] = htobe32(CHUNK_MAGIC)
        memcpy(self.head + 4, &done, 2)
        memcpy(self.head + 6, &wire, 2)
        memcpy(self.head + 8, &self.cookie, 8)
        memcpy(self.head + 16, &size, 4)
        self.head_length = 20


cdef class Channel:
    """Channel(owner, fd, thread, submit, buffers, counters, *, ...)
    --

    The transmission phase of one connection.

    Args:
        owner: is told what to do: `pause()` and `resume()` reading, `watch_writing(yes)`,
            `soon(function)`, `perform(command)` for what takes longer, `over(reason)`.
        fd: the socket, non-blocking.
        thread: identity of the thread of the event loop.
        submit: takes a packet.
        attach: gives a packet its memory; None: it is the system buffer.
        buffers, counters: the server's.
        tls: the secured socket, or None.
        size, smallest, largest: of the export, and of a transfer, in bytes.
        readonly, structured, status, write_through, clear: what was agreed on, and what is served:
            `clear` has the memory of reads cleared before a driver sees it.
        file, depth: what packets carry.
        most_commands, most_bytes: on their way at once.
    """

    cdef object owner
    cdef int fd
    cdef unsigned long thread
    cdef object submit
    cdef object attach
    cdef Buffers buffers
    cdef Counters counters
    cdef object tls
    cdef uint64_t size
    cdef uint32_t smallest
    cdef uint32_t largest
    cdef bint readonly
    cdef bint structured
    cdef bint status
    cdef bint write_through
    cdef bint clear
    cdef object file
    cdef object depth
    cdef Py_ssize_t most_commands
    cdef size_t most_bytes

    cdef char *staging
    cdef size_t begin
    cdef size_t end
    cdef Command writing  # whose bytes are arriving
    cdef uint64_t discarding  # bytes of a write that was refused
    cdef Command refused  # its command
    cdef list replies
    cdef Py_ssize_t next_reply
    cdef size_t sent  # bytes of the first reply
    cdef object plain  # TLS: bytes that were given to be encrypted, and are not sent yet
    cdef object elsewhere
    cdef bint waking
    cdef bint receiving
    cdef bint flush_due
    cdef bint blocked  # the socket takes no more
    cdef readonly bint paused
    cdef readonly bint draining
    cdef readonly bint closed
    cdef readonly Py_ssize_t commands
    cdef readonly size_t byte_count
    cdef public uint64_t progress  # bytes received and sent

    def __cinit__(
        self, owner, int fd, unsigned long thread, submit, Buffers buffers, Counters counters, *,
        attach, tls, uint64_t size, uint32_t smallest, uint32_t largest, bint readonly,
        bint structured, bint status, bint write_through, bint clear, file, depth,
        Py_ssize_t most_commands, size_t most_bytes
    ):
        self.owner, self.fd, self.thread = owner, fd, thread
        self.submit, self.attach = submit, attach
        self.buffers, self.counters, self.tls = buffers, counters, tls
        self.size, self.smallest, self.largest = size, smallest, largest
        self.readonly, self.structured, self.status = readonly, structured, status
        self.write_through, self.clear = write_through, clear
        self.file, self.depth = file, depth
        self.most_commands, self.most_bytes = most_commands, most_bytes
        self.replies = []
        self.elsewhere = deque()
        self.staging = <char *>malloc(STAGING_BYTES)
        if self.staging == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.staging)

    # ---- receiving ------------------------------------------------------------------------------

    def readable(self):
        """Receive what there is, as far as others need not wait, and act on it."""
        cdef int rounds = 0
        if self.closed:
            return
        self.receiving = True
        try:
            while rounds < ROUNDS and not self.paused and not self.closed:
                rounds += 1
                if not self.receive():
                    break
                self.parse()
        finally:
            self.receiving = False
        self.flush()
        self.look_again()

    cdef int look_again(self) except -1:
        """What is decrypted already, no socket will tell of."""
        if self.tls is not None and not self.paused and not self.closed and self.tls.pending():
            self.owner.soon(self.readable)
        return 0

    cdef bint receive(self) except -1:
        """Receive once; whether anything came."""
        cdef iovec[2] vectors
        cdef msghdr message
        cdef Command command = self.writing
        cdef int count = 0
        cdef size_t wanted = 0
        cdef ssize_t got
        self.make_room()
        if command is not None:
            wanted = command.length - command.arrived
            vectors[0].iov_base = command.address + command.arrived
            vectors[0].iov_len = wanted
            count = 1
        vectors[count].iov_base = self.staging + self.end
        vectors[count].iov_len = STAGING_BYTES - self.end
        if self.tls is not None:
            got = self.receive_secured(&vectors[0])
        else:
            memset(&message, 0, sizeof(message))
            message.msg_iov = vectors
            message.msg_iovlen = count + 1
            with nogil:
                got = recvmsg(self.fd, &message, MSG_DONTWAIT)
        if got < 0:
            if errno == EAGAIN or errno == EINTR:
                return False
            self.lost("the connection was lost")
            return False
        if got == 0:
            self.lost("" if self.idle() else "the client is gone in the middle of a command")
            return False
        self.progress += got
        if command is not None:
            command.arrived += min(<size_t>got, wanted)
            got -= min(<size_t>got, wanted)
        self.end += got
        return True

    cdef ssize_t receive_secured(self, iovec *vector) except? -1:
        """As recvmsg, with the first of the buffers only."""
        try:
            return self.tls.recv_into(
                PyMemoryView_FromMemory(<char *>vector.iov_base, vector.iov_len, PyBUF_WRITE))
        except WANT:
            errno_set(EAGAIN)
            return -1
        except OSError:
            errno_set(EIO)
            return -1

    cdef void make_room(self) noexcept:
        """Have the staging area begin with what is not read yet."""
        if self.begin == self.end:
            self.begin = self.end = 0
        elif self.begin:
            memmove(self.staging, self.staging + self.begin, self.end - self.begin)
            self.end -= self.begin
            self.begin = 0

    cdef bint idle(self) noexcept:
        """Whether no command is in the middle of arriving."""
        return self.begin == self.end and self.writing is None and not self.discarding

    cdef int parse(self) except -1:
        """Act on what has arrived."""
        while not self.closed:
            if self.discarding:
                if not self.discard():
                    break
            elif self.writing is not None:
                if not self.collect():
                    break
            elif self.commands >= self.most_commands or self.byte_count >= self.most_bytes:
                self.pause()
                break
            elif self.draining:
                self.owner.pause()
                break
            elif self.end - self.begin < HEADER_BYTES:
                break
            else:
                self.take_command()
        return 0

    cdef bint discard(self) except -1:
        """Pass over what a refused write brought; whether all of it has come."""
        cdef uint64_t count = min(self.discarding, <uint64_t>(self.end - self.begin))
        self.begin += <size_t>count
        self.discarding -= count
        if self.discarding:
            return False
        command, self.refused = self.refused, None
        self.fail(command, (<Command>command).refusal)
        return True

    cdef bint collect(self) except -1:
        """Take what has arrived for a write; whether it has all."""
        cdef Command command = self.writing
        cdef size_t count = min(command.length - command.arrived, self.end - self.begin)
        if count:
            memcpy(command.address + command.arrived, self.staging + self.begin, count)
            command.arrived += count
            self.begin += count
        if command.arrived < command.length:
            return False
        self.writing = None
        self.send_down(command, WRITE)
        return True

    cdef int take_command(self) except -1:
        """Read the header of a command and begin it."""
        cdef char *header = self.staging + self.begin
        cdef Command command
        cdef uint32_t magic, length
        cdef uint16_t flags, kind
        cdef uint64_t offset
        memcpy(&magic, header, 4)
        if be32toh(magic) != REQUEST_MAGIC:
            self.lost("what came is no command")
            return 0
        memcpy(&flags, header + 4, 2)
        memcpy(&kind, header + 6, 2)
        memcpy(&offset, header + 16, 8)
        memcpy(&length, header + 24, 4)
        command = Command.__new__(Command)
        command.channel = self
        memcpy(&command.cookie, header + 8, 8)
        command.flags, command.kind = be16toh(flags), be16toh(kind)
        command.offset, command.length = be64toh(offset), be32toh(length)
        self.begin += HEADER_BYTES
        if command.kind == COMMAND_DISC:
            self.drain()
            return 0
        self.count_in(command)
        self.begin_command(command)
        return 0

    cdef void count_in(self, Command command) noexcept:
        cdef Counters counters = self.counters
        self.commands += 1
        counters.in_flight += 1
        if counters.in_flight > counters.peak_in_flight:
            counters.peak_in_flight = counters.in_flight
        if command.kind < COMMANDS:
            counters.commands[command.kind] += 1
        if command.kind <= COMMAND_WRITE:
            self.byte_count += command.length

    cdef int begin_command(self, Command command) except -1:
        cdef int error = self.refusal(command)
        if command.kind == COMMAND_WRITE and error:
            if command.length:
                self.discarding, self.refused = command.length, command
                command.refusal = error
                return 0
        if error:
            self.fail(command, error)
        elif command.kind == COMMAND_READ:
            if self.has_memory(command, self.clear):
                self.send_down(command, READ)
        elif command.kind == COMMAND_WRITE:
            if self.has_memory(command, False):
                self.writing = command
        elif command.kind == COMMAND_FLUSH:
            self.send_down(command, FLUSH)
        else:
            self.owner.perform(command)
        return 0

    cdef bint has_memory(self, Command command, bint clear) except -1:
        """Give a command memory; where there is none it fails, and what it brings is passed over."""
        try:
            command.take_memory(self.buffers, clear)
        except MemoryError:
            if command.kind == COMMAND_WRITE:
                self.discarding, self.refused = command.length, command
                command.refusal = ENOMEM
            else:
                self.fail(command, ENOMEM)
            return False
        return True

    cdef int refusal(self, Command command) noexcept:
        """The error of a command that is not done at all, or 0."""
        cdef uint16_t kind = command.kind
        if kind >= COMMANDS or command.flags & ~ALLOWED[kind]:
            return EINVAL
        if kind == COMMAND_FLUSH:
            return 0
        if kind == COMMAND_STATUS and not self.status:
            return EINVAL
        if self.readonly and (kind == COMMAND_WRITE or kind == COMMAND_TRIM or kind == COMMAND_ZERO):
            return EPERM
        if command.length == 0 or (command.offset | command.length) & (self.smallest - 1):
            return EINVAL
        if kind <= COMMAND_WRITE and command.length > self.largest:
            return EINVAL
        if command.offset > self.size or command.length > self.size - command.offset:
            return ENOSPC if kind == COMMAND_WRITE or kind == COMMAND_ZERO else EINVAL
        return 0

    # ---- packets --------------------------------------------------------------------------------

    cdef int send_down(self, Command command, object kind) except -1:
        """Have what is served do it."""
        try:
            irp = command.irp = Irp(
                kind, offset=command.offset, length=command.length, file=self.file,
                stack_count=self.depth,
            )
            if command.memory is not None:
                if self.attach is None:
                    irp.system_buffer = command.memory
                else:
                    command.finish = self.attach(irp, command.memory)
                if command.flags & FLAG_FUA and self.write_through:
                    irp.write_through = True
            irp.push(command)
            self.submit(irp)
        except Exception as error:
            self.owner.report(error)
            command.irp = None  # should it come back all the same, nobody waits for it
            self.fail(command, EIO)
        return 0

    cdef int ended(self, Command command) except -1:
        """A packet has come back, on the thread of the loop."""
        irp = command.irp
        if irp is None or command.channel is None:
            return 0
        cdef uint32_t status = irp.status
        cdef int error = 0
        if command.finish is not None:
            finish, command.finish = command.finish, None
            finish(irp)
        irp.system_buffer = None
        if status >= 0x80000000:
            error = error_of(status)
        elif command.kind <= COMMAND_WRITE and not command.flushing:
            if <uint64_t>irp.information != command.length:
                error = EIO
            elif command.flags & FLAG_FUA and not self.write_through:
                command.flushing = True
                hold_drop(&command.hold)
                memory, command.memory = command.memory, None
                memory.delete()
                self.send_down(command, FLUSH)
                return 0
        if error:
            self.fail(command, error)
        else:
            self.succeed(command)
        return 0

    cdef int ended_elsewhere(self, Command command) except -1:
        """A packet has come back on another thread: the loop's hears of it."""
        self.elsewhere.append(command)
        if not self.waking:
            self.waking = True
            self.owner.soon_from_elsewhere(self.hear)
        return 0

    def hear(self):
        """Take note of the packets that came back on other threads."""
        self.waking = False
        while self.elsewhere:
            self.ended(self.elsewhere.popleft())
        self.flush()

    # ---- replies --------------------------------------------------------------------------------

    cdef int succeed(self, Command command) except -1:
        if command.kind == COMMAND_READ:
            self.counters.bytes_read += command.length
            if self.structured:
                command.answer_in_chunk(CHUNK_DATA, 8 + <size_t>command.length)
                self.put_offset(command)
            else:
                command.answer_simply(0)
            command.payload, command.payload_length = command.address, command.length
        else:
            if command.kind == COMMAND_WRITE:
                self.counters.bytes_written += command.length
            command.answer_simply(0)
        return self.reply(command)

    cdef void put_offset(self, Command command) noexcept:
        cdef uint64_t offset = htobe64(command.offset)
        memcpy(command.head + 20, &offset, 8)
        command.head_length = 28

    cdef int fail(self, Command command, int error) except -1:
        """Answer a command with an error."""
        self.counters.errors += 1
        structured = self.structured and (
            command.kind == COMMAND_READ or command.kind == COMMAND_STATUS
        )
        if not structured:
            command.answer_simply(<uint32_t>error)
        else:
            command.answer_in_chunk(CHUNK_ERROR, 6)
            command.extra = error.to_bytes(4, "big") + b"\0\0"
            command.payload, command.payload_length = command.extra, 6
        return self.reply(command)

    def conclude(self, Command command not None, int error, bytes status=None):
        """Answer a command that the owner performed.

        Args:
            command: what `perform` got.
            error: the error on the wire, or 0.
            status: what a block status answers: context and runs.
        """
        if error:
            self.fail(command, error)
        elif status is not None:
            command.answer_in_chunk(CHUNK_STATUS, len(status))
            command.extra = status
            command.payload, command.payload_length = status, len(status)
            self.reply(command)
        else:
            self.succeed(command)

    cdef int reply(self, Command command) except -1:
        """Have a reply sent, soon."""
        if self.closed:
            self.count_out(command)
            return 0
        self.replies.append(command)
        if self.receiving:
            if len(self.replies) - self.next_reply >= ENDED_BATCH:
                self.flush()
        elif not self.flush_due:
            self.flush_due = True
            self.owner.soon(self.flush_now)
        return 0

    def flush_now(self):
        """Send the replies there are."""
        self.flush_due = False
        self.flush()

    def writable(self):
        """The socket takes bytes again."""
        self.blocked = False
        self.owner.watch_writing(False)
        self.flush()

    cdef int flush(self) except -1:
        while not self.blocked and not self.closed and self.has_replies():
            if self.tls is not None:
                self.send_secured()
            else:
                self.send_some()
        if self.paused and not self.closed and self.has_room():
            self.resume()
        self.end_if_drained()
        return 0

    cdef bint has_replies(self) noexcept:
        return self.next_reply < len(self.replies) or self.plain is not None

    cdef int send_some(self) except -1:
        """Send as many replies as one call takes."""
        cdef iovec[VECTORS] vectors
        cdef msghdr message
        cdef int count = 0
        cdef Py_ssize_t index = self.next_reply
        cdef size_t skip = self.sent
        cdef ssize_t sent
        cdef Command command
        while index < len(self.replies) and count + 2 <= VECTORS:
            command = self.replies[index]
            count += put(&vectors[count], <char *>command.head, command.head_length, &skip)
            count += put(&vectors[count], <char *>command.payload, command.payload_length, &skip)
            index += 1
        memset(&message, 0, sizeof(message))
        message.msg_iov = vectors
        message.msg_iovlen = count
        with nogil:
            sent = sendmsg(self.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < 0:
            if errno == EINTR:
                return 0
            if errno != EAGAIN:
                self.lost("the connection was lost")
                return 0
            self.block()
            return 0
        self.progress += sent
        self.note_sent(<size_t>sent)
        return 0

    cdef int note_sent(self, size_t sent) except -1:
        """So many bytes of the replies are gone: those that are gone whole are over."""
        cdef Command command
        cdef size_t total
        self.sent += sent
        while self.next_reply < len(self.replies):
            command = self.replies[self.next_reply]
            total = command.head_length + command.payload_length
            if self.sent < total:
                break
            self.sent -= total
            self.replies[self.next_reply] = None
            self.next_reply += 1
            self.count_out(command)
        if self.next_reply == len(self.replies):
            self.replies.clear()
            self.next_reply = 0
        elif self.next_reply > 1024:
            del self.replies[:self.next_reply]
            self.next_reply = 0
        return 0

    cdef int send_secured(self) except -1:
        """Give replies to be encrypted and sent."""
        cdef Command command
        if self.plain is None:
            parts = []
            size = 0
            for command in self.replies[self.next_reply:]:
                parts.append(command.head[:command.head_length])
                if command.payload_length:
                    parts.append(command.payload[:command.payload_length])
                size += command.head_length + command.payload_length
                if size >= STAGING_BYTES:
                    break
            self.plain = memoryview(b"".join(parts))
            self.note_sent(size)
        try:
            sent = self.tls.send(self.plain)
        except WANT:
            self.block()
            return 0
        except OSError:
            self.lost("the connection was lost")
            return 0
        self.progress += sent
        self.plain = self.plain[sent:] if sent < len(self.plain) else None
        return 0

    cdef int block(self) except -1:
        self.blocked = True
        self.owner.watch_writing(True)
        return 0

    cdef int count_out(self, Command command) except -1:
        """The reply is gone: the command is over."""
        self.commands -= 1
        self.counters.in_flight -= 1
        if command.kind <= COMMAND_WRITE:
            self.byte_count -= command.length
        command.let_go()
        return 0

    # ---- flow -----------------------------------------------------------------------------------

    cdef int pause(self) except -1:
        """There is too much on its way: read no further."""
        if not self.paused:
            self.paused = True
            self.owner.pause()
        return 0

    cdef bint has_room(self) noexcept:
        return self.commands <= self.most_commands // 2 and self.byte_count <= self.most_bytes // 2

    cdef int resume(self) except -1:
        self.paused = False
        if not self.draining:
            self.owner.resume()
            # What has arrived already, no socket will tell of.
            self.owner.soon(self.go_on)
        return 0

    def go_on(self):
        """Act on what had arrived when it was paused."""
        if self.paused or self.closed or self.receiving:
            return
        self.receiving = True
        try:
            self.parse()
        finally:
            self.receiving = False
        self.flush()
        self.look_again()

    def drain(self):
        """Begin no further command; the connection ends when all are answered."""
        self.draining = True
        if self.closed:
            return
        if self.writing is None and not self.discarding:
            self.owner.pause()
        self.end_if_drained()

    cdef int end_if_drained(self) except -1:
        if self.draining and not self.closed and not self.commands and not self.has_replies():
            self.lost("")
        return 0

    @property
    def waits(self):
        """Whether it waits for the client: for the rest of a command, or to take replies."""
        return self.blocked or not self.idle()

    cdef int lost(self, str reason) except -1:
        """The connection ends; "" where that is no accident."""
        self.close()
        self.owner.over(reason)
        return 0

    def close(self):
        """Receive and send nothing any more; packets on their way end where they are."""
        cdef Command command
        if self.closed:
            return
        self.closed = True
        replies, self.replies = self.replies[self.next_reply:], []
        self.next_reply = 0
        self.plain = None
        for command in (*replies, self.writing, self.refused):
            if command is not None:
                self.count_out(command)
        self.writing = self.refused = None


cdef inline int put(iovec *vector, char *start, size_t length, size_t *skip) noexcept:
    """Add bytes to be sent, less those that are gone already; how many vectors that took."""
    cdef size_t gone = min(skip[0], length)
    skip[0] -= gone
    if gone == length:
        return 0
    vector.iov_base = start + gone
    vector.iov_len = length - gone
    return 1


cdef extern from *:
    """
    #include <errno.h>
    static void membuf_errno_set(int number) { errno = number; }
    """
    void errno_set "membuf_errno_set"(int number) noexcept

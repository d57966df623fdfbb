# cython: language_level=3, binding=False, freethreading_compatible=True
"""The transmission phase of one connection, the server's side: commands in, packets, replies out.

Bytes arrive in a staging area; a command's header is read there. What a write brings goes on into
a memory object from a lookaside list: what has arrived by a copy, the rest straight from the
socket. A command then becomes a packet for what is served, and is its completion routine. Replies
leave in the order in which packets end, as many as there are in one call, the bytes of a read
straight from its memory object.

Everything but a command's coming back runs on the thread of the event loop.
"""

from cpython.buffer cimport PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from membuf.bus.nbd._command cimport (
    COMMAND_DISC, COMMAND_FLUSH, COMMAND_READ, COMMAND_STATUS, COMMAND_TRIM, COMMAND_WRITE,
    COMMAND_ZERO, COMMANDS, FLAG_DF, FLAG_FAST_ZERO, FLAG_FUA, FLAG_NO_HOLE, FLAG_REQ_ONE, Buffers,
    Command, Counters,
)
from membuf.bus.nbd._replies cimport Replies
from membuf.request._irp cimport Irp, transfer_irp
from membuf.target._operation cimport hold_drop
from posix.uio cimport iovec

import ssl
from collections import deque

from membuf.base.errors import MembufError
from membuf.bus.nbd.protocol import error_of
from membuf.request.completion import RequestType


cdef extern from "<endian.h>" nogil:
    uint16_t be16toh(uint16_t)
    uint32_t be32toh(uint32_t)
    uint64_t be64toh(uint64_t)

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
    int MSG_DONTWAIT

cdef extern from "<errno.h>" nogil:
    int EPERM
    int EIO
    int ENOMEM
    int EINVAL
    int ENOSPC

cdef enum:
    HEADER_BYTES = 28
    STAGING_BYTES = 128 * 1024
    ROUNDS = 8  # of receiving, before others have their turn

cdef uint32_t REQUEST_MAGIC = 0x25609513

cdef object READ = RequestType.READ
cdef object WRITE = RequestType.WRITE
cdef object FLUSH = RequestType.FLUSH
cdef object WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

# The flags that a command may have besides FUA, which is right for every command: of those that
# change nothing it asks nothing.
cdef uint16_t[8] ALLOWED
ALLOWED[:] = [FLAG_DF, 0, 0, 0, 0, 0, FLAG_NO_HOLE | FLAG_FAST_ZERO, FLAG_REQ_ONE]


cdef class Channel(Replies):
    """Channel(owner, fd, thread, submit, buffers, counters, *, ...)
    --

    The transmission phase of one connection.

    Args:
        owner: is told what to do: `pause()` and `resume()` reading, `watch_writing(yes)`,
            `soon(function)`, `perform(command)` for what takes longer, `over(reason)`, and
            `ended()` when it is closed and has no command on its way any more.
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

    cdef object submit
    cdef object attach
    cdef Buffers buffers
    cdef uint64_t size
    cdef uint32_t smallest
    cdef uint32_t largest
    cdef bint readonly
    cdef bint status
    cdef bint write_through
    cdef bint clear
    cdef object file
    cdef int depth
    cdef Py_ssize_t most_commands
    cdef size_t most_bytes

    cdef char *staging
    cdef size_t begin
    cdef size_t end
    cdef Command writing  # whose bytes are arriving
    cdef uint64_t discarding  # bytes of a write that was refused
    cdef Command refused  # its command
    cdef object elsewhere
    cdef bint waking
    cdef bint more  # may be there to be received
    cdef readonly bint paused
    cdef readonly bint draining

    def __cinit__(
        self, owner, int fd, unsigned long thread, submit, Buffers buffers not None,
        Counters counters not None, *,
        attach, tls, uint64_t size, uint32_t smallest, uint32_t largest, bint readonly,
        bint structured, bint status, bint write_through, bint clear, file, int depth,
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
            self.more = True
            while self.more and rounds < ROUNDS and self.wants_more():
                rounds += 1
                if self.receive():
                    self.parse()
        except Exception as error:
            self.broken(error)
        finally:
            self.receiving = False
        self.flush()
        self.look_again()

    cdef bint wants_more(self) noexcept:
        """Whether to receive: behind the last command, only the rest of a write is."""
        if self.paused or self.closed:
            return False
        return not self.draining or self.writing is not None or self.discarding != 0

    cdef int broken(self, error) except -1:
        """What should not happen costs this client its connection, and no other."""
        self.owner.report(error)
        if not self.closed:
            self.lost("the server failed")
        return 0

    cdef int look_again(self) except -1:
        """What is decrypted already, no socket will tell of."""
        if self.tls is not None and self.wants_more() and self.tls.pending():
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
        self.more = got == <ssize_t>(wanted + vectors[count].iov_len) or self.tls is not None
        if got < 0:
            if errno == EAGAIN or errno == EINTR:
                self.more = False
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
        command.home = self
        memcpy(&command.cookie, header + 8, 8)
        command.flags, command.kind = be16toh(flags), be16toh(kind)
        command.offset, command.length = be64toh(offset), be32toh(length)
        self.begin += HEADER_BYTES
        if command.kind == COMMAND_DISC:
            self.drain()
            return 0
        self.count_in(command)
        try:
            self.begin_command(command)
        except Exception as error:
            self.owner.report(error)
            self.fail(command, EIO)
        return 0

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
        """Give a command memory; without it fails, and what it brings is passed over."""
        try:
            command.take_memory(self.buffers, clear)
        except Exception as error:
            if not isinstance(error, MemoryError):
                self.owner.report(error)
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
        if kind >= COMMANDS or command.flags & ~(ALLOWED[kind] | FLAG_FUA):
            return EINVAL
        if kind == COMMAND_FLUSH:
            return 0
        if kind == COMMAND_STATUS and not self.status:
            return EINVAL
        if self.readonly and kind in (COMMAND_WRITE, COMMAND_TRIM, COMMAND_ZERO):
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
        cdef Irp irp
        try:
            irp = command.irp = transfer_irp(
                kind, command.offset, command.length, self.file, self.depth)
            if command.memory is not None:
                if self.attach is None:
                    irp.system_buffer = command.memory
                else:
                    command.finish = self.attach(irp, command.memory)
                if self.write_through and command.kind == COMMAND_WRITE:
                    irp.write_through = (command.flags & FLAG_FUA) != 0
            irp.push(command)
            self.submit(irp)
        except MembufError as error:  # what is served takes nothing now
            command.irp = None  # should it come back all the same, nobody waits for it
            self.fail(command, error_of(error.status))
        except Exception as error:
            self.owner.report(error)
            command.irp = None
            self.fail(command, EIO)
        return 0

    cdef int ended_here(self, Command command) except -1:
        """A packet has come back, on the thread of the loop; whatever fails, it is answered."""
        try:
            self.ended(command)
        except Exception as error:
            self.owner.report(error)
            self.fail(command, EIO)
        return 0

    cdef int ended(self, Command command) except -1:
        cdef Irp irp = command.irp
        if irp is None:
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
            elif self.flushes_after(command):
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

    cdef bint flushes_after(self, Command command) noexcept:
        """Whether a flush is to make a write durable: not where nobody waits for that any more."""
        return (
            command.kind == COMMAND_WRITE and (command.flags & FLAG_FUA) != 0
            and not self.write_through and not self.closed
        )

    cdef int ended_elsewhere(self, Command command) except -1:
        """A packet has come back on another thread: the loop's hears of it."""
        self.elsewhere.append(command)
        # The loop of a closed channel may have ended, and what it was to hear with it.
        if not self.waking or self.closed:
            self.waking = True
            self.owner.soon_from_elsewhere(self.hear)
        return 0

    def hear(self):
        """Take note of the packets that came back on other threads."""
        self.waking = False
        while True:
            try:
                command = self.elsewhere.popleft()
            except IndexError:
                break
            self.ended_here(command)
        self.flush()

    # ---- flow -----------------------------------------------------------------------------------

    cdef int flushed(self) except -1:
        if self.paused and not self.closed and self.has_room():
            self.resume()
        return self.end_if_drained()

    cdef int dropped(self) except -1:
        for command in (self.writing, self.refused):
            if command is not None:
                self.count_out(command)
        self.writing = self.refused = None
        self.discarding = 0
        return 0

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
        except Exception as error:
            self.broken(error)
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
        """Whether it waits for the client: for the rest of a command, or to take replies.

        While it is paused it waits for what is served, whatever has arrived meanwhile.
        """
        return self.blocked or (self.wants_more() and not self.idle())


cdef extern from *:
    """
    #include <errno.h>
    static void membuf_errno_set(int number) { errno = number; }
    """
    void errno_set "membuf_errno_set"(int number) noexcept

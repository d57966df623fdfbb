# cython: language_level=3, binding=False, freethreading_compatible=True
"""The replies of one connection: in the order in which commands end, many in one call."""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t
from libc.string cimport memset
from membuf.bus.nbd._command cimport (
    CHUNK_DATA, CHUNK_ERROR, CHUNK_STATUS, COMMAND_READ, COMMAND_STATUS, COMMAND_WRITE, COMMANDS,
    Command, Counters, Home,
)
from posix.uio cimport iovec

import ssl


cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    VECTORS = 128
    SECURED_BYTES = 128 * 1024
    ENDED_BATCH = 16  # replies that are worth a call of their own

cdef object WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


cdef class Replies(Home):
    """Replies()
    --

    The sending half of a connection.
    """

    # ---- replies --------------------------------------------------------------------------------

    cdef int succeed(self, Command command) except -1:
        if command.answered:
            return 0
        if command.kind == COMMAND_READ:
            self.counters.bytes_read += command.length
            if self.structured:
                command.answer_in_chunk(CHUNK_DATA, 8 + <size_t>command.length)
                command.put_offset()
            else:
                command.answer_simply(0)
            command.payload, command.payload_length = command.address, command.length
        else:
            if command.kind == COMMAND_WRITE:
                self.counters.bytes_written += command.length
            command.answer_simply(0)
        return self.reply(command)

    cdef int fail(self, Command command, int error) except -1:
        """Answer a command with an error, unless it is answered."""
        if command.answered:
            return 0
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
        if self.counters is None:
            raise RuntimeError("these are no connection's replies")
        if error:
            self.fail(command, error)
        elif status is not None and not command.answered:
            command.answer_in_chunk(CHUNK_STATUS, len(status))
            command.extra = status
            command.payload, command.payload_length = status, len(status)
            self.reply(command)
        else:
            self.succeed(command)

    cdef int reply(self, Command command) except -1:
        """Have the one reply of a command sent, soon."""
        command.answered = True
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
        return self.flushed()

    cdef int flushed(self) except -1:
        """What could be sent is sent."""
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
                if size >= SECURED_BYTES:
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

    cdef int count_in(self, Command command) except -1:
        """A command has begun."""
        cdef Counters counters = self.counters
        self.commands += 1
        counters.in_flight += 1
        if counters.in_flight > counters.peak_in_flight:
            counters.peak_in_flight = counters.in_flight
        if command.kind < COMMANDS:
            counters.commands[command.kind] += 1
        self.byte_count += command.cost()
        command.before, self.youngest = self.youngest, command
        if command.before is not None:
            command.before.behind = command
        return 0

    cdef int count_out(self, Command command) except -1:
        """The reply is gone: the command is over."""
        self.commands -= 1
        self.counters.in_flight -= 1
        self.byte_count -= command.cost()
        if command.behind is None:
            self.youngest = command.before
        else:
            command.behind.before = command.before
        if command.before is not None:
            command.before.behind = command.behind
        command.before = command.behind = None
        try:
            command.let_go()
        except Exception as error:
            self.owner.report(error)
        if self.closed and not self.commands:
            self.owner.ended()
        return 0

    cdef int lost(self, str reason) except -1:
        """The connection ends; "" where that is no accident."""
        self.close()
        self.owner.over(reason)
        return 0

    def close(self):
        """Receive and send nothing any more; who has its packets is asked to end them."""
        cdef Command command
        if self.closed:
            return
        self.closed = True
        replies, self.replies = self.replies[self.next_reply:], []
        self.next_reply = 0
        self.plain = None
        for command in replies:
            self.count_out(command)
        self.dropped()
        for irp in self.on_their_way():
            irp.cancel()
        if not self.commands:
            self.owner.ended()

    cdef list on_their_way(self):
        """The packets that have not come back."""
        cdef Command command = self.youngest
        irps = []
        while command is not None:
            if command.irp is not None and not command.answered:
                irps.append(command.irp)
            command = command.before
        return irps

    cdef int dropped(self) except -1:
        """Nothing is received any more."""
        return 0


cdef inline int put(iovec *vector, char *start, size_t length, size_t *skip) noexcept:
    """Add bytes to be sent, less those that are gone already; how many vectors that took."""
    cdef size_t gone = min(skip[0], length)
    skip[0] -= gone
    if gone == length:
        return 0
    vector.iov_base = start + gone
    vector.iov_len = length - gone
    return 1

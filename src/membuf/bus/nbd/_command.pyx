# cython: language_level=3, binding=False, freethreading_compatible=True
"""Commands of NBD clients: what each carries, and the head of its reply."""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from membuf.target._operation cimport hold_drop, hold_take

from membuf._native import LookasideList, Memory


cdef extern from "<endian.h>" nogil:
    uint16_t htobe16(uint16_t)
    uint32_t htobe32(uint32_t)
    uint64_t htobe64(uint64_t)

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

cdef enum:
    SMALLEST_ORDER = 9
    LARGEST_ORDER = 22
    ORDERS = 23
    PIECE_BYTES = 1024 * 1024  # of memory for what is done by several packets

cdef uint32_t SIMPLE_MAGIC = 0x67446698
cdef uint32_t CHUNK_MAGIC = 0x668E33EF


cdef class Buffers:
    """Buffers(tag)
    --

    Memory for what commands carry: lookaside lists by size, a power of two each.

    Args:
        tag: of the pool.
    """

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

    def __cinit__(self):
        memset(self.commands, 0, sizeof(self.commands))

    def of_command(self, int kind):
        """How many commands of a kind there were."""
        return self.commands[kind] if 0 <= kind < COMMANDS else 0


cdef class Home:
    """Where the packet of a command comes back to."""

    cdef int ended_here(self, Command command) except -1:
        """A packet has come back, on the thread of the loop."""
        raise NotImplementedError

    cdef int ended_elsewhere(self, Command command) except -1:
        """A packet has come back on another thread."""
        raise NotImplementedError


@cython.final
@cython.freelist(64)
cdef class Command:
    """One command of a client, from its header to the end of its reply."""

    def __dealloc__(self):
        hold_drop(&self.hold)

    def __call__(self, irp):
        """The packet has come back; called on any thread."""
        cdef Home home = self.home
        if home is None:
            raise RuntimeError("the command is no connection's")
        if PyThread_get_thread_ident() == home.thread:
            home.ended_here(self)
        else:
            home.ended_elsewhere(self)

    cdef size_t cost(self) noexcept:
        """The bytes of memory that it takes while it is on its way."""
        if self.kind <= COMMAND_WRITE:
            return self.length
        if self.kind == COMMAND_CACHE or self.kind == COMMAND_ZERO:
            return min(self.length, <uint32_t>PIECE_BYTES)
        return 0

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

    cdef void put_offset(self) noexcept:
        """The offset that a chunk of data begins with."""
        cdef uint64_t offset = htobe64(self.offset)
        memcpy(self.head + 20, &offset, 8)
        self.head_length = 28

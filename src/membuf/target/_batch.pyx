# cython: language_level=3, binding=False, freethreading_compatible=True
"""Many transfers handed over at once, with no Python object for each."""

cimport cython
from libc.stdlib cimport calloc, free

from membuf.target._operation cimport Hold, Operation, hold_drop, operation_run
from membuf.target._port cimport Port

from membuf.target import failures


cdef extern from "<errno.h>" nogil:
    int ECANCELED

cdef extern from *:
    """
    #define membuf_next(counter) __atomic_fetch_add(&(counter), 1, __ATOMIC_RELAXED)
    """
    Py_ssize_t membuf_next(Py_ssize_t counter) nogil


@cython.final
cdef class Batch:
    """Batch(port, kind, items)
    --

    Transfers that start together and are waited for together.

    Args:
        port: the port that they pass.
        kind: 3 read, 4 write.
        items: a sequence of (memory, offset) pairs.

    Raises:
        MembufError: a check of any item failed; nothing is held and nothing was started.
    """

    def __cinit__(self, Port port, int kind, items):
        cdef Py_ssize_t index
        self.port = port
        cdef tuple pairs = tuple(items)
        self.count = len(pairs)
        self.operations = <Operation *>calloc(max(self.count, 1), sizeof(Operation))
        self.holds = <Hold *>calloc(max(self.count, 1), sizeof(Hold))
        if self.operations == NULL or self.holds == NULL:
            raise MemoryError
        for index in range(self.count):
            memory, offset = pairs[index]
            self.add(index, kind, memory, offset)
        self.gate.kind = kind

    cdef int add(self, Py_ssize_t index, int kind, object memory, object offset) except -1:
        cdef Operation *operation = &self.operations[index]
        self.port.describe(operation, kind, offset)
        operation.vectors = &operation.vector
        operation.vector_count = 1
        self.port.attach(operation, &operation.vector, &self.holds[index], memory, 0, 0)
        return 0

    def __dealloc__(self):
        self.release()
        free(self.operations)

    cdef void release(self) noexcept:
        cdef Py_ssize_t index
        if self.holds == NULL:
            return
        for index in range(self.count):
            hold_drop(&self.holds[index])
        free(self.holds)
        self.holds = NULL

    def begin(self):
        """Count it in at the port's gate; False where the gate is shut."""
        self.entered = self.port.enter(&self.gate, self.count)
        return self.entered

    def end(self):
        """Let the memory go, and count out what was counted in.

        What was never begun then counts as cancelled.
        """
        cdef Py_ssize_t index
        self.release()
        if not self.entered:
            return
        for index in range(self.begun, self.count):
            self.operations[index].error = ECANCELED
        for index in range(self.count):
            self.port.account(&self.operations[index])
        self.port.leave(&self.gate, self.count)

    def work(self):
        """Run transfers that nobody has begun, until there is none; any number of threads may."""
        cdef Py_ssize_t index
        with nogil:
            while not self.gate.cancelled:
                index = membuf_next(self.begun)
                if index >= self.count:
                    break
                while not operation_run(&self.operations[index]):
                    pass

    def __len__(self):
        return self.count

    def results(self):
        """The counts of bytes in order.

        Raises:
            ExceptionGroup: some transfers failed; each error says which.
        """
        cdef Py_ssize_t index
        cdef Operation *operation
        cdef list counts = [None] * self.count
        cdef list errors = []
        for index in range(self.count):
            operation = &self.operations[index]
            if operation.error:
                errors.append(failures.failure(
                    operation.kind, operation.error, self.port.name, operation.offset,
                    operation.length, operation.done,
                ))
            counts[index] = operation.done
        if errors:
            raise failures.several(errors, self.count)
        return counts

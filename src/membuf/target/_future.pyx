# cython: language_level=3, binding=False, freethreading_compatible=True
"""The awaitable of a transfer: a packet that is an asyncio future as well.

It differs from asyncio's own future in one thing, which is why it exists: `cancel()` asks the
engine to stop the transfer and leaves the future pending until the transfer has ended. A task that
is cancelled while it awaits therefore goes on only when neither device nor kernel can touch the
memory any more.
"""

import sys

cimport cython

from cpython.contextvars cimport PyContext_CopyCurrent, PyContext_Enter, PyContext_Exit
from cpython.object cimport PyObject

from membuf.target._port cimport ECANCELED, PACKET_DONE, Packet, Port

from membuf.target import failures


cdef extern from *:
    """
    /* The event loop, while this thread stands where that loop itself would run callbacks: nothing
       of the program's is on the stack, so callbacks can be called at once. Borrowed. */
    static _Thread_local PyObject *membuf_stepping = NULL;
    """
    PyObject *membuf_stepping

cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030D0000
    #define Py_IsFinalizing() _Py_IsFinalizing()
    #endif
    """
    bint Py_IsFinalizing()

cdef object running_loop_of_asyncio = None


cdef PyObject *set_stepping(PyObject *loop) noexcept:
    """Say on which loop callbacks can be called at once (NULL: none); returns what was said."""
    global membuf_stepping
    cdef PyObject *before = membuf_stepping
    membuf_stepping = loop
    return before


cpdef current_loop():
    """The event loop that runs on this thread, or None.

    A program that never imported asyncio has none, and is not made to import it.
    """
    global running_loop_of_asyncio
    if membuf_stepping != NULL:
        return <object>membuf_stepping
    if running_loop_of_asyncio is None:
        events = sys.modules.get("asyncio.events")
        if events is None:
            return None
        # The one that returns None where `get_running_loop` raises: for the neighbours of loops.
        running_loop_of_asyncio = events._get_running_loop
    return running_loop_of_asyncio()


cdef object cancellation(Future future):
    """The CancelledError of a transfer whose cancelling was asked for, however it ended."""
    import asyncio

    if future.cancel_message is None:
        return asyncio.CancelledError()
    return asyncio.CancelledError(future.cancel_message)


cdef int must_be_done(Future future) except -1:
    import asyncio

    if future.state != PACKET_DONE:
        raise asyncio.InvalidStateError("the transfer has not ended")
    return 0


@cython.final
cdef class Future(Packet):
    """Future(port, kind, memory, offset, memory_offset=0, memory_length=None, *, loop,
    ignores_state=False)
    --

    A packet to await on `loop`; the result is its count of bytes.
    """

    def __init__(
        self, Port port, int kind, memory, offset, memory_offset=0, memory_length=None, *,
        loop, bint ignores_state=False
    ):
        self.begin_on(loop, port, kind, memory, offset, memory_offset, memory_length)
        self.operation.ignores_state = ignores_state

    cdef int begin_on(
        self, object loop, Port port, int kind, object memory, object offset,
        object memory_offset, object memory_length
    ) except -1:
        self.fill(port, kind, memory, offset, memory_offset, memory_length)
        self.loop = loop
        # A task that goes on finds nothing of the transfer left in the port.
        self.waited = True
        return 0

    def __del__(self):
        if not self.looked_at and self.state == PACKET_DONE and not self.ended_for_good():
            error = self.failure()
            if error is not None and not self.loop.is_closed():
                self.loop.call_exception_handler({
                    "message": "the error of a transfer that was never awaited",
                    "exception": error, "future": self,
                })

    cdef bint ended_for_good(self) noexcept:
        """Whether somebody asked for its end, or the end of the interpreter was its own."""
        cdef bint turned_out = self.operation.error == ECANCELED or self.status is not None
        return self.cancel_asked or (turned_out and Py_IsFinalizing())

    cdef int finished(self) except -1:
        waiter, self.waiter = self.waiter, None
        others, self.others = self.others, None
        if waiter is None or self.loop.is_closed():
            return 0
        self.wake(waiter, self.waiter_context)
        if others is not None:
            for callback, context in others:
                self.wake(callback, context)
        return 0

    cdef int wake(self, object callback, object context) except -1:
        """Call back: at once where the loop itself would, and otherwise soon.

        Called at once it costs a third of what the loop's queue costs (measured), and a task that
        is stepped so can have its next transfer handed over with the others of this turn.
        """
        if membuf_stepping != <PyObject *>self.loop:
            self.loop.call_soon(callback, self, context=context)
            return 0
        PyContext_Enter(context)
        try:
            callback(self)
        except (KeyboardInterrupt, SystemExit) as error:
            # The loop lets these through; from here they must take the way over its queue.
            self.loop.call_soon(failures.reraise, error)
        finally:
            PyContext_Exit(context)
        return 0

    cdef object outcome(self):
        """The result, or raises what the transfer ended with."""
        self.looked_at = True
        if self.cancel_asked:
            raise cancellation(self)
        if self.operation.error or self.status is not None:
            raise self.failure()
        return self.operation.done

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.state != PACKET_DONE:
            self._asyncio_future_blocking = True
            return self
        raise StopIteration(self.outcome())

    def get_loop(self):
        """The event loop on which it is awaited."""
        return self.loop

    def done(self):
        """Whether the transfer has ended."""
        return self.state == PACKET_DONE

    def cancelled(self):
        """Whether it has ended after somebody asked for its cancelling."""
        return self.state == PACKET_DONE and self.cancel_asked

    def cancel(self, msg=None):
        """Ask for the end of the transfer; False where it has ended already.

        The future stays pending until the transfer has really ended, and counts as cancelled then,
        even if all bytes arrived: who asked must see the answer.
        """
        if self.state == PACKET_DONE:
            return False
        self.cancel_asked = True
        self.cancel_message = msg
        self.lane.cancel(self)
        return True

    def result(self):
        """The count of bytes; raises what the transfer ended with."""
        must_be_done(self)
        return self.outcome()

    def exception(self):
        """The exception that the transfer ended with, or None."""
        must_be_done(self)
        self.looked_at = True
        if self.cancel_asked:
            raise cancellation(self)
        return self.failure()

    def add_done_callback(self, callback, *, context=None):
        """Have `callback(future)` called on the loop once the transfer has ended."""
        if context is None:
            context = PyContext_CopyCurrent()
        if self.state == PACKET_DONE:
            self.loop.call_soon(callback, self, context=context)
        elif self.waiter is None:
            self.waiter = callback
            self.waiter_context = context
        elif self.others is None:
            self.others = [(callback, context)]
        else:
            self.others.append((callback, context))

    def remove_done_callback(self, callback):
        """Take it back; how often it was there."""
        cdef list entries = [] if self.waiter is None else [(self.waiter, self.waiter_context)]
        entries += self.others or []
        kept = [entry for entry in entries if entry[0] != callback]
        self.waiter, self.waiter_context = kept[0] if kept else (None, None)
        self.others = kept[1:]
        return len(entries) - len(kept)


@cython.final
cdef class Notice(Packet):
    """Notice(port, kind, memory, offset, memory_offset=0, memory_length=None, *, callback)
    --

    A packet whose end is told by callback(memory, information, error).
    """

    def __init__(
        self, Port port, int kind, memory, offset, memory_offset=0, memory_length=None, *, callback
    ):
        self.begin_with(callback, port, kind, memory, offset, memory_offset, memory_length)

    cdef int begin_with(
        self, object callback, Port port, int kind, object memory, object offset,
        object memory_offset, object memory_length
    ) except -1:
        self.fill(port, kind, memory, offset, memory_offset, memory_length)
        self.callback = callback
        self.given = memory
        return 0

    cdef int finished(self) except -1:
        callback, self.callback = self.callback, None
        given, self.given = self.given, None
        if self.operation.error or self.status is not None:
            callback(given, self.operation.done, self.failure())
        else:
            callback(given, self.operation.done, None)
        return 0

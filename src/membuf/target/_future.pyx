# cython: language_level=3, binding=False, freethreading_compatible=True
"""The awaitable of a transfer: a packet that is an asyncio future as well.

It differs from asyncio's own future in one thing, which is why it exists: `cancel()` asks the
engine to stop the transfer and leaves the future pending until the transfer has ended. A task that
is cancelled while it awaits therefore goes on only when neither device nor kernel can touch the
memory any more.
"""

cimport cython

from membuf.target._port cimport PACKET_DONE, Packet, Port


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
        self.fill(port, kind, memory, offset, memory_offset, memory_length)
        self.operation.ignores_state = ignores_state
        self.loop = loop
        self._asyncio_future_blocking = False

    def __del__(self):
        if not self.looked_at and self.state == PACKET_DONE and not self.cancel_asked:
            error = self.failure()
            if error is not None and not self.loop.is_closed():
                self.loop.call_exception_handler({
                    "message": "the error of a transfer that was never awaited",
                    "exception": error, "future": self,
                })

    cdef int finished(self) except -1:
        callbacks, self.callbacks = self.callbacks, None
        if callbacks is not None and not self.loop.is_closed():
            for callback, context in callbacks:
                self.loop.call_soon(callback, self, context=context)
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
        if self.state == PACKET_DONE:
            self.loop.call_soon(callback, self, context=context)
        elif self.callbacks is None:
            self.callbacks = [(callback, context)]
        else:
            self.callbacks.append((callback, context))

    def remove_done_callback(self, callback):
        """Take it back; how often it was there."""
        if self.callbacks is None:
            return 0
        kept = [entry for entry in self.callbacks if entry[0] != callback]
        removed = len(self.callbacks) - len(kept)
        self.callbacks = kept
        return removed

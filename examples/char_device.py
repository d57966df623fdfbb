"""A device that is no disk: a mailbox. A read waits until there is a letter.

    python examples/char_device.py

It shows what a character-style driver is made of:

* control codes, and how their buffers travel: `COUNT` and `LIMIT` are buffered (the framework
  copies), `PEEK` is "out direct" (the driver writes into the caller's own pages);
* a manual queue in which reads wait; whoever gives up is taken out of it, by a timeout, a cancelled
  task or a closed handle, and the driver need not know;
* a sequential queue, by which the handlers run one at a time and need no lock.

To try next: a second kind of letter that goes to every reader who waits; a limit on the bytes of
all letters together; `request.mark_cancelable` for a reader that the driver holds itself.
"""

from __future__ import annotations

import struct
import threading
from collections import deque

import membuf
from membuf.base import status as st
from membuf.request import ControlCode, ReceivedRequest
from membuf.request.ioctl import BUFFERED_METHOD, OUT_DIRECT, READ_ACCESS, WRITE_ACCESS

MAILBOX = 0x8000  # device types from here on are everybody's
COUNT = ControlCode(MAILBOX, 0x800, BUFFERED_METHOD).encode()
LIMIT = ControlCode(MAILBOX, 0x801, BUFFERED_METHOD, WRITE_ACCESS).encode()
PEEK = ControlCode(MAILBOX, 0x802, OUT_DIRECT, READ_ACCESS).encode()
NUMBER = struct.Struct("<I")


class Mailbox:
    """The driver: letters in the order they came, and readers that wait for one.

    Args:
        limit: how many letters it holds; a writer is refused when it is full.
        name: what `device:` targets call it.
    """

    def __init__(self, limit: int = 64, name: str = "mailbox") -> None:
        self.limit = limit
        self.letters: deque[bytes] = deque()
        self.device = membuf.Device(name)
        self.device.queue("one at a time", dispatch="sequential", default=True)
        self.readers = self.device.queue("readers", dispatch="manual")
        self.device.on_read(self.read)
        self.device.on_write(self.write)
        self.device.on_ioctl(self.control)

    def read(self, request: ReceivedRequest) -> None:
        """Hand out the first letter; without one, the request waits."""
        if not self.letters:
            request.forward(self.readers)
        elif self.deliver(request, self.letters[0]):
            self.letters.popleft()

    def write(self, request: ReceivedRequest) -> None:
        """Take a letter: for a reader that waits for it, or to be kept."""
        letter = bytes(request.input_buffer())
        while (reader := self.readers.retrieve_next()) is not None:
            if self.deliver(reader, letter):
                break
        else:
            if len(self.letters) >= self.limit:
                request.complete(st.STATUS_DISK_FULL)
                return
            self.letters.append(letter)
        request.complete(information=len(letter))

    def deliver(self, reader: ReceivedRequest, letter: bytes) -> bool:
        """Give a reader a letter; False where it does not fit, and nobody has got it."""
        if len(letter) > reader.length:
            reader.complete(st.STATUS_BUFFER_TOO_SMALL)
            return False
        reader.output_memory().copy_from(letter)
        reader.complete(information=len(letter))
        return True

    # ---- control codes --------------------------------------------------------------------------

    def control(self, request: ReceivedRequest) -> None:
        """Carry out a control request; what its buffers are too short for, ends it."""
        try:
            answer = self.carry_out(request)
            if answer:
                request.output_memory().copy_from(answer)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=len(answer))

    def carry_out(self, request: ReceivedRequest) -> bytes:
        """The answer to a control request."""
        if request.code == COUNT:
            return NUMBER.pack(len(self.letters))
        if request.code == LIMIT:
            (self.limit,) = NUMBER.unpack_from(request.input_buffer(NUMBER.size))
            return b""
        if request.code == PEEK:
            return self.letters[0] if self.letters else b""
        raise membuf.InvalidDeviceStateError(
            f"there is no control code {request.code:#x}", status=st.STATUS_INVALID_DEVICE_REQUEST
        )


def open(limit: str = "64") -> membuf.Device:  # noqa: A001 - as the other examples are opened
    """Make the device; `limit=` is how many letters it holds."""
    if not limit.isdecimal() or not int(limit):
        raise ValueError(f"limit is a count of letters, 1 at least; got {limit!r}")
    return Mailbox(int(limit)).device


def main() -> None:
    """Wait for a letter, look at one, give up on one."""
    mailbox = Mailbox(limit=2)
    with mailbox.device.open() as reader, mailbox.device.open("write") as writer:
        postman = threading.Timer(0.1, writer.write, [b"hello"])
        postman.start()
        print("a read that waited:", reader.read(100))
        postman.join()

        writer.write(b"one")
        writer.write(b"two")
        print("letters:", *NUMBER.unpack(reader.ioctl(COUNT, out_length=NUMBER.size)))
        print("the first of them:", reader.ioctl(PEEK, out_length=100))
        try:
            writer.write(b"three")
        except membuf.MembufError as error:
            print("a third one:", error.status.name)
        writer.ioctl(LIMIT, NUMBER.pack(3))
        print("with a higher limit:", writer.write(b"three"), "bytes")
        print("all:", [reader.read(100) for _ in range(3)])

        waiting = reader.start_read(bytearray(100))
        print("waiting readers:", mailbox.readers.waiting)
        waiting.cancel()
        print("one that gave up:", waiting.wait()[0].name)
        print("waiting readers:", mailbox.readers.waiting)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A scatter/gather copy engine and its driver, both in Python, with no hardware at all.

The engine has memory of its own. Descriptors in a ring tell it which pieces of host memory to copy
there and back; the driver writes them, rings the doorbell, and hears of the end by an interrupt.

    python examples/copy_engine.py
"""

from __future__ import annotations

import os
import struct
from typing import Any

import membuf
import membuf.dma as dma
from membuf.request import RequestType
from membuf.testing.device_model import DeviceModel, Register

READ, WRITE = RequestType.READ, RequestType.WRITE
RING = 64
DESCRIPTOR = struct.Struct("<QQIII4x")  # host address, card offset, length, flags, status
TO_CARD, INTERRUPT = 0x1, 0x2
PENDING, DONE, FAILED = 0, 1, 2


class CopyEngine(DeviceModel):
    """The hardware: a ring of descriptors, a doorbell, an interrupt, and a megabyte of memory."""

    ring = Register(0x00, width=8)
    tail = Register(0x08)
    head = Register(0x0C, access="read")
    status = Register(0x10, access="write 1 to clear")

    def __init__(self) -> None:
        super().__init__()
        self.card = bytearray(1 << 20)
        self.failing: set[int] = set()
        self.count = 0

    def fail_at(self, number: int) -> None:
        """Inject an error: the descriptor of this number from now on is not carried out."""
        self.failing.add(self.count + number)

    @tail.on_write
    def doorbell(self, tail: int) -> None:
        """The driver has written descriptors up to here."""
        self.later(self.work, tail)

    def work(self, tail: int) -> None:
        """Carry out descriptors until the tail."""
        while self.head != tail:
            at = self.ring + self.head * DESCRIPTOR.size
            host, card, length, flags, _ = DESCRIPTOR.unpack(self.read_memory(at, DESCRIPTOR.size))
            status = self.carry_out(host, card, length, flags)
            self.write_memory(at, DESCRIPTOR.pack(host, card, length, flags, status))
            self.head = (self.head + 1) % RING
            if flags & INTERRUPT:
                self.status |= 1
                self.interrupt.request()

    def carry_out(self, host: int, card: int, length: int, flags: int) -> int:
        """Copy one piece."""
        self.count += 1
        if self.count in self.failing:
            return FAILED
        if flags & TO_CARD:
            self.card[card : card + length] = self.read_memory(host, length)
        else:
            self.write_memory(host, bytes(self.card[card : card + length]))
        return DONE


class CopyDriver:
    """The driver: reads and writes of its device become transactions of the engine."""

    def __init__(self, engine: CopyEngine, name: str = "copy0") -> None:
        self.engine = engine
        self.device = membuf.Device(name, io_type=membuf.DIRECT)
        self.enabler = dma.Enabler(
            self.device,
            dma.SCATTER_GATHER_64,
            maximum_length=65536,
            maximum_elements=RING - 1,
            power=dma.PowerCallbacks(enable=self.enable),
        )
        self.common = self.enabler.common_buffer(RING * DESCRIPTOR.size, alignment=4096)
        self.tail = self.done = 0
        self.running: dma.Transaction | None = None
        engine.attach(self.enabler)
        engine.interrupt.connect(self.isr, self.dpc)
        queue = self.device.queue("transfers", dispatch="sequential")
        queue.on_read(self.transfer)
        queue.on_write(self.transfer)
        self.device.route(READ, queue)
        self.device.route(WRITE, queue)
        self.device.start()

    def enable(self, enabler: dma.Enabler) -> None:
        """The device has power: tell it where the ring is."""
        self.engine.write(0x00, self.common.logical_address)

    # ---- from a request to descriptors ----------------------------------------------------------

    def transfer(self, request: Any) -> None:
        """EvtIoRead and EvtIoWrite."""
        if request.offset + request.length > len(self.engine.card):
            request.complete(status=membuf.Status(0xC000000D))
            return
        writes = request.type == WRITE
        self.running = self.enabler.transaction()
        self.running.initialize_using_request(request, self.program, int(writes))
        self.running.execute(request)

    def program(
        self, t: Any, device: Any, request: Any, direction: int, elements: tuple[dma.Element, ...]
    ) -> None:
        """EvtProgramDma: one descriptor for each element, the last one interrupts."""
        card = request.offset + t.bytes_transferred
        flags = TO_CARD if direction == dma.WRITE_TO_DEVICE else 0
        for number, (address, length) in enumerate(elements, start=1):
            last = INTERRUPT if number == len(elements) else 0
            descriptor = DESCRIPTOR.pack(address, card, length, flags | last, PENDING)
            start = self.tail * DESCRIPTOR.size
            self.common.buffer[start : start + DESCRIPTOR.size] = descriptor
            self.tail = (self.tail + 1) % RING
            card += length
        self.engine.write(0x08, self.tail)

    # ---- from an interrupt to the end of the request --------------------------------------------

    def isr(self) -> bool:
        """Is it ours? Then quiet the device."""
        if not self.engine.read(0x10) & 1:
            return False
        self.engine.write(0x10, 1)
        return True

    def dpc(self) -> None:
        """A transfer is over."""
        failed = self.take_results()
        t = self.running
        assert t is not None
        request = t.request
        ended = t.completed_final(0) if failed else t.completed()
        if ended:
            moved = t.bytes_transferred
            t.delete()
            status = membuf.Status(0xC0000185 if failed else 0)
            request.complete(status=status, information=0 if failed else moved)

    def take_results(self) -> bool:
        """Look at the descriptors of the transfer; whether one has failed."""
        failed = False
        while self.done != self.tail:
            start = self.done * DESCRIPTOR.size
            *_, status = DESCRIPTOR.unpack(self.common.buffer[start : start + DESCRIPTOR.size])
            failed |= status != DONE
            self.done = (self.done + 1) % RING
        return failed


def main() -> None:
    """Copy there and back, break something, and say what happened."""
    with CopyEngine() as engine:
        driver = CopyDriver(engine)
        contents = os.urandom(200_000)
        with driver.device.open() as handle:
            print("wrote", handle.write(contents, 4096), "bytes")
            print("read them back:", handle.read(200_000, 4096) == contents)
            engine.fail_at(3)
            try:
                handle.write(contents, 0)
            except membuf.MembufError as error:
                print("with the third descriptor failing:", error.status.name)
            print("and again:", handle.write(contents, 0), "bytes")
        counted = driver.enabler.statistics()
        print(counted.transfers, "transfers,", counted.elements, "elements,", end=" ")
        print(engine.interrupt.claimed, "interrupts")
        try:
            engine.read_memory(1 << 40, 8)
        except dma.TranslationFaultError as fault:
            print("a stray access of the engine:", fault)


if __name__ == "__main__":
    main()

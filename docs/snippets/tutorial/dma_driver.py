import struct

import membuf
import membuf.dma as dma
from membuf.testing.device_model import DeviceModel, Register


class Adder(DeviceModel):
    """The hardware: it adds up the bytes of a list of elements."""

    table = Register(0x00, width=8)  # where the list lies
    count = Register(0x08)  # how many elements: writing it starts the device
    total = Register(0x10, width=8, access="read")
    done = Register(0x18, access="write 1 to clear")

    @count.on_write
    def doorbell(self, count):
        self.later(self.add_up, count)

    def add_up(self, count):
        for index in range(count):
            at = self.table + 16 * index
            address, length = struct.unpack("<QQ", self.read_memory(at, 16))
            self.total += sum(self.read_memory(address, length))
        self.done = 1
        self.interrupt.request()


class AdderDriver:
    """Its driver: a write to the device is summed up."""

    def __init__(self, hardware):
        self.hardware = hardware
        self.device = membuf.Device("adder", io_type=membuf.DIRECT)
        self.enabler = dma.Enabler(self.device, maximum_length=65536)
        self.list = self.enabler.common_buffer(17 * 16)
        self.transaction = self.enabler.transaction()
        hardware.attach(self.enabler)
        hardware.interrupt.connect(self.is_ours, self.finished)
        self.device.on_write(self.write)

    def write(self, request):
        self.transaction.initialize_using_request(request, self.program, dma.WRITE_TO_DEVICE)
        self.transaction.execute()

    def program(self, transaction, device, context, direction, elements):
        packed = b"".join(struct.pack("<QQ", *element) for element in elements)
        self.list.buffer[: len(packed)] = packed
        self.hardware.write(0x00, self.list.logical_address)
        self.hardware.write(0x08, len(elements))

    def is_ours(self):
        ours = self.hardware.read(0x18) == 1
        self.hardware.write(0x18, 1)
        return ours

    def finished(self):
        if self.transaction.completed():
            request, moved = self.transaction.request, self.transaction.bytes_transferred
            self.transaction.release()
            request.complete(information=moved)


with Adder() as hardware:
    driver = AdderDriver(hardware)
    with driver.device.open() as handle:
        print(handle.write(bytes(range(256)) * 1000), "bytes added up")
    print("the sum is", hardware.read(0x10))

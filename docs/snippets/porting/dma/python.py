import membuf
from membuf import dma

device = membuf.Device("nic")
enabler = dma.Enabler(
    device, profile=dma.SCATTER_GATHER_64, maximum_length=65536
)
transaction = enabler.transaction()
wire = bytearray()


def program(transaction, device, context, direction, elements):
    for address, length in elements:  # what the device does
        wire.extend(enabler.translate(address, length, "read"))


packet = membuf.Mdl(b"a packet")
transaction.initialize(program, dma.WRITE_TO_DEVICE, packet)
transaction.execute()
if transaction.completed():
    transaction.release()
assert wire == b"a packet"

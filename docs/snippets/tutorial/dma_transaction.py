import membuf
import membuf.dma as dma

device = membuf.Device("adder")
enabler = dma.Enabler(device, profile=dma.SCATTER_GATHER_64, maximum_length=8192)


def program(transaction, device, context, direction, elements):
    print(f"{context}: {transaction.current_length} bytes in {len(elements)} elements")


numbers = membuf.Memory(20000, alignment=4096)
transaction = enabler.transaction()
transaction.initialize(program, dma.WRITE_TO_DEVICE, membuf.Mdl(numbers))
transaction.execute("sum")
while not transaction.completed():
    pass
print(transaction.bytes_transferred, transaction.state.name)
transaction.release()

import membuf
import membuf.dma as dma

enabler = dma.Enabler(membuf.Device("adder"))
seen = []
transaction = enabler.transaction(name="sum")
transaction.initialize(
    lambda t, device, context, direction, elements: seen.extend(elements),
    dma.WRITE_TO_DEVICE,
    membuf.Mdl(membuf.Memory(100, alignment=4096)),
)
transaction.execute()
address, length = seen[0]

for start, count, access in (
    (address, length, "read"),
    (address, length + 1, "read"),
    (address, length, "write"),
):
    try:
        print(len(enabler.translate(start, count, access)), "bytes")
    except dma.TranslationFaultError as fault:
        print(fault)
transaction.completed()
try:
    enabler.translate(address, length, "read")
except dma.TranslationFaultError as fault:
    print(fault)
transaction.release()

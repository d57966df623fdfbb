from membuf.wdf import *


def make_enabler(device):
    config = WDF_DMA_ENABLER_CONFIG()
    WDF_DMA_ENABLER_CONFIG_INIT(
        config, WdfDmaProfileScatterGather64, 65536
    )
    status, enabler = WdfDmaEnablerCreate(
        device, config, WDF_NO_OBJECT_ATTRIBUTES
    )
    if not NT_SUCCESS(status):
        return status, None, None
    status, transaction = WdfDmaTransactionCreate(
        enabler, WDF_NO_OBJECT_ATTRIBUTES
    )
    return status, enabler, transaction


def start_send(transaction, packet, program_dma):
    status = WdfDmaTransactionInitialize(
        transaction,
        program_dma,
        WdfDmaDirectionWriteToDevice,
        packet,
        MmGetMdlVirtualAddress(packet),
        MmGetMdlByteCount(packet),
    )
    if not NT_SUCCESS(status):
        return status
    return WdfDmaTransactionExecute(transaction, None)


def sent(transaction):
    done, _ = WdfDmaTransactionDmaCompleted(transaction)
    if done:
        WdfDmaTransactionRelease(transaction)


wire = bytearray()


def program_dma(transaction, device, context, direction, elements):
    for element in elements.Elements:  # what the device does
        address = element.Address.QuadPart
        wire.extend(
            enabler.translate(address, element.Length, "read")
        )


with driver("WdfNic") as this:
    init = WdfControlDeviceInitAllocate(this, None)
    _, device = WdfDeviceCreate(init, WDF_NO_OBJECT_ATTRIBUTES)
    status, enabler, transaction = make_enabler(device)
    packet = IoAllocateMdl(b"a packet", 8, False, False, None)
    assert (
        start_send(transaction, packet, program_dma)
        == STATUS_SUCCESS
    )
    sent(transaction)
    IoFreeMdl(packet)
assert wire == b"a packet"

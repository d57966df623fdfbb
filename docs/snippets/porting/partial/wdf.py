from membuf.wdf import *


def describe_payload(packet, header):
    start = MmGetMdlVirtualAddress(packet) + header
    length = MmGetMdlByteCount(packet) - header
    payload = IoAllocateMdl(start, length, False, False, None)
    if payload is not None:
        IoBuildPartialMdl(packet, payload, start, length)
    return payload


with driver("WdfCapture"):
    packet = IoAllocateMdl(
        bytearray(1500), 1500, False, False, None
    )
    MmProbeAndLockPages(packet, KernelMode, IoReadAccess)
    payload = describe_payload(packet, 42)
    assert MmGetMdlByteCount(payload) == 1458
    IoFreeMdl(payload)  # before its source
    MmUnlockPages(packet)
    IoFreeMdl(packet)

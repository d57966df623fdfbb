from membuf.wdf import *


def wrap_ring(ring, half):
    status, window = WdfMemoryCreatePreallocated(
        WDF_NO_OBJECT_ATTRIBUTES, ring, half
    )
    if not NT_SUCCESS(status):
        return status, None
    # Later: the same object over the other half.
    status = WdfMemoryAssignBuffer(
        window, memoryview(ring)[half:], half
    )
    return status, window


ring = bytearray(2 * 512)
with driver("WdfCapture"):
    status, window = wrap_ring(ring, 512)
    WdfMemoryCopyFromBuffer(window, 0, b"second", 6)
# The ring is the caller's, and stays.
assert ring[512:518] == b"second"

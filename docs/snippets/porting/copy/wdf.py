from membuf.wdf import *


def stamp_frame(frame, number):
    tail = bytearray(8)
    status = WdfMemoryCopyFromBuffer(
        frame, 0, number.to_bytes(8, "little"), 8
    )
    if not NT_SUCCESS(status):
        return status  # INVALID_BUFFER_SIZE: no room for it
    return WdfMemoryCopyToBuffer(frame, 4096 - 8, tail, len(tail))


with driver("WdfCapture"):
    _, frame, _ = WdfMemoryCreate(
        None, NonPagedPoolNx, b"Capt", 4096
    )
    assert stamp_frame(frame, 7) == STATUS_SUCCESS
    _, small, _ = WdfMemoryCreate(None, NonPagedPoolNx, b"Capt", 4)
    assert stamp_frame(small, 7) == STATUS_INVALID_BUFFER_SIZE

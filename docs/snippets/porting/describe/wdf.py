import membuf
from membuf.wdf import *


def write_tail(target, page):
    part = WDFMEMORY_OFFSET(BufferOffset=3584)  # to the end
    descriptor = WDF_MEMORY_DESCRIPTOR()
    WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(descriptor, page, part)
    return WdfIoTargetSendWriteSynchronously(
        target, None, descriptor, 0, None
    )


with driver("WdfWriter"):
    _, page, _ = WdfMemoryCreate(
        None, NonPagedPoolNx, b"Page", 4096
    )
    with membuf.open_target(
        "file:/dev/null", access="write"
    ) as target:
        status, sent = write_tail(target, page)
        assert (status, sent) == (STATUS_SUCCESS, 512)

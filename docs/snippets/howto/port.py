from membuf.wdf import *

with driver("WdfCapture") as this:
    attributes = WDF_OBJECT_ATTRIBUTES()
    WDF_OBJECT_ATTRIBUTES_INIT(attributes)

    status, memory, buffer = WdfMemoryCreate(attributes, NonPagedPoolNx, b"Capt", 4096)
    assert NT_SUCCESS(status)

    status = WdfMemoryCopyFromBuffer(memory, 4090, b"too long", 8)
    assert status == STATUS_INVALID_BUFFER_SIZE

    try:
        WdfMemoryCopyFromBuffer(memory, 0, None, 8)
    except BugCheck as stop:
        assert (stop.code, stop.p1) == (0x10D, 4)

    WdfObjectDelete(memory)

from membuf.wdf import *


def make_frame(owner):
    attributes = WDF_OBJECT_ATTRIBUTES()
    WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.ParentObject = owner

    status, frame, pointer = WdfMemoryCreate(
        attributes, NonPagedPoolNx, b"Capt", 4096
    )
    if NT_SUCCESS(status):
        pointer[:] = bytes(4096)
    return status, frame


with driver("WdfCapture") as this:
    status, frame = make_frame(this)
    assert status == STATUS_SUCCESS

from membuf.wdf import *


def sort_later(count):
    scratch = ExAllocatePool2(POOL_FLAG_PAGED, count * 4, b"Locl")
    if scratch is None:
        return STATUS_INSUFFICIENT_RESOURCES
    memoryview(scratch).cast("I")[0] = count
    ExFreePoolWithTag(scratch, b"Locl")
    return STATUS_SUCCESS


with driver("WdfCapture"):
    assert sort_later(1000) == STATUS_SUCCESS

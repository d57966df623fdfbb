from membuf import MembufError
from membuf.wdf import *


def lock_ring(ring, size):
    pages = IoAllocateMdl(ring, size, False, False, None)
    if pages is None:
        return STATUS_INSUFFICIENT_RESOURCES, None, None
    try:
        MmProbeAndLockPages(pages, KernelMode, IoWriteAccess)
    except MembufError as error:
        IoFreeMdl(pages)
        return error.status, None, None
    mapped = MmGetSystemAddressForMdlSafe(
        pages, NormalPagePriority | MdlMappingNoExecute
    )
    return STATUS_SUCCESS, pages, mapped


def unlock_ring(pages):
    MmUnlockPages(pages)  # takes the mapping along
    IoFreeMdl(pages)


with driver("WdfCapture"):
    status, pages, mapped = lock_ring(bytearray(8192), 8192)
    assert MmGetMdlByteCount(pages) == len(mapped) == 8192
    unlock_ring(pages)
    status, pages, mapped = lock_ring(bytes(8192), 8192)
    assert status == STATUS_ACCESS_VIOLATION  # bytes are read-only

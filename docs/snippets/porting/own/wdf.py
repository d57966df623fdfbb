import threading

import membuf
from membuf.wdf import *

over = threading.Event()


def write_done(own, target, params, context):
    # The copy was deleted; it goes with what holds it.
    WdfObjectDelete(own)
    over.set()


def send_copy(target, copies, data, length):
    status, own = WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target)
    if not NT_SUCCESS(status):
        return status
    status, copy = WdfMemoryCreateFromLookaside(copies)
    if not NT_SUCCESS(status):
        WdfObjectDelete(own)
        return status
    WdfMemoryCopyFromBuffer(copy, 0, data, length)
    status = WdfIoTargetFormatRequestForWrite(
        target, own, copy, None, None
    )
    WdfObjectDelete(copy)  # the format holds it
    if NT_SUCCESS(status):
        WdfRequestSetCompletionRoutine(own, write_done, None)
        if not WdfRequestSend(own, target, WDF_NO_SEND_OPTIONS):
            status = WdfRequestGetStatus(own)
    if not NT_SUCCESS(status):
        WdfObjectDelete(own)
    return status


with driver("WdfWriter"):
    _, copies = WdfLookasideListCreate(
        None, 512, NonPagedPoolNx, None, b"Copy"
    )
    with membuf.open_target(
        "file:/dev/null", access="write"
    ) as target:
        status = send_copy(target, copies, b"header", 6)
        assert status == STATUS_SUCCESS
        over.wait()
    assert copies.statistics().outstanding == 0

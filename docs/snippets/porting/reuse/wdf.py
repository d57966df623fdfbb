from pathlib import Path

import membuf
from membuf.wdf import *


def read_all(target, own, page, count):
    options = WDF_REQUEST_SEND_OPTIONS()
    WDF_REQUEST_SEND_OPTIONS_INIT(
        options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS
    )
    status = STATUS_SUCCESS
    reuse = WDF_REQUEST_REUSE_PARAMS()
    for i in range(count):
        status = WdfIoTargetFormatRequestForRead(
            target, own, page, None, i * 4096
        )
        if NT_SUCCESS(status):
            WdfRequestSend(own, target, options)
            status = WdfRequestGetStatus(own)
        WDF_REQUEST_REUSE_PARAMS_INIT(
            reuse, WDF_REQUEST_REUSE_NO_FLAGS, status
        )
        WdfRequestReuse(own, reuse)  # lets the page go
        if not NT_SUCCESS(status):
            break
    return status


Path("data.img").write_bytes(bytes(8 * 4096))
with (
    driver("WdfReader"),
    membuf.open_target("file:data.img") as target,
):
    _, own = WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target)
    _, page, _ = WdfMemoryCreate(
        None, NonPagedPoolNx, b"Page", 4096
    )
    assert read_all(target, own, page, 8) == STATUS_SUCCESS
    assert page.reference_count == 1

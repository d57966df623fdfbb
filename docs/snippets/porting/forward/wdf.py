import membuf
from membuf.wdf import *


def read_done(request, target, params, context):
    # The memory is held still; completing lets it go.
    WdfRequestCompleteWithInformation(
        request, params.IoStatus.Status, params.IoStatus.Information
    )


def io_read(queue, request, length):
    target = WdfDeviceGetIoTarget(WdfIoQueueGetDevice(queue))
    status, memory = WdfRequestRetrieveOutputMemory(request)
    if NT_SUCCESS(status):
        status = WdfIoTargetFormatRequestForRead(
            target, request, memory, None, None
        )
    if not NT_SUCCESS(status):
        WdfRequestComplete(request, status)
        return
    WdfRequestSetCompletionRoutine(request, read_done, None)
    if not WdfRequestSend(request, target, WDF_NO_SEND_OPTIONS):
        WdfRequestComplete(request, WdfRequestGetStatus(request))


with (
    membuf.open_target("file:/dev/zero", access="read") as lower,
    driver("WdfUpper") as this,
):
    device = membuf.Device("upper", lower=lower, parent=this)
    config = WDF_IO_QUEUE_CONFIG()
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(
        config, WdfIoQueueDispatchParallel
    )
    config.EvtIoRead = io_read
    WdfIoQueueCreate(device, config, WDF_NO_OBJECT_ATTRIBUTES)
    with device.open() as handle:
        assert handle.read(4) == bytes(4)

import membuf
from membuf.wdf import *


def write_done(own, target, params, received):
    status = params.IoStatus.Status
    sent = params.IoStatus.Information
    WdfObjectDelete(own)  # first: it holds their memory
    WdfRequestCompleteWithInformation(received, status, sent)


def io_write(queue, request, length):
    part = WDFMEMORY_OFFSET(BufferOffset=512)  # without the header
    own = None
    target = WdfDeviceGetIoTarget(WdfIoQueueGetDevice(queue))
    status, memory = WdfRequestRetrieveInputMemory(request)
    if NT_SUCCESS(status):
        status, own = WdfRequestCreate(
            WDF_NO_OBJECT_ATTRIBUTES, target
        )
    if NT_SUCCESS(status):
        status = WdfIoTargetFormatRequestForWrite(
            target, own, memory, part, None
        )
    if NT_SUCCESS(status):
        WdfRequestSetCompletionRoutine(own, write_done, request)
        if WdfRequestSend(own, target, WDF_NO_SEND_OPTIONS):
            return
        status = WdfRequestGetStatus(own)
    if own is not None:
        WdfObjectDelete(own)
    WdfRequestComplete(request, status)


with (
    membuf.open_target("file:/dev/null", access="write") as lower,
    driver("WdfUpper") as this,
):
    device = membuf.Device("upper", lower=lower, parent=this)
    config = WDF_IO_QUEUE_CONFIG()
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(
        config, WdfIoQueueDispatchParallel
    )
    config.EvtIoWrite = io_write
    WdfIoQueueCreate(device, config, WDF_NO_OBJECT_ATTRIBUTES)
    with device.open() as handle:
        assert handle.write(bytes(1024)) == 512

from struct import pack, unpack_from

from membuf.wdf import *

IOCTL_SUM = CTL_CODE(0x22, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)


def io_device_control(
    queue, request, output_length, input_length, code
):
    if code != IOCTL_SUM:
        WdfRequestComplete(request, STATUS_INVALID_DEVICE_REQUEST)
        return
    status, numbers, _ = WdfRequestRetrieveInputBuffer(request, 8)
    if NT_SUCCESS(status):
        status, total, _ = WdfRequestRetrieveOutputBuffer(
            request, 4
        )
    if NT_SUCCESS(status):
        first, second = unpack_from("II", numbers)
        total[:4] = pack("I", first + second)  # one buffer for both
    WdfRequestCompleteWithInformation(request, status, 4)


with driver("WdfSums") as this:
    init = WdfControlDeviceInitAllocate(this, None)
    _, device = WdfDeviceCreate(init, WDF_NO_OBJECT_ATTRIBUTES)
    config = WDF_IO_QUEUE_CONFIG()
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(
        config, WdfIoQueueDispatchSequential
    )
    config.EvtIoDeviceControl = io_device_control
    WdfIoQueueCreate(device, config, WDF_NO_OBJECT_ATTRIBUTES)
    with device.open() as handle:
        answer = handle.ioctl(IOCTL_SUM, pack("II", 20, 22), 4)
        assert answer == pack("I", 42)

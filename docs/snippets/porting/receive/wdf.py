from membuf.wdf import *

DISK = bytes(range(256))


def io_read(queue, request, length):
    status, memory = WdfRequestRetrieveOutputMemory(request)
    if not NT_SUCCESS(status):
        WdfRequestComplete(request, status)
        return
    status = WdfMemoryCopyFromBuffer(memory, 0, DISK, length)
    WdfRequestCompleteWithInformation(request, status, length)


def device_add(driver, init):
    WdfDeviceInitSetIoType(init, WdfDeviceIoBuffered)
    status, device = WdfDeviceCreate(init, WDF_NO_OBJECT_ATTRIBUTES)
    if not NT_SUCCESS(status):
        return status
    config = WDF_IO_QUEUE_CONFIG()
    WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(
        config, WdfIoQueueDispatchSequential
    )
    config.EvtIoRead = io_read
    status, _ = WdfIoQueueCreate(
        device, config, WDF_NO_OBJECT_ATTRIBUTES
    )
    return status


config = WDF_DRIVER_CONFIG()
WDF_DRIVER_CONFIG_INIT(config, device_add)
_, driver = WdfDriverCreate(config)
device = driver.add_device()  # the Plug and Play manager's part
with device.open() as handle:
    assert handle.read(4) == b"\0\1\2\3"
driver.unload()

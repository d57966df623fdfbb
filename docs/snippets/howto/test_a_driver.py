import membuf.testing.wdf
from membuf.wdf import *

DISK = bytearray(1 << 20)


def EvtIoRead(queue, request, length):
    """The driver's: reads of a disk in memory, as they would be in C."""
    parameters = WDF_REQUEST_PARAMETERS()
    WDF_REQUEST_PARAMETERS_INIT(parameters)
    WdfRequestGetParameters(request, parameters)
    offset = parameters.Parameters.Read.DeviceOffset
    if offset + length > len(DISK):
        WdfRequestComplete(request, STATUS_INVALID_PARAMETER)
        return
    status, memory = WdfRequestRetrieveOutputMemory(request)
    if NT_SUCCESS(status):
        part = memoryview(DISK)[offset : offset + length]
        status = WdfMemoryCopyFromBuffer(memory, 0, part, length)
    WdfRequestCompleteWithInformation(request, status, length)


def EvtIoWrite(queue, request, length):
    """The same for writes, with two mistakes."""
    WdfMemoryCreate(None, NonPagedPoolNx, b"Temp", length)  # its parent is the driver
    if length == 512:
        WdfRequestComplete(request, STATUS_SUCCESS)  # and no other is completed


with membuf.testing.wdf.driver("WdfRamDisk") as bench:
    device = bench.device(EvtIoRead=EvtIoRead, io_type=WdfDeviceIoDirect)
    assert bench.read(device, 4096, offset=8192).status == STATUS_SUCCESS
    assert bench.read(device, 4096, offset=1 << 20).status == STATUS_INVALID_PARAMETER
    bench.expect("EvtIoRead", "EvtIoRead")

try:
    with membuf.testing.wdf.driver("WdfRamDisk", timeout=0.1) as bench:
        device = bench.device(EvtIoWrite=EvtIoWrite)
        bench.write(device, bytes(512))
        bench.start_write(device, bytes(4096))
except membuf.testing.wdf.DriverDefectError as error:
    print(len(error.defects), "defects")
    for defect in error.defects:
        print("without being completed" in defect, "while requests were served" in defect)

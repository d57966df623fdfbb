VOID
EvtIoDeviceControl(WDFQUEUE Queue, WDFREQUEST Request,
                   size_t OutputLength, size_t InputLength,
                   ULONG Code)
{
    PULONG numbers;
    PULONG sum;
    size_t length;
    NTSTATUS status;

    if (Code != IOCTL_SUM) {
        WdfRequestComplete(Request,
                           STATUS_INVALID_DEVICE_REQUEST);
        return;
    }
    status = WdfRequestRetrieveInputBuffer(
        Request, 2 * sizeof(ULONG), &numbers, &length);
    if (NT_SUCCESS(status)) {
        status = WdfRequestRetrieveOutputBuffer(
            Request, sizeof(ULONG), &sum, NULL);
    }
    if (NT_SUCCESS(status)) {
        *sum = numbers[0] + numbers[1]; /* one buffer for both */
    }
    WdfRequestCompleteWithInformation(Request, status,
                                      sizeof(ULONG));
}

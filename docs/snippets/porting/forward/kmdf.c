VOID
EvtReadDone(WDFREQUEST Request, WDFIOTARGET Target,
            PWDF_REQUEST_COMPLETION_PARAMS Params,
            WDFCONTEXT Context)
{
    /* The memory is held still; completing lets it go. */
    WdfRequestCompleteWithInformation(
        Request, Params->IoStatus.Status,
        Params->IoStatus.Information);
}

VOID
EvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
    WDFIOTARGET target;
    WDFMEMORY memory;
    NTSTATUS status;

    target = WdfDeviceGetIoTarget(WdfIoQueueGetDevice(Queue));
    status = WdfRequestRetrieveOutputMemory(Request, &memory);
    if (NT_SUCCESS(status)) {
        status = WdfIoTargetFormatRequestForRead(
            target, Request, memory, NULL, NULL);
    }
    if (!NT_SUCCESS(status)) {
        WdfRequestComplete(Request, status);
        return;
    }
    WdfRequestSetCompletionRoutine(Request, EvtReadDone, NULL);
    if (!WdfRequestSend(Request, target,
                        WDF_NO_SEND_OPTIONS)) {
        WdfRequestComplete(Request,
                           WdfRequestGetStatus(Request));
    }
}

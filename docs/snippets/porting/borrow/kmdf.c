VOID
EvtWriteDone(WDFREQUEST Own, WDFIOTARGET Target,
             PWDF_REQUEST_COMPLETION_PARAMS Params,
             WDFCONTEXT Context)
{
    WDFREQUEST received = (WDFREQUEST)Context;
    NTSTATUS status = Params->IoStatus.Status;
    ULONG_PTR sent = Params->IoStatus.Information;

    WdfObjectDelete(Own); /* first: it holds their memory */
    WdfRequestCompleteWithInformation(received, status, sent);
}

VOID
EvtIoWrite(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
    WDFIOTARGET target;
    WDFMEMORY memory;
    WDFMEMORY_OFFSET part = { 512, 0 }; /* without the header */
    WDFREQUEST own = NULL;
    NTSTATUS status;

    target = WdfDeviceGetIoTarget(WdfIoQueueGetDevice(Queue));
    status = WdfRequestRetrieveInputMemory(Request, &memory);
    if (NT_SUCCESS(status)) {
        status = WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES,
                                  target, &own);
    }
    if (NT_SUCCESS(status)) {
        status = WdfIoTargetFormatRequestForWrite(
            target, own, memory, &part, NULL);
    }
    if (NT_SUCCESS(status)) {
        WdfRequestSetCompletionRoutine(own, EvtWriteDone,
                                       Request);
        if (WdfRequestSend(own, target, WDF_NO_SEND_OPTIONS)) {
            return;
        }
        status = WdfRequestGetStatus(own);
    }
    if (own != NULL) {
        WdfObjectDelete(own);
    }
    WdfRequestComplete(Request, status);
}

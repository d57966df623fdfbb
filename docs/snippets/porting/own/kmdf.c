VOID
EvtWriteDone(WDFREQUEST Own, WDFIOTARGET Target,
             PWDF_REQUEST_COMPLETION_PARAMS Params,
             WDFCONTEXT Context)
{
    /* The copy was deleted; it goes with what holds it. */
    WdfObjectDelete(Own);
}

NTSTATUS
SendCopy(WDFIOTARGET Target, WDFLOOKASIDE Copies,
         PVOID Bytes, size_t Length)
{
    WDFREQUEST own;
    WDFMEMORY copy;
    NTSTATUS status;

    status = WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES,
                              Target, &own);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = WdfMemoryCreateFromLookaside(Copies, &copy);
    if (!NT_SUCCESS(status)) {
        WdfObjectDelete(own);
        return status;
    }
    WdfMemoryCopyFromBuffer(copy, 0, Bytes, Length);
    status = WdfIoTargetFormatRequestForWrite(
        Target, own, copy, NULL, NULL);
    WdfObjectDelete(copy); /* the format holds it */
    if (NT_SUCCESS(status)) {
        WdfRequestSetCompletionRoutine(own, EvtWriteDone, NULL);
        if (!WdfRequestSend(own, Target, WDF_NO_SEND_OPTIONS)) {
            status = WdfRequestGetStatus(own);
        }
    }
    if (!NT_SUCCESS(status)) {
        WdfObjectDelete(own);
    }
    return status;
}

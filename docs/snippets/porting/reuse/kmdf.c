NTSTATUS
ReadAll(WDFIOTARGET Target, WDFREQUEST Own, WDFMEMORY Page,
        ULONG Count)
{
    WDF_REQUEST_REUSE_PARAMS reuse;
    WDF_REQUEST_SEND_OPTIONS options;
    LONGLONG offset;
    NTSTATUS status;
    ULONG i;

    WDF_REQUEST_SEND_OPTIONS_INIT(
        &options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS);
    status = STATUS_SUCCESS;
    for (i = 0; i < Count; i++) {
        offset = (LONGLONG)i * 4096;
        status = WdfIoTargetFormatRequestForRead(
            Target, Own, Page, NULL, &offset);
        if (NT_SUCCESS(status)) {
            WdfRequestSend(Own, Target, &options);
            status = WdfRequestGetStatus(Own);
        }
        WDF_REQUEST_REUSE_PARAMS_INIT(
            &reuse, WDF_REQUEST_REUSE_NO_FLAGS, status);
        WdfRequestReuse(Own, &reuse); /* lets the page go */
        if (!NT_SUCCESS(status)) {
            break;
        }
    }
    return status;
}

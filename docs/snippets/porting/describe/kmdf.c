NTSTATUS
WriteTail(WDFIOTARGET Target, WDFMEMORY Page, PULONG_PTR Sent)
{
    WDF_MEMORY_DESCRIPTOR descriptor;
    WDFMEMORY_OFFSET part;
    LONGLONG offset;

    part.BufferOffset = 3584;
    part.BufferLength = 0; /* to the end */
    offset = 0;
    WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&descriptor, Page, &part);
    return WdfIoTargetSendWriteSynchronously(
        Target, NULL, &descriptor, &offset, NULL, Sent);
}

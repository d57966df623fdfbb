NTSTATUS
StampFrame(WDFMEMORY Frame, ULONG64 Number)
{
    UCHAR tail[8];
    NTSTATUS status;

    status = WdfMemoryCopyFromBuffer(Frame, 0,
                                     &Number, sizeof(Number));
    if (!NT_SUCCESS(status)) {
        return status; /* INVALID_BUFFER_SIZE: no room for it */
    }
    return WdfMemoryCopyToBuffer(Frame, 4096 - 8,
                                 tail, sizeof(tail));
}

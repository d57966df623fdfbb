NTSTATUS
WrapRing(PUCHAR Ring, size_t Half, WDFMEMORY *Window)
{
    NTSTATUS status;

    status = WdfMemoryCreatePreallocated(
        WDF_NO_OBJECT_ATTRIBUTES, Ring, Half, Window);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    /* Later: the same object over the other half. */
    return WdfMemoryAssignBuffer(*Window, Ring + Half, Half);
}

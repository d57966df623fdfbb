NTSTATUS
MakeFrame(WDFOBJECT Owner, WDFMEMORY *Frame)
{
    WDF_OBJECT_ATTRIBUTES attributes;
    PVOID bytes;
    NTSTATUS status;

    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = Owner;

    status = WdfMemoryCreate(&attributes, NonPagedPoolNx,
                             'tpaC', 4096, Frame, &bytes);
    if (NT_SUCCESS(status)) {
        RtlZeroMemory(bytes, 4096);
    }
    return status;
}

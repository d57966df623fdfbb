NTSTATUS
MakePackets(WDFOBJECT Owner, WDFLOOKASIDE *Packets)
{
    WDF_OBJECT_ATTRIBUTES attributes;

    WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
    attributes.ParentObject = Owner;
    return WdfLookasideListCreate(&attributes, 2048,
                                  NonPagedPoolNx,
                                  WDF_NO_OBJECT_ATTRIBUTES,
                                  'tkcP', Packets);
}

NTSTATUS
HandlePacket(WDFLOOKASIDE Packets)
{
    WDFMEMORY packet;
    NTSTATUS status;

    status = WdfMemoryCreateFromLookaside(Packets, &packet);
    if (NT_SUCCESS(status)) {
        WdfObjectDelete(packet); /* back to the list */
    }
    return status;
}

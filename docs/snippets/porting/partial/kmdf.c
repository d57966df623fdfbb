PMDL
DescribePayload(PMDL Packet, ULONG Header)
{
    PUCHAR start;
    ULONG length;
    PMDL payload;

    start = (PUCHAR)MmGetMdlVirtualAddress(Packet) + Header;
    length = MmGetMdlByteCount(Packet) - Header;
    payload = IoAllocateMdl(start, length, FALSE, FALSE, NULL);
    if (payload != NULL) {
        IoBuildPartialMdl(Packet, payload, start, length);
    }
    return payload;
}

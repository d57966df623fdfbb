NTSTATUS
SortLater(ULONG Count)
{
    PULONG scratch;

    scratch = ExAllocatePool2(POOL_FLAG_PAGED,
                              Count * sizeof(ULONG), 'lcoL');
    if (scratch == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    scratch[0] = Count;
    ExFreePoolWithTag(scratch, 'lcoL');
    return STATUS_SUCCESS;
}

NTSTATUS
LockRing(PVOID Ring, ULONG Size, PMDL *Pages, PVOID *Mapped)
{
    *Pages = IoAllocateMdl(Ring, Size, FALSE, FALSE, NULL);
    if (*Pages == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    __try {
        MmProbeAndLockPages(*Pages, KernelMode, IoWriteAccess);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        IoFreeMdl(*Pages);
        return GetExceptionCode();
    }
    *Mapped = MmGetSystemAddressForMdlSafe(
        *Pages, NormalPagePriority | MdlMappingNoExecute);
    return STATUS_SUCCESS;
}

VOID
UnlockRing(PMDL Pages)
{
    MmUnlockPages(Pages); /* takes the mapping along */
    IoFreeMdl(Pages);
}

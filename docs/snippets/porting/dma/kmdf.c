NTSTATUS
MakeEnabler(WDFDEVICE Device, WDFDMAENABLER *Enabler,
            WDFDMATRANSACTION *Transaction)
{
    WDF_DMA_ENABLER_CONFIG config;
    NTSTATUS status;

    WDF_DMA_ENABLER_CONFIG_INIT(
        &config, WdfDmaProfileScatterGather64, 65536);
    status = WdfDmaEnablerCreate(
        Device, &config, WDF_NO_OBJECT_ATTRIBUTES, Enabler);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    return WdfDmaTransactionCreate(
        *Enabler, WDF_NO_OBJECT_ATTRIBUTES, Transaction);
}

NTSTATUS
StartSend(WDFDMATRANSACTION Transaction, PMDL Packet,
          PFN_WDF_PROGRAM_DMA EvtProgramDma)
{
    NTSTATUS status;

    status = WdfDmaTransactionInitialize(
        Transaction, EvtProgramDma,
        WdfDmaDirectionWriteToDevice, Packet,
        MmGetMdlVirtualAddress(Packet),
        MmGetMdlByteCount(Packet));
    if (!NT_SUCCESS(status)) {
        return status;
    }
    return WdfDmaTransactionExecute(Transaction, NULL);
}

VOID
EvtSent(WDFDMATRANSACTION Transaction)
{
    NTSTATUS status;

    if (WdfDmaTransactionDmaCompleted(Transaction, &status)) {
        WdfDmaTransactionRelease(Transaction);
    }
}

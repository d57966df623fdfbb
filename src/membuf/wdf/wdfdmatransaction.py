"""wdfdmatransaction.h: moving data between a device and memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.base.status import STATUS_MORE_PROCESSING_REQUIRED, STATUS_SUCCESS, Status
from membuf.wdf._arguments import address_of, handle, size_t, ulong
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import attempt, debug_break, perform
from membuf.wdf._create import create
from membuf.wdf._dma import program, reserved
from membuf.wdf._driver import enter, need_driver
from membuf.wdf.wdftypes import WDFDMAENABLER, WDFDMATRANSACTION, WDFREQUEST

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.dma import TransferContext
    from membuf.mdl import Mdl

__all__ = [
    "WdfDmaTransactionAllocateResources",
    "WdfDmaTransactionCancel",
    "WdfDmaTransactionCreate",
    "WdfDmaTransactionDmaCompleted",
    "WdfDmaTransactionDmaCompletedFinal",
    "WdfDmaTransactionDmaCompletedWithLength",
    "WdfDmaTransactionExecute",
    "WdfDmaTransactionFreeResources",
    "WdfDmaTransactionGetBytesTransferred",
    "WdfDmaTransactionGetCurrentDmaTransferLength",
    "WdfDmaTransactionGetDevice",
    "WdfDmaTransactionGetRequest",
    "WdfDmaTransactionGetTransferInfo",
    "WdfDmaTransactionInitialize",
    "WdfDmaTransactionInitializeUsingOffset",
    "WdfDmaTransactionInitializeUsingRequest",
    "WdfDmaTransactionRelease",
    "WdfDmaTransactionSetChannelConfigurationCallback",
    "WdfDmaTransactionSetDeviceAddressOffset",
    "WdfDmaTransactionSetImmediateExecution",
    "WdfDmaTransactionSetMaximumLength",
    "WdfDmaTransactionSetSingleTransferRequirement",
    "WdfDmaTransactionSetTransferCompleteCallback",
    "WdfDmaTransactionStopSystemTransfer",
    "WdfDmaTransactionWdmGetTransferContext",
]


def WdfDmaTransactionCreate(
    DmaEnabler: WDFDMAENABLER | None, Attributes: WDF_OBJECT_ATTRIBUTES | None
) -> tuple[Status, WDFDMATRANSACTION | None]:
    """Create a transaction; its parent is the enabler.

    Returns:
        The status and the transaction.

    Raises:
        BugCheck: no driver, or not a live enabler handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     transaction.state.name
    'CREATED'
    """
    driver = need_driver("WdfDmaTransactionCreate")
    enabler = handle(DmaEnabler, WDFDMAENABLER, "DmaEnabler")
    check_parent_handle(Attributes)
    status = validate(Attributes, parent_allowed=False)
    if status != STATUS_SUCCESS:
        return status, None
    return create(driver, Attributes, partial(WDFDMATRANSACTION, enabler))


# ---- initialisation ------------------------------------------------------------------------------


def WdfDmaTransactionInitialize(
    DmaTransaction: WDFDMATRANSACTION | None,
    EvtProgramDmaFunction: Callable[..., object] | None,
    DmaDirection: int,
    Mdl: Mdl | None,
    VirtualAddress: Any,
    Length: SupportsIndex,
) -> Status:
    """Say what to move: a run of an MDL chain, by the address of its first byte.

    Raises:
        BugCheck: a NULL callback or MDL, or the transaction is initialised already.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     address = mdl.address + 10
    ...     WdfDmaTransactionInitialize(transaction, program, 1, mdl, address, 4990)
    STATUS_SUCCESS (0x00000000)
    """
    transaction = _transaction(DmaTransaction)
    evt, length = program(EvtProgramDmaFunction), size_t(Length, "Length")
    address = address_of(VirtualAddress, "VirtualAddress")
    return perform(transaction.initialize, evt, DmaDirection, Mdl, address, length)


def WdfDmaTransactionInitializeUsingOffset(
    DmaTransaction: WDFDMATRANSACTION | None,
    EvtProgramDmaFunction: Callable[..., object] | None,
    DmaDirection: int,
    Mdl: Mdl | None,
    Offset: SupportsIndex,
    Length: SupportsIndex,
) -> Status:
    """Say what to move: a run of an MDL chain, by the offset of its first byte in the first MDL.

    Raises:
        BugCheck: a NULL callback or MDL, or the transaction is initialised already.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 10, 4990)
    STATUS_SUCCESS (0x00000000)
    """
    transaction = _transaction(DmaTransaction)
    evt, length = program(EvtProgramDmaFunction), size_t(Length, "Length")
    offset = size_t(Offset, "Offset")
    return perform(transaction.initialize_using_offset, evt, DmaDirection, Mdl, offset, length)


def WdfDmaTransactionInitializeUsingRequest(
    DmaTransaction: WDFDMATRANSACTION | None,
    Request: Any,
    EvtProgramDmaFunction: Callable[..., object] | None,
    DmaDirection: int,
) -> Status:
    """Say what to move: the buffer of a request.

    Raises:
        BugCheck: not a request handle, a NULL callback, or the transaction is initialised already.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     try:
    ...         WdfDmaTransactionInitializeUsingRequest(transaction, None, print, 1)
    ...     except membuf.BugCheck as error:
    ...         print(error)
    WDF_VIOLATION (0x10D, 0x5, 0x0, 0x0, 0x0): Request must be a Request handle; got NULL
    """
    transaction = _transaction(DmaTransaction)
    request = handle(Request, WDFREQUEST, "Request")
    evt = program(EvtProgramDmaFunction)
    return perform(transaction.initialize_using_request, request, evt, DmaDirection)


# ---- settings ------------------------------------------------------------------------------------


def WdfDmaTransactionSetMaximumLength(
    DmaTransaction: WDFDMATRANSACTION | None, MaximumLength: SupportsIndex
) -> None:
    """Let no later transfer of this run be longer.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetMaximumLength(transaction, 4096)
    """
    transaction = _transaction(DmaTransaction)
    transaction.set_maximum_length(size_t(MaximumLength, "MaximumLength"))


def WdfDmaTransactionSetImmediateExecution(
    DmaTransaction: WDFDMATRANSACTION | None, UseImmediateExecution: bool
) -> None:
    """Let WdfDmaTransactionExecute fail rather than wait for map registers.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetImmediateExecution(transaction, True)
    """
    _transaction(DmaTransaction).set_immediate_execution(bool(UseImmediateExecution))


def WdfDmaTransactionSetSingleTransferRequirement(
    DmaTransaction: WDFDMATRANSACTION | None, RequireSingleTransfer: bool
) -> None:
    """Let an initialisation refuse what does not go in one transfer.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetSingleTransferRequirement(transaction, True)
    """
    _transaction(DmaTransaction).set_single_transfer(bool(RequireSingleTransfer))


def WdfDmaTransactionSetDeviceAddressOffset(
    DmaTransaction: WDFDMATRANSACTION | None, Offset: SupportsIndex
) -> None:
    """Set an offset of system DMA: no enabler here has a system profile; ignored.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetDeviceAddressOffset(transaction, 0)
    """
    ulong(Offset, "Offset")
    _system_only("WdfDmaTransactionSetDeviceAddressOffset", DmaTransaction)


def WdfDmaTransactionSetChannelConfigurationCallback(
    DmaTransaction: WDFDMATRANSACTION | None,
    ConfigureRoutine: Callable[..., object] | None,
    ConfigureContext: Any,
) -> None:
    """Set a callback of system DMA: no enabler here has a system profile; ignored.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetChannelConfigurationCallback(transaction, print, None)
    """
    _system_only("WdfDmaTransactionSetChannelConfigurationCallback", DmaTransaction)


def WdfDmaTransactionSetTransferCompleteCallback(
    DmaTransaction: WDFDMATRANSACTION | None,
    DmaCompletionRoutine: Callable[..., object] | None,
    DmaCompletionContext: Any,
) -> None:
    """Set a callback of system DMA: no enabler here has a system profile; ignored.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionSetTransferCompleteCallback(transaction, print, None)
    """
    _system_only("WdfDmaTransactionSetTransferCompleteCallback", DmaTransaction)


# ---- execution -----------------------------------------------------------------------------------


def WdfDmaTransactionExecute(DmaTransaction: WDFDMATRANSACTION | None, Context: Any) -> Status:
    """Start the first transfer.

    Raises:
        BugCheck: the transaction is not initialised.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     WdfDmaTransactionExecute(transaction, "context")
    context [4096, 904]
    STATUS_SUCCESS (0x00000000)
    """
    return perform(_transaction(DmaTransaction).execute, Context)


def WdfDmaTransactionDmaCompleted(DmaTransaction: WDFDMATRANSACTION | None) -> tuple[bool, Status]:
    """The device has moved all the bytes of the transfer.

    Returns:
        Whether the transaction has ended, and the status: MORE_PROCESSING_REQUIRED where it has
        not.

    Raises:
        BugCheck: no transfer is under way.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     status = WdfDmaTransactionExecute(transaction, "context")
    ...     WdfDmaTransactionDmaCompleted(transaction)
    context [4096, 904]
    (True, STATUS_SUCCESS (0x00000000))
    """
    return _ended(*attempt(_transaction(DmaTransaction).completed))


def WdfDmaTransactionDmaCompletedWithLength(
    DmaTransaction: WDFDMATRANSACTION | None, TransferredLength: SupportsIndex
) -> tuple[bool, Status]:
    """The device has moved so many bytes of the transfer; the others follow with the next.

    Returns:
        Whether the transaction has ended, and the status.

    Raises:
        BugCheck: no transfer is under way.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     status = WdfDmaTransactionExecute(transaction, "context")
    ...     WdfDmaTransactionDmaCompletedWithLength(transaction, 100)
    context [4096, 904]
    context [3996, 904]
    (False, STATUS_MORE_PROCESSING_REQUIRED (0xC0000016))
    """
    transaction = _transaction(DmaTransaction)
    length = size_t(TransferredLength, "TransferredLength")
    return _ended(*attempt(transaction.completed_with_length, length))


def WdfDmaTransactionDmaCompletedFinal(
    DmaTransaction: WDFDMATRANSACTION | None, FinalTransferredLength: SupportsIndex
) -> tuple[bool, Status]:
    """The device has moved so many bytes of the transfer, and that was the last one.

    Returns:
        Whether the transaction has ended, and the status.

    Raises:
        BugCheck: no transfer is under way.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     status = WdfDmaTransactionExecute(transaction, "context")
    ...     WdfDmaTransactionDmaCompletedFinal(transaction, 100)
    context [4096, 904]
    (True, STATUS_SUCCESS (0x00000000))
    """
    transaction = _transaction(DmaTransaction)
    length = size_t(FinalTransferredLength, "FinalTransferredLength")
    return _ended(*attempt(transaction.completed_final, length))


def WdfDmaTransactionCancel(DmaTransaction: WDFDMATRANSACTION | None) -> bool:
    """Give up the wait for map registers; whether there was one.

    Raises:
        BugCheck: the transaction is created or released.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     WdfDmaTransactionCancel(transaction)
    False
    """
    return attempt(_transaction(DmaTransaction).cancel)[1] is True


def WdfDmaTransactionStopSystemTransfer(DmaTransaction: WDFDMATRANSACTION | None) -> None:
    """Stop system DMA: no enabler here has a system profile; ignored.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionStopSystemTransfer(transaction)
    """
    _system_only("WdfDmaTransactionStopSystemTransfer", DmaTransaction)


def WdfDmaTransactionRelease(DmaTransaction: WDFDMATRANSACTION | None) -> Status:
    """Forget what the transaction was initialised with.

    Raises:
        BugCheck: a transfer is under way, and the verifier is on.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionRelease(transaction)
    STATUS_SUCCESS (0x00000000)
    """
    return perform(_transaction(DmaTransaction).release)


def WdfDmaTransactionAllocateResources(
    DmaTransaction: WDFDMATRANSACTION | None,
    DmaDirection: int,
    RequiredMapRegisters: SupportsIndex,
    EvtReserveDmaFunction: Callable[..., object] | None,
    EvtReserveDmaContext: Any,
) -> Status:
    """Reserve map registers; packet profiles only.

    Args:
        DmaTransaction: a transaction.
        DmaDirection: whose registers.
        RequiredMapRegisters: how many; 0 for what the initialised transaction needs.
        EvtReserveDmaFunction: called with the transaction and the context when they are reserved.
        EvtReserveDmaContext: handed to it.

    Raises:
        BugCheck: a NULL callback, or the transaction has a reservation or is under way.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionAllocateResources(transaction, 1, 4, print, None)
    STATUS_INVALID_DEVICE_REQUEST (0xC0000010)
    """
    transaction = _transaction(DmaTransaction)
    count = ulong(RequiredMapRegisters, "RequiredMapRegisters")
    evt = reserved(EvtReserveDmaFunction)
    return perform(transaction.allocate_resources, DmaDirection, count, evt, EvtReserveDmaContext)


def WdfDmaTransactionFreeResources(DmaTransaction: WDFDMATRANSACTION | None) -> None:
    """Give reserved map registers back.

    Raises:
        BugCheck: the transaction is created, or under way.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     status = WdfDmaTransactionRelease(transaction)
    ...     WdfDmaTransactionFreeResources(transaction)
    """
    perform(_transaction(DmaTransaction).free_resources)


# ---- looking -------------------------------------------------------------------------------------


def WdfDmaTransactionGetBytesTransferred(DmaTransaction: WDFDMATRANSACTION | None) -> int:
    """What completed transfers moved, until the release.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionGetBytesTransferred(transaction)
    0
    """
    return _transaction(DmaTransaction).bytes_transferred


def WdfDmaTransactionGetCurrentDmaTransferLength(DmaTransaction: WDFDMATRANSACTION | None) -> int:
    """The bytes of the transfer under way.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionGetCurrentDmaTransferLength(transaction)
    0
    """
    return _transaction(DmaTransaction).current_length


def WdfDmaTransactionGetRequest(DmaTransaction: WDFDMATRANSACTION | None) -> Any:
    """The request it was initialised with, or None.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionGetRequest(transaction) is None
    True
    """
    return _transaction(DmaTransaction).request


def WdfDmaTransactionGetDevice(DmaTransaction: WDFDMATRANSACTION | None) -> Object:
    """The device of its enabler.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionGetDevice(transaction).name
    'nic'
    """
    return _transaction(DmaTransaction).device


def WdfDmaTransactionGetTransferInfo(
    DmaTransaction: WDFDMATRANSACTION | None,
) -> tuple[int | None, int | None]:
    """The map registers and the elements that an initialised transaction needs.

    Returns:
        MapRegisterCount and ScatterGatherElementCount.

    Raises:
        BugCheck: the transaction is not initialised.

    >>> import mmap, membuf.wdf
    >>> def program(transaction, device, context, direction, sg_list):
    ...     print(context, [element.Length for element in sg_list.Elements])
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     mdl = membuf.Mdl(mmap.mmap(-1, 8192), length=5000)
    ...     status = WdfDmaTransactionInitializeUsingOffset(transaction, program, 1, mdl, 0, 5000)
    ...     WdfDmaTransactionGetTransferInfo(transaction)
    (2, 2)
    """
    return attempt(_transaction(DmaTransaction).transfer_info)[1] or (None, None)


def WdfDmaTransactionWdmGetTransferContext(
    DmaTransaction: WDFDMATRANSACTION | None,
) -> TransferContext | None:
    """What stands for the transaction at the system's adapter; None while created or released.

    Raises:
        BugCheck: not a live transaction handle.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     enabler = WDFDMAENABLER(membuf.request.Device("nic"))
    ...     status, transaction = WdfDmaTransactionCreate(enabler, None)
    ...     WdfDmaTransactionWdmGetTransferContext(transaction) is None
    True
    """
    return _transaction(DmaTransaction).transfer_context


def _transaction(candidate: WDFDMATRANSACTION | None) -> WDFDMATRANSACTION:
    enter()
    return handle(candidate, WDFDMATRANSACTION, "DmaTransaction")


def _ended(status: Status, ended: bool | None) -> tuple[bool, Status]:
    """What a completion answers: a failure has ended it too."""
    return (False, STATUS_MORE_PROCESSING_REQUIRED) if ended is False else (True, status)


def _system_only(call: str, candidate: WDFDMATRANSACTION | None) -> None:
    debug_break("%s of %r ignored: it has no system profile", call, _transaction(candidate))

"""wdfiotarget.h: I/O targets."""

from membuf.wdf._target_params import (
    WDF_IO_TARGET_OPEN_PARAMS,
    WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME,
    WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE,
    WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME,
    WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN,
    WDF_IO_TARGET_OPEN_TYPE,
    WDF_IO_TARGET_PURGE_IO_ACTION,
    WDF_IO_TARGET_SENT_IO_ACTION,
    WDF_IO_TARGET_STATE,
)
from membuf.wdf._target_requests import (
    WdfIoTargetFormatRequestForInternalIoctl,
    WdfIoTargetFormatRequestForInternalIoctlOthers,
    WdfIoTargetFormatRequestForIoctl,
    WdfIoTargetFormatRequestForRead,
    WdfIoTargetFormatRequestForWrite,
    WdfIoTargetSendInternalIoctlOthersSynchronously,
    WdfIoTargetSendInternalIoctlSynchronously,
    WdfIoTargetSendIoctlSynchronously,
    WdfIoTargetSendReadSynchronously,
    WdfIoTargetSendWriteSynchronously,
)
from membuf.wdf._target_states import (
    WdfIoTargetClose,
    WdfIoTargetCloseForQueryRemove,
    WdfIoTargetCreate,
    WdfIoTargetGetState,
    WdfIoTargetOpen,
    WdfIoTargetPurge,
    WdfIoTargetStart,
    WdfIoTargetStop,
)

__all__ = [
    "WDF_IO_TARGET_OPEN_PARAMS",
    "WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME",
    "WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE",
    "WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME",
    "WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN",
    "WDF_IO_TARGET_OPEN_TYPE",
    "WDF_IO_TARGET_PURGE_IO_ACTION",
    "WDF_IO_TARGET_SENT_IO_ACTION",
    "WDF_IO_TARGET_STATE",
    "WdfIoTargetCancelSentIo",
    "WdfIoTargetClose",
    "WdfIoTargetCloseForQueryRemove",
    "WdfIoTargetClosed",
    "WdfIoTargetClosedForQueryRemove",
    "WdfIoTargetCreate",
    "WdfIoTargetDeleted",
    "WdfIoTargetFormatRequestForInternalIoctl",
    "WdfIoTargetFormatRequestForInternalIoctlOthers",
    "WdfIoTargetFormatRequestForIoctl",
    "WdfIoTargetFormatRequestForRead",
    "WdfIoTargetFormatRequestForWrite",
    "WdfIoTargetGetState",
    "WdfIoTargetLeaveSentIoPending",
    "WdfIoTargetOpen",
    "WdfIoTargetOpenByName",
    "WdfIoTargetOpenReopen",
    "WdfIoTargetOpenUndefined",
    "WdfIoTargetOpenUseExistingDevice",
    "WdfIoTargetPurge",
    "WdfIoTargetPurgeIo",
    "WdfIoTargetPurgeIoAndWait",
    "WdfIoTargetPurgeIoUndefined",
    "WdfIoTargetPurged",
    "WdfIoTargetSendInternalIoctlOthersSynchronously",
    "WdfIoTargetSendInternalIoctlSynchronously",
    "WdfIoTargetSendIoctlSynchronously",
    "WdfIoTargetSendReadSynchronously",
    "WdfIoTargetSendWriteSynchronously",
    "WdfIoTargetSentIoUndefined",
    "WdfIoTargetStart",
    "WdfIoTargetStarted",
    "WdfIoTargetStateUndefined",
    "WdfIoTargetStop",
    "WdfIoTargetStopped",
    "WdfIoTargetWaitForSentIoToComplete",
]

WdfIoTargetStateUndefined = WDF_IO_TARGET_STATE.WdfIoTargetStateUndefined
WdfIoTargetStarted = WDF_IO_TARGET_STATE.WdfIoTargetStarted
WdfIoTargetStopped = WDF_IO_TARGET_STATE.WdfIoTargetStopped
WdfIoTargetClosedForQueryRemove = WDF_IO_TARGET_STATE.WdfIoTargetClosedForQueryRemove
WdfIoTargetClosed = WDF_IO_TARGET_STATE.WdfIoTargetClosed
WdfIoTargetDeleted = WDF_IO_TARGET_STATE.WdfIoTargetDeleted
WdfIoTargetPurged = WDF_IO_TARGET_STATE.WdfIoTargetPurged

WdfIoTargetOpenUndefined = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenUndefined
WdfIoTargetOpenUseExistingDevice = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenUseExistingDevice
WdfIoTargetOpenByName = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenByName
WdfIoTargetOpenReopen = WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen

WdfIoTargetSentIoUndefined = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetSentIoUndefined
WdfIoTargetCancelSentIo = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetCancelSentIo
WdfIoTargetWaitForSentIoToComplete = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetWaitForSentIoToComplete
WdfIoTargetLeaveSentIoPending = WDF_IO_TARGET_SENT_IO_ACTION.WdfIoTargetLeaveSentIoPending

WdfIoTargetPurgeIoUndefined = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIoUndefined
WdfIoTargetPurgeIoAndWait = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIoAndWait
WdfIoTargetPurgeIo = WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIo

"""wdfrequest.h: requests."""

from enum import IntEnum
from typing import Final

from membuf.wdf._ownership import (
    WdfRequestComplete,
    WdfRequestCompleteWithInformation,
    WdfRequestCompleteWithPriorityBoost,
    WdfRequestForwardToIoQueue,
    WdfRequestGetInformation,
    WdfRequestIsCanceled,
    WdfRequestMarkCancelable,
    WdfRequestMarkCancelableEx,
    WdfRequestRequeue,
    WdfRequestSetInformation,
    WdfRequestStopAcknowledge,
    WdfRequestUnmarkCancelable,
)
from membuf.wdf._request_options import (
    WDF_REQUEST_COMPLETION_PARAMS,
    WDF_REQUEST_COMPLETION_PARAMS_INIT,
    WDF_REQUEST_REUSE_PARAMS,
    WDF_REQUEST_REUSE_PARAMS_INIT,
    WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP,
    WDF_REQUEST_SEND_OPTIONS,
    WDF_REQUEST_SEND_OPTIONS_INIT,
    WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT,
)
from membuf.wdf._request_parameters import (
    WDF_REQUEST_PARAMETERS,
    WDF_REQUEST_PARAMETERS_INIT,
    WdfRequestGetFileObject,
    WdfRequestGetIoQueue,
    WdfRequestGetParameters,
    WdfRequestGetRequestorMode,
    WdfRequestIsFrom32BitProcess,
    WdfRequestIsReserved,
)
from membuf.wdf._retrieval import (
    WdfRequestProbeAndLockUserBufferForRead,
    WdfRequestProbeAndLockUserBufferForWrite,
    WdfRequestRetrieveInputBuffer,
    WdfRequestRetrieveInputMemory,
    WdfRequestRetrieveInputWdmMdl,
    WdfRequestRetrieveOutputBuffer,
    WdfRequestRetrieveOutputMemory,
    WdfRequestRetrieveOutputWdmMdl,
    WdfRequestRetrieveUnsafeUserInputBuffer,
    WdfRequestRetrieveUnsafeUserOutputBuffer,
)
from membuf.wdf._sending import (
    WdfRequestAllocateTimer,
    WdfRequestCancelSentRequest,
    WdfRequestChangeTarget,
    WdfRequestCreate,
    WdfRequestFormatRequestUsingCurrentType,
    WdfRequestGetCompletionParams,
    WdfRequestGetStatus,
    WdfRequestReuse,
    WdfRequestSend,
    WdfRequestSetCompletionRoutine,
)

__all__ = [
    "WDF_NO_SEND_OPTIONS",
    "WDF_REQUEST_COMPLETION_PARAMS",
    "WDF_REQUEST_COMPLETION_PARAMS_INIT",
    "WDF_REQUEST_PARAMETERS",
    "WDF_REQUEST_PARAMETERS_INIT",
    "WDF_REQUEST_REUSE_FLAGS",
    "WDF_REQUEST_REUSE_MUST_COMPLETE",
    "WDF_REQUEST_REUSE_NO_FLAGS",
    "WDF_REQUEST_REUSE_PARAMS",
    "WDF_REQUEST_REUSE_PARAMS_INIT",
    "WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP",
    "WDF_REQUEST_REUSE_SET_NEW_IRP",
    "WDF_REQUEST_SEND_OPTIONS",
    "WDF_REQUEST_SEND_OPTIONS_FLAGS",
    "WDF_REQUEST_SEND_OPTIONS_INIT",
    "WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT",
    "WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE",
    "WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET",
    "WDF_REQUEST_SEND_OPTION_SYNCHRONOUS",
    "WDF_REQUEST_SEND_OPTION_TIMEOUT",
    "WDF_REQUEST_TYPE",
    "WdfRequestAllocateTimer",
    "WdfRequestCancelSentRequest",
    "WdfRequestChangeTarget",
    "WdfRequestComplete",
    "WdfRequestCompleteWithInformation",
    "WdfRequestCompleteWithPriorityBoost",
    "WdfRequestCreate",
    "WdfRequestFormatRequestUsingCurrentType",
    "WdfRequestForwardToIoQueue",
    "WdfRequestGetCompletionParams",
    "WdfRequestGetFileObject",
    "WdfRequestGetInformation",
    "WdfRequestGetIoQueue",
    "WdfRequestGetParameters",
    "WdfRequestGetRequestorMode",
    "WdfRequestGetStatus",
    "WdfRequestIsCanceled",
    "WdfRequestIsFrom32BitProcess",
    "WdfRequestIsReserved",
    "WdfRequestMarkCancelable",
    "WdfRequestMarkCancelableEx",
    "WdfRequestProbeAndLockUserBufferForRead",
    "WdfRequestProbeAndLockUserBufferForWrite",
    "WdfRequestRequeue",
    "WdfRequestRetrieveInputBuffer",
    "WdfRequestRetrieveInputMemory",
    "WdfRequestRetrieveInputWdmMdl",
    "WdfRequestRetrieveOutputBuffer",
    "WdfRequestRetrieveOutputMemory",
    "WdfRequestRetrieveOutputWdmMdl",
    "WdfRequestRetrieveUnsafeUserInputBuffer",
    "WdfRequestRetrieveUnsafeUserOutputBuffer",
    "WdfRequestReuse",
    "WdfRequestSend",
    "WdfRequestSetCompletionRoutine",
    "WdfRequestSetInformation",
    "WdfRequestStopAcknowledge",
    "WdfRequestTypeCleanup",
    "WdfRequestTypeClose",
    "WdfRequestTypeCreate",
    "WdfRequestTypeDeviceControl",
    "WdfRequestTypeDeviceControlInternal",
    "WdfRequestTypeNoFormat",
    "WdfRequestTypeOther",
    "WdfRequestTypeRead",
    "WdfRequestTypeUsb",
    "WdfRequestTypeWrite",
    "WdfRequestUnmarkCancelable",
]

WDF_NO_SEND_OPTIONS: Final = None


class WDF_REQUEST_TYPE(IntEnum):
    """What a request asks for.

    >>> WDF_REQUEST_TYPE.WdfRequestTypeNoFormat.value
    255
    """

    WdfRequestTypeCreate = 0x0
    WdfRequestTypeClose = 0x2
    WdfRequestTypeRead = 0x3
    WdfRequestTypeWrite = 0x4
    WdfRequestTypeDeviceControl = 0xE
    WdfRequestTypeDeviceControlInternal = 0xF
    WdfRequestTypeCleanup = 0x12
    WdfRequestTypeOther = 0x1C
    WdfRequestTypeUsb = 0x40
    WdfRequestTypeNoFormat = 0xFF


class WDF_REQUEST_SEND_OPTIONS_FLAGS(IntEnum):
    """How a request is sent; the values are or-ed.

    >>> WDF_REQUEST_SEND_OPTIONS_FLAGS.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET.value
    8
    """

    WDF_REQUEST_SEND_OPTION_TIMEOUT = 0x1
    WDF_REQUEST_SEND_OPTION_SYNCHRONOUS = 0x2
    WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE = 0x4
    WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET = 0x8


class WDF_REQUEST_REUSE_FLAGS(IntEnum):
    """What a reuse changes; the values are or-ed.

    >>> WDF_REQUEST_REUSE_FLAGS.WDF_REQUEST_REUSE_MUST_COMPLETE.value
    2
    """

    WDF_REQUEST_REUSE_NO_FLAGS = 0x0
    WDF_REQUEST_REUSE_SET_NEW_IRP = 0x1
    WDF_REQUEST_REUSE_MUST_COMPLETE = 0x2


WdfRequestTypeCreate = WDF_REQUEST_TYPE.WdfRequestTypeCreate
WdfRequestTypeClose = WDF_REQUEST_TYPE.WdfRequestTypeClose
WdfRequestTypeRead = WDF_REQUEST_TYPE.WdfRequestTypeRead
WdfRequestTypeWrite = WDF_REQUEST_TYPE.WdfRequestTypeWrite
WdfRequestTypeDeviceControl = WDF_REQUEST_TYPE.WdfRequestTypeDeviceControl
WdfRequestTypeDeviceControlInternal = WDF_REQUEST_TYPE.WdfRequestTypeDeviceControlInternal
WdfRequestTypeCleanup = WDF_REQUEST_TYPE.WdfRequestTypeCleanup
WdfRequestTypeOther = WDF_REQUEST_TYPE.WdfRequestTypeOther
WdfRequestTypeUsb = WDF_REQUEST_TYPE.WdfRequestTypeUsb
WdfRequestTypeNoFormat = WDF_REQUEST_TYPE.WdfRequestTypeNoFormat

WDF_REQUEST_SEND_OPTION_TIMEOUT = WDF_REQUEST_SEND_OPTIONS_FLAGS.WDF_REQUEST_SEND_OPTION_TIMEOUT
WDF_REQUEST_SEND_OPTION_SYNCHRONOUS = (
    WDF_REQUEST_SEND_OPTIONS_FLAGS.WDF_REQUEST_SEND_OPTION_SYNCHRONOUS
)
WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE = (
    WDF_REQUEST_SEND_OPTIONS_FLAGS.WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE
)
WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET = (
    WDF_REQUEST_SEND_OPTIONS_FLAGS.WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET
)

WDF_REQUEST_REUSE_NO_FLAGS = WDF_REQUEST_REUSE_FLAGS.WDF_REQUEST_REUSE_NO_FLAGS
WDF_REQUEST_REUSE_SET_NEW_IRP = WDF_REQUEST_REUSE_FLAGS.WDF_REQUEST_REUSE_SET_NEW_IRP
WDF_REQUEST_REUSE_MUST_COMPLETE = WDF_REQUEST_REUSE_FLAGS.WDF_REQUEST_REUSE_MUST_COMPLETE

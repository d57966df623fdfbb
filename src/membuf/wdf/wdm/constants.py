"""wdm.h: enumerations and flags of pool, lookaside lists, MDLs and control codes."""

from enum import IntEnum
from typing import Final

__all__ = [
    "EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE",
    "EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL",
    "EX_POOL_PRIORITY",
    "FILE_ANY_ACCESS",
    "FILE_READ_ACCESS",
    "FILE_WRITE_ACCESS",
    "KPROCESSOR_MODE",
    "LOCK_OPERATION",
    "LOOKASIDE_MINIMUM_BLOCK_SIZE",
    "MDL_ALLOCATED_FIXED_SIZE",
    "MDL_DESCRIBES_AWE",
    "MDL_FREE_EXTRA_PTES",
    "MDL_INTERNAL",
    "MDL_IO_PAGE_READ",
    "MDL_IO_SPACE",
    "MDL_MAPPED_TO_SYSTEM_VA",
    "MDL_MAPPING_CAN_FAIL",
    "MDL_NETWORK_HEADER",
    "MDL_PAGES_LOCKED",
    "MDL_PAGE_CONTENTS_INVARIANT",
    "MDL_PARENT_MAPPED_SYSTEM_VA",
    "MDL_PARTIAL",
    "MDL_PARTIAL_HAS_BEEN_MAPPED",
    "MDL_SOURCE_IS_NONPAGED_POOL",
    "MDL_WRITE_OPERATION",
    "METHOD_BUFFERED",
    "METHOD_DIRECT_FROM_HARDWARE",
    "METHOD_DIRECT_TO_HARDWARE",
    "METHOD_IN_DIRECT",
    "METHOD_NEITHER",
    "METHOD_OUT_DIRECT",
    "POOL_COLD_ALLOCATION",
    "POOL_EXTENDED_PARAMETER_TYPE",
    "POOL_FLAG_CACHE_ALIGNED",
    "POOL_FLAG_NON_PAGED",
    "POOL_FLAG_NON_PAGED_EXECUTE",
    "POOL_FLAG_PAGED",
    "POOL_FLAG_RAISE_ON_FAILURE",
    "POOL_FLAG_RESERVED1",
    "POOL_FLAG_RESERVED2",
    "POOL_FLAG_RESERVED3",
    "POOL_FLAG_SESSION",
    "POOL_FLAG_SPECIAL_POOL",
    "POOL_FLAG_UNINITIALIZED",
    "POOL_FLAG_USE_QUOTA",
    "POOL_NX_ALLOCATION",
    "POOL_QUOTA_FAIL_INSTEAD_OF_RAISE",
    "POOL_RAISE_IF_ALLOCATION_FAILURE",
    "POOL_TYPE",
    "DontUseThisType",
    "DontUseThisTypeSession",
    "HighPoolPriority",
    "HighPoolPrioritySpecialPoolOverrun",
    "HighPoolPrioritySpecialPoolUnderrun",
    "IoModifyAccess",
    "IoReadAccess",
    "IoWriteAccess",
    "KernelMode",
    "LowPoolPriority",
    "LowPoolPrioritySpecialPoolOverrun",
    "LowPoolPrioritySpecialPoolUnderrun",
    "MaxPoolType",
    "MaximumMode",
    "NonPagedPool",
    "NonPagedPoolCacheAligned",
    "NonPagedPoolCacheAlignedMustS",
    "NonPagedPoolCacheAlignedMustSSession",
    "NonPagedPoolCacheAlignedSession",
    "NonPagedPoolExecute",
    "NonPagedPoolMustSucceed",
    "NonPagedPoolMustSucceedSession",
    "NonPagedPoolNx",
    "NonPagedPoolNxCacheAligned",
    "NonPagedPoolSession",
    "NonPagedPoolSessionNx",
    "NormalPoolPriority",
    "NormalPoolPrioritySpecialPoolOverrun",
    "NormalPoolPrioritySpecialPoolUnderrun",
    "PagedPool",
    "PagedPoolCacheAligned",
    "PagedPoolCacheAlignedSession",
    "PagedPoolSession",
    "PoolExtendedParameterInvalidType",
    "PoolExtendedParameterMax",
    "PoolExtendedParameterNumaNode",
    "PoolExtendedParameterPriority",
    "PoolExtendedParameterSecurePool",
    "UserMode",
]


class POOL_TYPE(IntEnum):
    """Where pool memory lives.

    >>> POOL_TYPE.NonPagedPoolSessionNx.value
    544
    """

    NonPagedPool = 0
    NonPagedPoolExecute = 0
    PagedPool = 1
    NonPagedPoolMustSucceed = 2
    DontUseThisType = 3
    NonPagedPoolCacheAligned = 4
    PagedPoolCacheAligned = 5
    NonPagedPoolCacheAlignedMustS = 6
    MaxPoolType = 7
    NonPagedPoolSession = 32
    PagedPoolSession = 33
    NonPagedPoolMustSucceedSession = 34
    DontUseThisTypeSession = 35
    NonPagedPoolCacheAlignedSession = 36
    PagedPoolCacheAlignedSession = 37
    NonPagedPoolCacheAlignedMustSSession = 38
    NonPagedPoolNx = 512
    NonPagedPoolNxCacheAligned = 516
    NonPagedPoolSessionNx = 544


class EX_POOL_PRIORITY(IntEnum):
    """How early an allocation may fail, and on which side special pool guards it.

    >>> EX_POOL_PRIORITY.HighPoolPrioritySpecialPoolUnderrun.value
    41
    """

    LowPoolPriority = 0
    LowPoolPrioritySpecialPoolOverrun = 8
    LowPoolPrioritySpecialPoolUnderrun = 9
    NormalPoolPriority = 16
    NormalPoolPrioritySpecialPoolOverrun = 24
    NormalPoolPrioritySpecialPoolUnderrun = 25
    HighPoolPriority = 32
    HighPoolPrioritySpecialPoolOverrun = 40
    HighPoolPrioritySpecialPoolUnderrun = 41


class POOL_EXTENDED_PARAMETER_TYPE(IntEnum):
    """What an extended parameter of ExAllocatePool3 is.

    >>> POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterMax.value
    4
    """

    PoolExtendedParameterInvalidType = 0
    PoolExtendedParameterPriority = 1
    PoolExtendedParameterSecurePool = 2
    PoolExtendedParameterNumaNode = 3
    PoolExtendedParameterMax = 4


class LOCK_OPERATION(IntEnum):
    """What locked pages will be used for.

    >>> LOCK_OPERATION.IoModifyAccess.value
    2
    """

    IoReadAccess = 0
    IoWriteAccess = 1
    IoModifyAccess = 2


class KPROCESSOR_MODE(IntEnum):
    """Who asks for something.

    >>> KPROCESSOR_MODE.UserMode.value
    1
    """

    KernelMode = 0
    UserMode = 1
    MaximumMode = 2


NonPagedPool = POOL_TYPE.NonPagedPool
NonPagedPoolExecute = POOL_TYPE.NonPagedPoolExecute
PagedPool = POOL_TYPE.PagedPool
NonPagedPoolMustSucceed = POOL_TYPE.NonPagedPoolMustSucceed
DontUseThisType = POOL_TYPE.DontUseThisType
NonPagedPoolCacheAligned = POOL_TYPE.NonPagedPoolCacheAligned
PagedPoolCacheAligned = POOL_TYPE.PagedPoolCacheAligned
NonPagedPoolCacheAlignedMustS = POOL_TYPE.NonPagedPoolCacheAlignedMustS
MaxPoolType = POOL_TYPE.MaxPoolType
NonPagedPoolSession = POOL_TYPE.NonPagedPoolSession
PagedPoolSession = POOL_TYPE.PagedPoolSession
NonPagedPoolMustSucceedSession = POOL_TYPE.NonPagedPoolMustSucceedSession
DontUseThisTypeSession = POOL_TYPE.DontUseThisTypeSession
NonPagedPoolCacheAlignedSession = POOL_TYPE.NonPagedPoolCacheAlignedSession
PagedPoolCacheAlignedSession = POOL_TYPE.PagedPoolCacheAlignedSession
NonPagedPoolCacheAlignedMustSSession = POOL_TYPE.NonPagedPoolCacheAlignedMustSSession
NonPagedPoolNx = POOL_TYPE.NonPagedPoolNx
NonPagedPoolNxCacheAligned = POOL_TYPE.NonPagedPoolNxCacheAligned
NonPagedPoolSessionNx = POOL_TYPE.NonPagedPoolSessionNx

LowPoolPriority = EX_POOL_PRIORITY.LowPoolPriority
LowPoolPrioritySpecialPoolOverrun = EX_POOL_PRIORITY.LowPoolPrioritySpecialPoolOverrun
LowPoolPrioritySpecialPoolUnderrun = EX_POOL_PRIORITY.LowPoolPrioritySpecialPoolUnderrun
NormalPoolPriority = EX_POOL_PRIORITY.NormalPoolPriority
NormalPoolPrioritySpecialPoolOverrun = EX_POOL_PRIORITY.NormalPoolPrioritySpecialPoolOverrun
NormalPoolPrioritySpecialPoolUnderrun = EX_POOL_PRIORITY.NormalPoolPrioritySpecialPoolUnderrun
HighPoolPriority = EX_POOL_PRIORITY.HighPoolPriority
HighPoolPrioritySpecialPoolOverrun = EX_POOL_PRIORITY.HighPoolPrioritySpecialPoolOverrun
HighPoolPrioritySpecialPoolUnderrun = EX_POOL_PRIORITY.HighPoolPrioritySpecialPoolUnderrun

PoolExtendedParameterInvalidType = POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterInvalidType
PoolExtendedParameterPriority = POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterPriority
PoolExtendedParameterSecurePool = POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterSecurePool
PoolExtendedParameterNumaNode = POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterNumaNode
PoolExtendedParameterMax = POOL_EXTENDED_PARAMETER_TYPE.PoolExtendedParameterMax

IoReadAccess = LOCK_OPERATION.IoReadAccess
IoWriteAccess = LOCK_OPERATION.IoWriteAccess
IoModifyAccess = LOCK_OPERATION.IoModifyAccess

KernelMode = KPROCESSOR_MODE.KernelMode
UserMode = KPROCESSOR_MODE.UserMode
MaximumMode = KPROCESSOR_MODE.MaximumMode

POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: Final = 8
POOL_RAISE_IF_ALLOCATION_FAILURE: Final = 16
POOL_COLD_ALLOCATION: Final = 256
POOL_NX_ALLOCATION: Final = 512
POOL_FLAG_USE_QUOTA: Final = 0x1
POOL_FLAG_UNINITIALIZED: Final = 0x2
POOL_FLAG_SESSION: Final = 0x4
POOL_FLAG_CACHE_ALIGNED: Final = 0x8
POOL_FLAG_RESERVED1: Final = 0x10
POOL_FLAG_RAISE_ON_FAILURE: Final = 0x20
POOL_FLAG_NON_PAGED: Final = 0x40
POOL_FLAG_NON_PAGED_EXECUTE: Final = 0x80
POOL_FLAG_PAGED: Final = 0x100
POOL_FLAG_RESERVED2: Final = 0x200
POOL_FLAG_RESERVED3: Final = 0x400
POOL_FLAG_SPECIAL_POOL: Final = 0x100000000
EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL: Final = 1
EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE: Final = 2
LOOKASIDE_MINIMUM_BLOCK_SIZE: Final = 8
MDL_MAPPED_TO_SYSTEM_VA: Final = 0x1
MDL_PAGES_LOCKED: Final = 0x2
MDL_SOURCE_IS_NONPAGED_POOL: Final = 0x4
MDL_ALLOCATED_FIXED_SIZE: Final = 0x8
MDL_PARTIAL: Final = 0x10
MDL_PARTIAL_HAS_BEEN_MAPPED: Final = 0x20
MDL_IO_PAGE_READ: Final = 0x40
MDL_WRITE_OPERATION: Final = 0x80
MDL_PARENT_MAPPED_SYSTEM_VA: Final = 0x100
MDL_FREE_EXTRA_PTES: Final = 0x200
MDL_DESCRIBES_AWE: Final = 0x400
MDL_IO_SPACE: Final = 0x800
MDL_NETWORK_HEADER: Final = 0x1000
MDL_MAPPING_CAN_FAIL: Final = 0x2000
MDL_PAGE_CONTENTS_INVARIANT: Final = 0x4000
MDL_INTERNAL: Final = 0x8000
METHOD_BUFFERED: Final = 0
METHOD_IN_DIRECT: Final = 1
METHOD_OUT_DIRECT: Final = 2
METHOD_NEITHER: Final = 3
METHOD_DIRECT_TO_HARDWARE: Final = 1
METHOD_DIRECT_FROM_HARDWARE: Final = 2
FILE_ANY_ACCESS: Final = 0
FILE_READ_ACCESS: Final = 1
FILE_WRITE_ACCESS: Final = 2

"""The bits of an MDL's flags, as public copies of wdm.h have them."""

from enum import IntFlag


class MdlFlags(IntFlag):
    """What an MDL's flags say.

    >>> MdlFlags.PAGES_LOCKED | MdlFlags.WRITE_OPERATION
    <MdlFlags.PAGES_LOCKED|WRITE_OPERATION: 130>
    """

    MAPPED_TO_SYSTEM_VA = 0x1
    PAGES_LOCKED = 0x2
    SOURCE_IS_NONPAGED_POOL = 0x4
    ALLOCATED_FIXED_SIZE = 0x8
    PARTIAL = 0x10
    PARTIAL_HAS_BEEN_MAPPED = 0x20
    IO_PAGE_READ = 0x40
    WRITE_OPERATION = 0x80
    PARENT_MAPPED_SYSTEM_VA = 0x100
    FREE_EXTRA_PTES = 0x200
    DESCRIBES_AWE = 0x400
    IO_SPACE = 0x800
    NETWORK_HEADER = 0x1000
    MAPPING_CAN_FAIL = 0x2000
    PAGE_CONTENTS_INVARIANT = 0x4000
    INTERNAL = 0x8000

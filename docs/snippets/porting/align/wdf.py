from membuf.wdf import *


def round_to_sectors(length):
    rounded = WDF_ALIGN_SIZE_UP(length, 512)
    if rounded < length:
        return STATUS_INTEGER_OVERFLOW, None  # it wrapped
    return STATUS_SUCCESS, rounded


assert round_to_sectors(1000) == (STATUS_SUCCESS, 1024)
assert round_to_sectors(2**64 - 1) == (
    STATUS_INTEGER_OVERFLOW,
    None,
)

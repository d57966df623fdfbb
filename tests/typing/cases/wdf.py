"""The framework's own names, imported as a driver's author would."""

from __future__ import annotations

from typing import reveal_type

from membuf.wdf import *

with driver("WdfTyping") as this:
    attributes = WDF_OBJECT_ATTRIBUTES()
    WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    status, memory, buffer = WdfMemoryCreate(attributes, NonPagedPoolNx, b"Type", 4096)
    reveal_type(status)  # Status
    reveal_type(memory)  # Memory | None
    reveal_type(NT_SUCCESS(status))  # bool
    reveal_type(WDF_ALIGN_SIZE_UP(1, 8))  # int
    reveal_type(STATUS_INVALID_PARAMETER)  # Status

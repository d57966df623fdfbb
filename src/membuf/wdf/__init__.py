"""The framework's own names: check and call.

Names, parameters and structure fields are those of the public headers, one module for each header.
The hidden driver-globals parameter is the current driver (`WdfDriverCreate`, or
`with membuf.wdf.driver(...)`); out parameters are returned after the status, in C order, None where
the call leaves them NULL. A handle is the object itself, a NULL handle is None, a buffer is any
buffer exporter. Statuses are returned; what Windows answers with a bug check raises
`membuf.BugCheck`.

>>> import membuf.wdf as wdf
>>> with wdf.driver("WdfSample"):
...     status, memory, buffer = wdf.WdfMemoryCreate(None, wdf.NonPagedPoolNx, 0, 100)
...     status = wdf.WdfMemoryCopyFromBuffer(memory, 0, b"abc", 3)
...     wdf.NT_SUCCESS(status), bytes(buffer[:3]), memory.tag
(True, b'abc', 'Samp')
"""

# ruff: noqa: F403 - each module's __all__ is the face

from membuf.base.errors import BugCheck
from membuf.wdf import (
    ntdef,
    ntstatus,
    wdfbugcodes,
    wdfcore,
    wdfdevice,
    wdfdmaenabler,
    wdfdriver,
    wdfio,
    wdfiotarget,
    wdfmemory,
    wdfobject,
    wdfrequest,
    wdfstatus,
    wdftypes,
    wdm,
)
from membuf.wdf.ntdef import *
from membuf.wdf.ntstatus import *
from membuf.wdf.wdfbugcodes import *
from membuf.wdf.wdfcore import *
from membuf.wdf.wdfdevice import *
from membuf.wdf.wdfdmaenabler import *
from membuf.wdf.wdfdriver import *
from membuf.wdf.wdfio import *
from membuf.wdf.wdfiotarget import *
from membuf.wdf.wdfmemory import *
from membuf.wdf.wdfobject import *
from membuf.wdf.wdfrequest import *
from membuf.wdf.wdfstatus import *
from membuf.wdf.wdftypes import *
from membuf.wdf.wdm import *

__all__ = ["BugCheck"]
__all__ += ntdef.__all__
__all__ += ntstatus.__all__
__all__ += wdfbugcodes.__all__
__all__ += wdfcore.__all__
__all__ += wdfdevice.__all__
__all__ += wdfdmaenabler.__all__
__all__ += wdfdriver.__all__
__all__ += wdfio.__all__
__all__ += wdfiotarget.__all__
__all__ += wdfmemory.__all__
__all__ += wdfobject.__all__
__all__ += wdfrequest.__all__
__all__ += wdfstatus.__all__
__all__ += wdftypes.__all__
__all__ += wdm.__all__

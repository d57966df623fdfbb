"""A bench for drivers written in the framework's names.

It calls a driver's EvtIo callbacks with real buffers, says how each request ended, writes down in
which order callbacks were called, and reports at its end what the driver left undone: requests it
never completed, objects it made for requests and left, references and pool it never gave back.

>>> import membuf.testing.wdf
>>> from membuf.wdf import *
>>> def EvtIoRead(queue, request, length):
...     status, memory = WdfRequestRetrieveOutputMemory(request)
...     WdfMemoryCopyFromBuffer(memory, 0, b"hello", 5)
...     WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 5)
>>> with membuf.testing.wdf.driver("WdfHello") as bench:
...     device = bench.device(EvtIoRead=EvtIoRead)
...     result = bench.read(device, 4096)
...     result.status, result.data, bench.calls
(STATUS_SUCCESS (0x00000000), b'hello', ['EvtIoRead'])
"""

from membuf.testing.wdf.bench import Bench, driver
from membuf.testing.wdf.defects import DriverDefectError
from membuf.testing.wdf.io import Io, Result

__all__ = ["Bench", "DriverDefectError", "Io", "Result", "driver"]

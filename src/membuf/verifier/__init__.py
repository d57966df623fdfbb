"""The verifier: what is still held, and allocation failures on demand.

>>> import membuf, membuf.verifier
>>> with membuf.Domain(), membuf.verifier.faults(after=2):
...     first = membuf.Memory(64)
...     membuf.Memory(64)
Traceback (most recent call last):
...
membuf.InsufficientResourcesError: 64 bytes asked for, refused by an injected fault
"""

from membuf.verifier.faults import SweepResult, faults, sweep
from membuf.verifier.report import Report, report

__all__ = ["Report", "SweepResult", "faults", "report", "sweep"]

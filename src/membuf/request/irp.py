"""The I/O packet: what an originator makes, what devices pass down, and how it comes back.

    originator --submit--> device --submit--> lower device
               <-complete-        <-complete-

A packet carries its parameters, the buffers of its access method, a stack of completion routines
(last pushed, first called) and one slot for a cancel routine. Who takes the cancel routine out of
its slot decides a race between cancelling and completing; nobody can take it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from membuf.request._irp import Irp

__all__ = ["CancelRoutine", "CompletionRoutine", "Irp", "Mode"]

Mode = Literal["user", "kernel"]
CompletionRoutine = Callable[[Irp], object]
CancelRoutine = Callable[[Irp], object]

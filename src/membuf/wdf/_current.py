"""Which driver a WDF call belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from membuf.wdf._driver import Driver

driver: ContextVar[Driver | None] = ContextVar("membuf.wdf.driver", default=None)
"""The driver of this context, or None."""

calling_back: ContextVar[bool] = ContextVar("membuf.wdf.calling_back", default=False)
"""Whether one of the driver's callbacks is running: bug checks kept meanwhile wait for its end."""

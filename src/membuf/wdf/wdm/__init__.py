"""wdm.h: the kernel's own calls for pool and lookaside lists."""

# ruff: noqa: F403 - each module's __all__ is the face

from membuf.wdf.wdm import constants, control, lookaside, pool
from membuf.wdf.wdm.constants import *
from membuf.wdf.wdm.control import *
from membuf.wdf.wdm.lookaside import *
from membuf.wdf.wdm.pool import *

__all__: list[str] = []
__all__ += constants.__all__
__all__ += control.__all__
__all__ += lookaside.__all__
__all__ += pool.__all__

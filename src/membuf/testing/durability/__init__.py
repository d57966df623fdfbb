"""Whether a disk keeps what it said that it keeps: when its power is cut, or its server is killed.

A `Ledger` notes what was written and what was acknowledged, and reads the disk after a crash.
`check_power_cuts` tries a driver or filter over a disk that loses what was not flushed,
`check_kills` an NBD server that is killed; `python -m membuf.testing.durability` does so from the
command line:

    python -m membuf.testing.durability --kills 10 URI COMMAND...
"""

from membuf.testing.durability.client import Client
from membuf.testing.durability.ledger import Ledger, LostWriteError, Write
from membuf.testing.durability.lossy import LossyDisk
from membuf.testing.durability.trial import (
    begin,
    check_kills,
    check_power_cuts,
    exercise,
    inspect,
)

__all__ = [
    "Client",
    "Ledger",
    "LossyDisk",
    "LostWriteError",
    "Write",
    "begin",
    "check_kills",
    "check_power_cuts",
    "exercise",
    "inspect",
]

"""Filters: targets over a target, which stack by name.

>>> import membuf
>>> with membuf.open_target("log+delay(time=1ms)+file:/dev/null", access="write") as target:
...     target.name, target.write(b"hello")
('log+delay+/dev/null', 5)
"""

from membuf.target.filters.base import Filter, Transfer
from membuf.target.filters.checksum import Checksum
from membuf.target.filters.course import Pause, Send, Step, Steps
from membuf.target.filters.cow import Cow
from membuf.target.filters.delay import Delay
from membuf.target.filters.error import Error
from membuf.target.filters.log import Log
from membuf.target.filters.rate import Rate
from membuf.target.filters.readonly import ReadOnly
from membuf.target.filters.stats import Figures, Stats

__all__ = [
    "Checksum",
    "Cow",
    "Delay",
    "Error",
    "Figures",
    "Filter",
    "Log",
    "Pause",
    "Rate",
    "ReadOnly",
    "Send",
    "Stats",
    "Step",
    "Steps",
    "Transfer",
]

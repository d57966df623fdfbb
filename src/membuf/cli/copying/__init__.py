"""The machinery of `membuf copy`: source, destination, and the loads on their way between."""

from membuf.cli.copying.engine import copy
from membuf.cli.copying.job import STANDARD_STREAM, Job, Result, Silent, Stopped, Watcher

__all__ = ["STANDARD_STREAM", "Job", "Result", "Silent", "Stopped", "Watcher", "copy"]

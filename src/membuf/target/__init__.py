"""I/O targets: the sending side of the framework."""

from membuf.target.states import StopAction, TargetState
from membuf.target.statistics import TargetStatistics
from membuf.target.target import Target

__all__ = ["StopAction", "Target", "TargetState", "TargetStatistics"]

"""What a benchmark consists of: groups of rows, and the figures a row compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KIB = 1024
MIB = 1024 * KIB


def label(size: int) -> str:
    """A size as the tables write it: 64 B, 4 KiB, 1 MiB."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure."""

    quick: bool
    folder: Path  # for files; on the disk that is to be measured
    processes: int = 5
    rounds: int = 60  # of a way, in one process; the best counts
    round_ns: int = 1_000_000  # what a round of a short statement is made to last
    objects: int = 1_000_000  # in a large tree, or alive at once
    seconds: float = 1.5  # of a round of file I/O
    file_size: int = 1024 * MIB
    copy_size: int = 2048 * MIB  # of the file that is copied

    @classmethod
    def of_full_run(cls, folder: Path) -> Settings:
        """As the published figures are measured."""
        return cls(quick=False, folder=folder)

    @classmethod
    def of_quick_run(cls, folder: Path) -> Settings:
        """Enough to see that everything runs."""
        return cls(
            quick=True,
            folder=folder,
            processes=1,
            rounds=3,
            round_ns=50_000,
            objects=10_000,
            seconds=0.1,
            file_size=8 * MIB,
            copy_size=8 * MIB,
        )


@dataclass(frozen=True)
class Figure:
    """What one way of doing a thing took, by one process."""

    value: float
    faults: float | None = None  # page faults an operation, over all rounds
    peak: int | None = None  # bytes resident at the height of a round, above those before the first


@dataclass(frozen=True)
class Row:
    """One comparison: ours against a peer's, and what was promised about their ratio.

    Without a peer the figure itself is compared, and its unit is that of bar and goal. Without a
    bar the row is there to be read: a peer known to win, or a way of ours not recommended.
    """

    what: str
    ours: str  # names a figure
    peer: str | None = None  # names another
    bar: float | None = None
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    unit: str = "ns"
    against: str = ""  # how the tables name the peer, if not by its figure up to a comma

    @property
    def peer_name(self) -> str:
        """The peer as the tables name it; empty without one."""
        return self.against or (self.peer or "").partition(",")[0]


@dataclass(frozen=True)
class Curve:
    """Figures over block size, for a plot."""

    name: str
    figures: tuple[str, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """What one kind of process measures."""

    title: str
    rows: tuple[Row, ...]
    measure: Callable[[Settings], Mapping[str, Figure]]
    missing: Callable[[Settings], str | None] = lambda _: None  # why not here, if not
    stack: int | None = None  # bytes of stack for the thread that measures
    curves: tuple[Curve, ...] = ()

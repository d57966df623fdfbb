"""Where a copy comes from, whatever it is: `FileSource` and `DiskSource` are the kinds."""

from __future__ import annotations

import os
from typing import Final

from membuf.bus import Extent, FileTarget
from membuf.bus.limits import Limits
from membuf.cli.copying import transfer
from membuf.cli.failure import CommandError, ExitCode
from membuf.target.filters import Filter
from membuf.target.target import Target

_ANY_MEMORY: Final = 1


class Source:
    """What is read.

    Args:
        name: what messages call it.
        target: the I/O target.
        start: the offset of its first byte that is copied.
        size: the bytes to copy, from `start` on; 0: it ends where reading ends.

    Attributes:
        name, target, start, size: as given.
        stream: whether it has no offsets.
        limits: what transfers must keep to.
        engine: what moves the bytes.
        connections: how many it has to a server; None where there is none.
        mode: its permission bits, or None where they say nothing about a copy.
        status: what the system says of the file, or None where it is none.
    """

    def __init__(self, name: str, target: Target, *, start: int = 0, size: int = 0) -> None:
        self.name, self.target = name, target
        self.start, self.size = start, size
        self.stream = False
        self.limits = limits_of(target)
        self.engine = target.engine
        self.connections: int | None = None
        self.mode: int | None = None
        self.status: os.stat_result | None = None

    @property
    def end(self) -> int:
        """The offset behind the last byte that is copied; known sizes only."""
        return self.start + self.size

    def extents(self) -> list[Extent]:
        """The data and the holes that are copied; known sizes only."""
        return list(self.target.extents(self.start, self.size))

    def check_unchanged(self) -> None:
        """Make sure that the source is as long as it was.

        Raises:
            CommandError: it is not.
        """

    def ended_early(self, offset: int) -> CommandError:
        """The failure for a source that ends before its end."""
        shorter = self._length() < self.end
        return CommandError(
            f"{self.name} ends at offset {offset}, not at {self.end}"
            + (": it became shorter while it was copied" if shorter else ""),
            ExitCode.CHANGED,
            offset=offset,
            hint="copy it when nobody writes to it" if shorter else "",
        )

    def failure(self, error: Exception, offset: int) -> CommandError:
        """The failure for what a read raised."""
        return transfer.failed(f"cannot read {self.name}", error, offset)

    def leave_at(self, offset: int) -> None:
        """Set the position of an open file behind what was read, as reading would have."""

    def _length(self) -> int:
        return self.target.size


def lowest(target: Target) -> Target:
    """What is under all filters.

    >>> import membuf
    >>> with membuf.open_target("log+stats+ram:1MiB") as target:
    ...     lowest(target).name
    'ram:1048576'
    """
    while isinstance(target, Filter):
        target = target.lower
    return target


def limits_of(target: Target) -> Limits:
    """What transfers of a target must keep to."""
    file = lowest(target)
    memory = file.limits.memory if isinstance(file, FileTarget) else _ANY_MEMORY
    return Limits(memory=memory, offset=target.offset_alignment)

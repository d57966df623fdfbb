"""How a copy gets on: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

from membuf.cli.units import format_clock, format_rate, format_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE_SECONDS: Final = 0.3
"""What is over sooner shows no bar, and does not pay for loading one."""

_LINE_SECONDS: Final = 1.0
"""Time between two plain lines."""


class Phase:
    """What is being done, how much of it is done, and since when."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.started = time.monotonic()

    def __str__(self) -> str:
        if self.total is None and self.done == 0:
            return self.what
        done = format_size(self.done)
        if self.total:
            done += f" of {format_size(self.total)} ({100 * self.done // self.total} %)"
        return f"{self.what}: {', '.join(filter(None, (done, self.rate, self.left)))}"

    @property
    def rate(self) -> str:
        """Bytes a second so far."""
        return format_rate(self.done, time.monotonic() - self.started)

    @property
    def left(self) -> str:
        """The time that the rest will take at this rate, or "" where nobody knows."""
        if not self.total or not 0 < self.done < self.total:
            return ""
        seconds = (time.monotonic() - self.started) * (self.total - self.done) / self.done
        return f"{format_clock(seconds)} left"


class PlainProgress:
    """Writes a line a second, and one at the end of each phase.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._shown = ""
        self._next = time.monotonic() + _LINE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._end_phase()

    def begin(self, what: str, total: int | None) -> None:
        """A phase begins; the last line of the one before it is written."""
        self._end_phase()
        self._phase = Phase(what, total)

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        if self._phase is not None:
            self._phase.done += count

    def tick(self) -> None:
        """Write a line, if a second has passed."""
        if self._phase is not None and time.monotonic() >= self._next:
            self._write(str(self._phase))
            self._next = time.monotonic() + _LINE_SECONDS

    def _end_phase(self) -> None:
        if self._phase is not None and self._phase.done:
            self._write(str(self._phase))

    def _write(self, line: str) -> None:
        if line == self._shown:
            return
        self._shown = line
        # A copy does not fail because nobody looks on any more.
        with contextlib.suppress(OSError):
            print(f"membuf: {line}", file=self._stream, flush=True)


class TerminalProgress:
    """Draws a bar with rate and time left, and wipes it away at the end."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._first = time.monotonic() + _PATIENCE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, what: str, total: int | None) -> None:
        """A phase begins, with a bar of its own."""
        self._phase = Phase(what, total)
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        if self._phase is not None:
            self._phase.done += count

    def tick(self) -> None:
        """Draw the bar again."""
        phase = self._phase
        if phase is None or time.monotonic() < self._first:
            return
        if self._progress is None:
            self._progress = _make_bar()
            self._progress.start()
        if self._task is None:
            self._task = self._progress.add_task(
                phase.what, total=phase.total, done="", rate="", left=""
            )
        self._progress.update(
            self._task,
            completed=phase.done,
            done=format_size(phase.done) if phase.done else "",
            rate=phase.rate if phase.done else "",
            left=phase.left,
            refresh=True,
        )


def make_progress() -> TerminalProgress | PlainProgress:
    """The progress that suits standard error."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress(sys.stderr)


def _make_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(style="bold"),
        TextColumn("{task.fields[done]:>10}", style="green"),
        TextColumn("{task.fields[rate]:>12}", style="cyan"),
        TextColumn("{task.fields[left]:>9}", style="yellow"),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        expand=True,
    )

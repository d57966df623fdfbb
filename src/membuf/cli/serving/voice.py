"""What a server says: lines for people, or objects for programs, one a line."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import threading
import time
from typing import Any, Final, TextIO

import typer

from membuf.cli.failure import CommandError
from membuf.cli.units import format_size

_ERRORS_A_SECOND: Final = 3


class Limiter:
    """Lets so many through a second, and counts the rest.

    Args:
        most: how many.

    >>> limiter = Limiter(2)
    >>> [limiter.passes(now=7.0) for _ in range(4)], limiter.held_back(now=7.5)
    ([True, True, False, False], 0)
    >>> limiter.held_back(now=8.0), limiter.held_back(now=9.0)
    (2, 0)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._began = float("-inf")
        self._passed = self._held = 0

    def passes(self, now: float) -> bool:
        """Whether one more is let through; a second begins with the first of it."""
        if now - self._began >= 1.0 and not self._held:
            self._began, self._passed = now, 0
        if self._passed == self._most:
            self._held += 1
            return False
        self._passed += 1
        return True

    def held_back(self, now: float) -> int:
        """How many were held back in the second that is over; once."""
        if now - self._began < 1.0:
            return 0
        held, self._held = self._held, 0
        return held


class Voice:
    """Says what happens; on any thread.

    Args:
        as_json: to programs, on standard output.
        quiet: say only what is wrong.
        verbose: say all of it.
    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        self._json, self._quiet, self.verbose = as_json, quiet, verbose
        self._lock = threading.RLock()
        self._errors = Limiter(_ERRORS_A_SECOND)

    def ready(self, driver: str, uri: str, export: str, size: int, *, readonly: bool) -> None:
        """Clients can connect."""
        if self._json:
            self._event("ready", uri=uri, export=export, size=size, readonly=readonly)
        elif not self._quiet:
            what = format_size(size) + (", read-only" if readonly else "")
            quoted = shlex.quote(uri)
            self._print(
                sys.stdout,
                f"serving {driver} ({what}) at {uri}\n"
                f"  look at it:  membuf info {quoted}\n"
                f"               nbdinfo {quoted}",
            )

    def note(self, words: str) -> None:
        """Something that people want to know."""
        if not self._json and not self._quiet:
            self._line(words)

    def statistics(self, table: list[str], figures: dict[str, Any]) -> None:
        """The counters, as a table and as figures."""
        if self._json:
            self._event("statistics", **figures)
        else:
            self._print(sys.stderr, "\n".join(table))

    def reload(self, words: str, failure: CommandError | None = None) -> None:
        """The driver was loaded anew, or could not be."""
        if self._json:
            error = {} if failure is None else {"error": str(failure), "hint": failure.hint}
            self._event("reload", ok=failure is None, **error)
        elif failure is not None:
            self._line(f"{words}: {failure}", kind="error")
            if failure.hint:
                self._line(failure.hint, kind="hint")
        elif not self._quiet:
            self._line(words)

    def error(self, words: str, where: str, traceback: str) -> None:
        """Something was raised that no caller receives; of many only some are told."""
        with self._lock:
            if not self.verbose and not self._errors.passes(time.monotonic()):
                return
            if self._json:
                more = {"traceback": traceback} if self.verbose else {}
                self._event("error", error=words, where=where, count=1, **more)
            else:
                self._line(f"{where}: {words}" if where else words, kind="error")
                if self.verbose:
                    self._print(sys.stderr, traceback.rstrip())

    def tick(self) -> None:
        """Some time has passed: tell how many errors were not told."""
        with self._lock:
            count = self._errors.held_back(time.monotonic())
            if not count:
                return
            words = f"{count} more error{'s' * (count > 1)} like these"
            if self._json:
                self._event("error", error=words, where="", count=count)
            else:
                self._line(words, kind="error")

    def connection(self, words: str) -> None:
        """A connection ended, or did not begin, against the client's wish."""
        if self._json:
            self._event("connection", message=words)
        elif self.verbose:
            self._line(words)

    def failure(self, failure: CommandError, traceback: str = "") -> None:
        """The command fails."""
        if self._json:
            self._event("error", error=str(failure), hint=failure.hint, exit_code=int(failure.code))
        if self.verbose and traceback:
            self._print(sys.stderr, traceback.rstrip())
        self._line(str(failure), kind="error")
        if failure.hint:
            self._line(failure.hint, kind="hint")

    # ---- writing --------------------------------------------------------------------------------

    def _event(self, event: str, **figures: Any) -> None:
        self._print(sys.stdout, json.dumps({"event": event} | figures))

    def _line(self, words: str, kind: str = "") -> None:
        start = typer.style("membuf: ", bold=True)
        if kind == "error":
            start += typer.style("error: ", fg=typer.colors.RED, bold=True)
        elif kind:
            start += f"{kind}: "
        self._print(sys.stderr, start + words)

    def _print(self, stream: TextIO, text: str) -> None:
        with self._lock:
            try:
                typer.echo(text, file=stream)
                stream.flush()
            except (OSError, ValueError):  # nobody reads it any more; that is no reason to end
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

"""`membuf serve` as a user runs it: in a process of its own, at a unix socket."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import IO, Any

from tests.cli import COMMAND

PATIENCE = 60.0
EXAMPLES = Path(__file__).parents[1] / "examples"


class Process:
    """A server; what it says is read as it says it.

    Args:
        process: the process.
        place: the path of its socket.
        export: the name of what it serves.
    """

    def __init__(self, process: subprocess.Popen[str], place: Path, export: str = "") -> None:
        self.process, self.place, self.export = process, place, export
        self.said = {"out": "", "err": ""}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", process.stdout), ("err", process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def uri(self) -> str:
        """What clients connect to."""
        return f"nbd+unix:///{self.export}?socket={self.place}"

    @property
    def out(self) -> str:
        """Its standard output until now."""
        return self.said["out"]

    @property
    def err(self) -> str:
        """Its standard error until now."""
        return self.said["err"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The objects on its standard output until now."""
        whole = self.out[: self.out.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def event(self, kind: str) -> dict[str, Any]:
        """Wait for an event of a kind; the last one."""
        self.until(lambda: any(one["event"] == kind for one in self.events))
        return [one for one in self.events if one["event"] == kind][-1]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"it did not become so; the server said:\n{self.out}\n{self.err}"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int = SIGTERM) -> int:
        """End it by a signal; its exit code."""
        self.signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join()
        return code

    def _read(self, name: str, stream: IO[str] | None) -> None:
        assert stream is not None
        for line in stream:
            self.said[name] += line
        stream.close()


@contextmanager
def serving(
    *arguments: object,
    place: Path,
    export: str = "",
    scheme: str = "nbd+unix",
    query: str = "",
    code: int | None = 0,
    command: list[str] | None = None,
    **options: Any,
) -> Iterator[Process]:
    """Run `membuf serve ARGUMENTS` at a socket, and end it; it must end with a code.

    Args:
        arguments: of the command.
        place: the socket's path.
        export: the name of what is served.
        scheme, query: of the URI.
        code: the exit code; None: the caller ends it.
        command: in place of `membuf serve`.
        options: of the process.
    """
    uri = f"{scheme}:///{export}?socket={place}{query}"
    line = [*(command or [*COMMAND, "serve"]), *map(str, arguments), "--nbd", uri]
    with subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        **options,
    ) as process:
        server = Process(process, place, export)
        try:
            quiet = "--quiet" in arguments
            server.until(
                lambda: (place.exists() if quiet else server.out) or process.poll() is not None
            )
            assert process.poll() is None, f"it ended by itself:\n{server.err}"
            yield server
            if code is not None:
                assert server.end() == code, server.err
                assert "Traceback" not in server.err
        finally:
            if process.poll() is None:
                process.kill()
            server.wait()

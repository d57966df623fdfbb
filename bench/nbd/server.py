"""A server as a process of its own: started, its processor time read, ended."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import ROOT

PATIENCE = 20.0  # seconds for a start, and for an end
LOOK_EVERY = 0.01
_PROCESSOR_TIME = 2  # which of a process's clocks; clock_getcpuclockid(3) puts them together so


@dataclass(frozen=True)
class Server:
    """A server that takes connections."""

    name: str
    path: Path  # its socket
    process: int

    @property
    def uri(self) -> str:
        """What clients connect to."""
        return f"nbd+unix:///?socket={self.path}"

    def cpu_ns(self) -> int:
        """Processor time of its threads so far, ended ones and the system's work included."""
        return time.clock_gettime_ns((~self.process << 3) | _PROCESSOR_TIME)


def available(command: list[str]) -> bool:
    """Whether the server of a command line is here, and knows what it is to serve with."""
    program, *words = command
    if shutil.which(program) is None:
        return False
    if "python" in words:
        return _succeeds(program, "--dump-plugin", "python")
    return "serve" not in words or _succeeds(program, "serve", "--help")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def running(commands: dict[str, list[str]]) -> Iterator[dict[str, Server]]:
    """All of the servers at once, each on a socket in a folder that goes when they have ended.

    Args:
        commands: Their command lines by name; `{socket}` and `{uri}` are filled in.
    """
    with tempfile.TemporaryDirectory(prefix="nbd-") as folder, ExitStack() as started:
        servers = {}
        for place, (name, command) in enumerate(commands.items()):
            path = Path(folder, f"{place}.sock")  # short: a socket's path has 107 bytes at most
            servers[name] = started.enter_context(_running(name, command, path))
        yield servers


@contextmanager
def _running(name: str, command: list[str], path: Path) -> Iterator[Server]:
    uri = f"nbd+unix:///?socket={path}"
    filled = [part.format(socket=path, uri=uri) for part in command]
    said = path.with_suffix(".log")
    with said.open("wb") as log:
        process = subprocess.Popen(
            filled, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_socket(name, process, path, said)
        yield Server(name, path, process.pid)
    finally:
        by_itself = process.poll() is not None
        _end(process)
        if by_itself:  # the reason of whatever else failed
            raise RuntimeError(f"{name} ended by itself: {said.read_text()}")


def _await_socket(name: str, process: subprocess.Popen[bytes], path: Path, said: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not _connects(path):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{name} takes no connections: {said.read_text()}")
        time.sleep(LOOK_EVERY)


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise

"""NBD servers as processes of their own, which tests kill, stop and start again.

`python -m tests.durability --minutes N` kills servers of every kind for so long, and checks after
each kill that nothing is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from membuf.testing.durability import Client, check_kills
from tests.nbd_serving import FILTERS, sparse_file

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SIZE = 2 << 20

# What a server process does: serve a target by its name, or a driver file with settings.
SERVE = """
import runpy, signal, sys
import membuf
from membuf.bus.nbd import Server
uri, threads, what, *settings = sys.argv[1:]
if what.endswith(".py"):
    made = runpy.run_path(what)["open"](**dict(one.split("=", 1) for one in settings))
else:
    made = membuf.open_target(what)
server = Server(made, uri, threads=int(threads))
server.start()
signal.pause()
"""


def command(
    uri: str, what: object, *settings: str, threads: int = 0, before: str = ""
) -> list[str]:
    """The command line of a server."""
    return [sys.executable, "-c", before + SERVE, uri, str(threads), str(what), *settings]


def file_server(folder: Path, uri: str) -> list[str]:
    """A server of a file."""
    return command(uri, f"file:{sparse_file(folder, SIZE)}")


def filter_server(folder: Path, uri: str) -> list[str]:
    """A server of a file under filters."""
    return command(uri, f"{FILTERS}+file:{sparse_file(folder, SIZE)}")


def compressed_server(folder: Path, uri: str, threads: int = 0) -> list[str]:
    """A server of the compressed disk of the examples: a database, with transactions."""
    driver = EXAMPLES / "compressed_disk.py"
    return command(uri, driver, f"store={folder}/small.db", f"size={SIZE}", threads=threads)


def threaded_server(folder: Path, uri: str) -> list[str]:
    """The same on threads of the server."""
    return compressed_server(folder, uri, threads=2)


def encrypted_server(folder: Path, uri: str) -> list[str]:
    """A server of the encrypted disk of the examples over a file: coroutines."""
    key = folder / "key"
    key.write_bytes(bytes(range(64)))
    below = f"below=file:{sparse_file(folder, SIZE)}"
    return command(uri, EXAMPLES / "encrypted_disk.py", below, f"keyfile={key}")


SERVERS: dict[str, Callable[[Path, str], list[str]]] = {
    "file": file_server,
    "filters": filter_server,
    "compressed": compressed_server,
    "compressed, threads": threaded_server,
}
"""The command lines of servers, by what they serve; each is called once, with an empty folder."""


def uri_in(folder: Path) -> str:
    """A socket in a folder, as a URI."""
    return f"nbd+unix:///?socket={folder}/s"


@contextmanager
def running(line: list[str], uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that listens; it is killed in the end."""
    with subprocess.Popen(line) as process:
        try:
            asyncio.run(_greet(uri))
            yield process
        finally:
            process.kill()


async def _greet(uri: str) -> None:
    async with await Client.connect(uri):
        pass


def soak(seconds: float, folder: Path, say: Callable[[str], Any] = print) -> dict[str, Any]:
    """Kill servers of every kind in turn, for so long; how many kills and writes there were."""
    kills, writes, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for name, make in SERVERS.items():
            place = folder / f"{name} {kills}"
            place.mkdir()
            uri = uri_in(place)
            ledger = check_kills(make(place, uri), uri, kills=5, seconds=1.0)
            kills, writes = kills + 5, writes + ledger.writes
            say(f"{name}: {ledger.writes} writes, {ledger.flushes} flushes, nothing lost")
    return {"kills": kills, "writes": writes}


def main() -> None:
    """Soak for some minutes."""
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membuf-soak-") as folder:
        print(soak(given.minutes * 60, Path(folder)))


if __name__ == "__main__":
    main()

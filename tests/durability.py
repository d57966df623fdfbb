"""NBD servers as processes of their own, which tests kill, stop and start again.

`tools/soak-nbd --minutes N` kills servers of every kind for so long, while they are written to by
our own checker and by fio, and checks after each kill that nothing is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from membuf.bus.nbd import NbdUri
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


SERVERS: dict[str, Callable[[Path, str], list[str]]] = {
    "file": file_server,
    "filters": filter_server,
    "compressed": compressed_server,
    "compressed, threads": threaded_server,
}
"""The command lines of servers, by what they serve; each is called once, with an empty folder."""


def uri_in(folder: Path) -> str:
    """A socket in a folder, as a URI."""
    return str(NbdUri(socket=f"{folder}/s"))


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


FIO = (
    "fio", "--name=soak", "--ioengine=nbd", "--rw=randwrite", "--bsrange=512-16k",
    "--bs_unaligned=1", "--blockalign=512", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1",
    "--verify_state_save=0", "--do_verify=0", "--output-format=terse",
)  # fmt: skip


def fio(uri: str, *options: str) -> subprocess.Popen[bytes]:
    """Start fio, which says nothing unless it fails."""
    return subprocess.Popen(
        [*FIO, f"--uri={uri}", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def must_end_well(process: subprocess.Popen[bytes]) -> None:
    """It must."""
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def fio_round(line: list[str], uri: str, seed: int) -> None:
    """fio writes one half of a disk and has it flushed; the server is killed while it writes the
    other; and the first half is verified, by a server that was started anew.
    """
    half = SIZE // 2
    first = [f"--randseed={seed}", f"--size={half}", "--offset=0"]
    with running(line, uri):
        must_end_well(fio(uri, *first, "--end_fsync=1"))
        other = [f"--size={half}", f"--offset={half}", "--time_based", "--runtime=60", "--fsync=64"]
        writing = fio(uri, *other)
        time.sleep(random.Random(seed).random())
    writing.communicate(timeout=120)
    assert writing.returncode != 0, "fio did not notice that the server was gone"
    with running(line, uri):
        must_end_well(fio(uri, *first, "--verify_only=1"))


def soak(seconds: float, folder: Path, say: Callable[[str], Any] = print) -> dict[str, int]:
    """Kill servers of every kind in turn, for so long; what there was of everything."""
    sums, end = dict.fromkeys(("kills", "writes", "flushes", "fio rounds"), 0), _in(seconds)
    while time.monotonic() < end:
        for name, make in SERVERS.items():
            place = folder / f"{name} {sums['kills']}"
            place.mkdir()
            uri = uri_in(place)
            line = make(place, uri)
            ledger = check_kills(line, uri, kills=5, seconds=1.0)
            for _ in range(2):
                fio_round(line, uri, random.randrange(1 << 30))
            found = {
                "kills": 7,
                "writes": ledger.writes,
                "flushes": ledger.flushes,
                "fio rounds": 2,
            }
            sums = {what: count + found[what] for what, count in sums.items()}
            say(f"{name}: {ledger.writes} writes, {ledger.flushes} flushes, 2 rounds of fio: sound")
    return sums


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


def main() -> None:
    """Soak for some minutes."""
    parser = argparse.ArgumentParser(prog="tools/soak-nbd", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membuf-soak-") as folder:
        print("nothing lost:", soak(given.minutes * 60, Path(folder)))


if __name__ == "__main__":
    main()

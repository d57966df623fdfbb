"""A file served over NBD by a driver written in Python, beside other servers of the same file.

The loads are those of the group in memory (nbd.py), and so are turns, rounds and processor time.
All servers serve one file of 256 MiB without holes, through the page cache; those called direct
serve another, past it: their writes would drive out what the others have in the cache. Ours:
`driver` receives every request, sends it on to the file and completes it when it comes back
(bench/nbd/file_driver.py); `file` is `membuf serve file:PATH`, with no Python in the way of a
request. Peers: nbdkit's file plugin (C); a plugin of nbdkit in Python around os.preadv and
os.pwrite; qemu-nbd as it comes, and with `--cache=none --aio=io_uring`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.case import KIB, Figure, Group, Row, Settings
from bench.macro.copy import MEMBUF
from bench.macro.nbd import DISK, RANDOM, SEQUENTIAL, missing, rounds_of
from bench.macro.senders import Load, make_file
from bench.nbd.clients import by_fio
from bench.nbd.server import available, running
from bench.nbd.turns import Job, figures
from bench.process import ROOT

HERE = ROOT / "bench" / "nbd"
CACHED = {  # ours, and the peers with the names that the tables give them
    "driver": "",
    "file": "",
    "nbdkit Python": "nbdkit, Python plugin",
    "nbdkit": "nbdkit, file plugin",
    "qemu-nbd": "qemu-nbd",
}
DIRECT = {"driver, direct": "", "qemu-nbd, direct": "qemu-nbd, none, io_uring"}
PEERS = {name: shown for name, shown in {**CACHED, **DIRECT}.items() if shown}


def commands(path: Path, apart: Path) -> dict[str, list[str]]:
    """The servers that are installed, by name.

    Args:
        path: Of the file to be served through the page cache.
        apart: Of the one to be served past it.
    """
    driver = [str(MEMBUF), "serve", str(HERE / "file_driver.py"), "--nbd", "{uri}", "--set"]
    nbdkit = ["nbdkit", "-f", "-U", "{socket}"]
    qemu_nbd = ["qemu-nbd", "-f", "raw", "-k", "{socket}", "-t", "-e", "8"]
    found = {
        "driver": [*driver, f"path={path}"],
        "driver, direct": [*driver, f"path={apart}", "--set", "direct=yes"],
        "file": [str(MEMBUF), "serve", f"file:{path}", "--nbd", "{uri}"],
        "nbdkit Python": [*nbdkit, "python", str(HERE / "file_plugin.py"), f"file={path}"],
        "nbdkit": [*nbdkit, "file", str(path)],
        "qemu-nbd": [*qemu_nbd, str(path)],
        "qemu-nbd, direct": [*qemu_nbd, "--cache=none", "--aio=io_uring", str(apart)],
    }
    return {name: command for name, command in found.items() if available(command)}


def jobs(settings: Settings, size: int) -> dict[str, Job]:
    """What fio does, by name."""
    seconds = settings.seconds / rounds_of(settings)
    found: dict[str, Job] = {}
    for name in RANDOM:
        load = Load(Path(), size, 4 * KIB, 32, seconds, writes="write" in name)
        found[name] = Job(by_fio(load), (*CACHED, *DIRECT))
    for name in SEQUENTIAL:
        load = Load(Path(), size, 128 * KIB, 8, seconds, "write" in name, sequential=True)
        found[name] = Job(by_fio(load, in_bytes=True), tuple(CACHED))
    return found


def measure(settings: Settings) -> Mapping[str, Figure]:
    """All servers at once, visited in turn."""
    size = min(settings.file_size, DISK)
    paths = [settings.folder / name for name in ("served.img", "direct.img")]
    for path in paths:
        make_file(path, size)
    with running(commands(*paths)) as servers:
        return figures(servers, jobs(settings, size), rounds_of(settings))


def _rows(job: str, unit: str) -> Iterator[Row]:
    pairs = [(way, peer) for way in ("driver", "file") for peer in CACHED if peer in PEERS]
    if job in RANDOM:
        pairs.append(("driver, direct", "qemu-nbd, direct"))
    for way, peer in pairs:
        ours, theirs = f"{job}, {way}", f"{job}, {peer}"
        yield Row(ours, ours, theirs, better="higher", unit=unit, against=PEERS[peer])


def _cpu_rows(job: str) -> Iterator[Row]:
    for peer in CACHED:
        if peer in PEERS:
            ours, theirs = f"{job}, driver, CPU", f"{job}, {peer}, CPU"
            what = f"server's processor time, {job}, driver"
            yield Row(what, ours, theirs, against=PEERS[peer])


GROUP = Group(
    title="A file over NBD",
    rows=(
        *(row for job in RANDOM for row in (*_rows(job, "/s"), *_cpu_rows(job))),
        *(row for job in SEQUENTIAL for row in _rows(job, "MB/s")),
    ),
    measure=measure,
    missing=missing,
)

"""A block device written in Python, served over NBD on a unix socket, beside other servers.

* random: 4 KiB at random places, 32 on their way at once, reads and writes, by fio.
* sequential: 128 KiB one after the other, 8 on their way, reads and writes, by fio.
* nbdcopy reads the whole disk; qemu-img bench reads and writes 4 KiB far apart, 32 at once.

Every disk has 256 MiB in memory and is written once before. Ours: `driver` is a driver with plain
handlers, each request an object with states, ownership and guarded buffers (examples/ram_disk.py);
`ram` is the memory that membuf brings along. Peers: nbdkit's memory plugin (C); a plugin of nbdkit
in Python over a bytearray, in nbdkit's default thread model; qemu-nbd over a file in /dev/shm;
plain Python with nothing between it and its bytearray, once an asyncio.BufferedProtocol and once a
thread for each client that answers with sendmsg from where the bytes lie.

All servers run at once, and each client visits one after the other, round after round; the median
of the rounds counts, and the ratios are of the same process. Processor time is the server's for a
request, the system's work on its behalf included.

A slow server finds more requests waiting when it looks, and so spends less on each: IOPS of fast
servers differ less than their processor time does.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.case import KIB, MIB, Figure, Group, Row, Settings
from bench.macro.copy import MEMBUF
from bench.macro.fio import can_nbd
from bench.macro.senders import Load
from bench.nbd.clients import by_fio, by_nbdcopy, by_qemu_img, fill
from bench.nbd.server import available, running
from bench.nbd.turns import Job, figures
from bench.process import ROOT

HERE = ROOT / "bench" / "nbd"
DISK = 256 * MIB
MEMORY = Path("/dev/shm")
ROUNDS = 3
OURS = ("driver", "ram")
PEERS = {  # and how the tables name them
    "nbdkit Python": "nbdkit, Python plugin",
    "nbdkit": "nbdkit, C memory plugin",
    "qemu-nbd": "qemu-nbd",
    "protocol": "asyncio.BufferedProtocol",
    "threads": "threads and sendmsg",
}
RANDOM = ("4 KiB random read", "4 KiB random write")
SEQUENTIAL = ("128 KiB sequential read", "128 KiB sequential write")
QEMU_IMG = ("qemu-img bench, read", "qemu-img bench, write")
UNJUDGED = (None, None)
RANDOM_TARGETS = {  # bar and goal of the driver
    "nbdkit Python": (2.5, 4.0),
    "nbdkit": (1.0, 1.8),
    "qemu-nbd": (2.0, 4.0),
    "protocol": (0.7, 1.0),
    "threads": UNJUDGED,
}
SEQUENTIAL_TARGETS = {"nbdkit": (0.9, 1.3), "threads": (0.7, 1.0)}
TOOL_PEERS = ("nbdkit Python", "nbdkit", "threads")


def commands(size: int, shared: Path) -> dict[str, list[str]]:
    """The servers that are installed, by name.

    Args:
        size: Of the disks.
        shared: A file of that size in memory, for the server that has no memory of its own.
    """
    served = [str(MEMBUF), "serve"]
    plain = [sys.executable, "-m"]
    found = {
        "driver": [*served, str(ROOT / "examples" / "ram_disk.py"), "--set", f"size={size}"],
        "ram": [*served, f"ram:{size}"],
        "nbdkit Python": ["nbdkit", "-f", "-U", "{socket}", "python",
                          str(HERE / "memory_plugin.py"), f"size={size}"],
        "nbdkit": ["nbdkit", "-f", "-U", "{socket}", "memory", str(size)],
        "qemu-nbd": ["qemu-nbd", "-f", "raw", "-k", "{socket}", "-t", "-e", "8", str(shared)],
        "protocol": [*plain, "bench.nbd.protocol_server", "{socket}", str(size)],
        "threads": [*plain, "bench.nbd.threads_server", "{socket}", str(size)],
    }  # fmt: skip
    for name in OURS:
        found[name] += ["--nbd", "{uri}"]
    return {name: command for name, command in found.items() if available(command)}


def jobs(settings: Settings, size: int) -> dict[str, Job]:
    """What the clients do, by name."""
    seconds = settings.seconds / rounds_of(settings)
    found: dict[str, Job] = {}
    for name in RANDOM:
        load = Load(Path(), size, 4 * KIB, 32, seconds, writes="write" in name)
        found[name] = Job(by_fio(load), (*OURS, *PEERS))
    for name in SEQUENTIAL:
        load = Load(Path(), size, 128 * KIB, 8, seconds, "write" in name, sequential=True)
        found[name] = Job(by_fio(load, in_bytes=True), (*OURS, *SEQUENTIAL_TARGETS))
    if shutil.which("nbdcopy") is not None:
        found["nbdcopy"] = Job(by_nbdcopy(size), ("driver", *TOOL_PEERS))
    if shutil.which("qemu-img") is not None:
        requests = 1000 if settings.quick else 20_000
        for name in QEMU_IMG:
            client = by_qemu_img(requests, writes="write" in name)
            found[name] = Job(client, ("driver", *TOOL_PEERS))
    return found


def rounds_of(settings: Settings) -> int:
    """How often each client visits each server."""
    return 1 if settings.quick else ROUNDS


def missing(_settings: Settings) -> str | None:
    """Why it is not measured here."""
    return None if can_nbd() else "fio with its engine for NBD is not installed"


def measure(settings: Settings) -> Mapping[str, Figure]:
    """All servers at once, visited in turn."""
    size = min(settings.file_size, DISK)
    with tempfile.NamedTemporaryFile(dir=MEMORY if MEMORY.exists() else None) as shared:
        shared.truncate(size)
        with running(commands(size, Path(shared.name))) as servers:
            for server in servers.values():
                fill(server.uri, size)
            return figures(servers, jobs(settings, size), rounds_of(settings))


Targets = tuple[float | None, float | None]  # bar and goal


def _rate(job: str, way: str, peer: str, targets: Targets, unit: str = "/s") -> Row:
    ours, theirs = f"{job}, {way}", f"{job}, {peer}"
    return Row(ours, ours, theirs, *targets, better="higher", unit=unit, against=PEERS[peer])


def _cpu(job: str, peer: str) -> Row:
    ours, theirs = f"{job}, driver, CPU", f"{job}, {peer}, CPU"
    return Row(f"server's processor time, {job}, driver", ours, theirs, against=PEERS[peer])


def _cpu_alone(job: str, way: str, targets: Targets) -> Row:
    ours = f"{job}, {way}, CPU"
    return Row(f"server's processor time, {job}, {way}", ours, None, *targets)


def _random_rows(job: str) -> Iterator[Row]:
    for peer, targets in RANDOM_TARGETS.items():
        yield _rate(job, "driver", peer, targets)
    for peer in PEERS:
        yield _rate(job, "ram", peer, UNJUDGED)
    yield _cpu_alone(job, "driver", (7000, 5000))
    yield _cpu_alone(job, "ram", UNJUDGED)
    for peer in PEERS:
        yield _cpu(job, peer)


def _sequential_rows(job: str) -> Iterator[Row]:
    for peer, targets in SEQUENTIAL_TARGETS.items():
        yield _rate(job, "driver", peer, targets, "MB/s")
        yield _rate(job, "ram", peer, UNJUDGED, "MB/s")


GROUP = Group(
    title="A block device over NBD, in memory",
    rows=(
        *(row for job in RANDOM for row in _random_rows(job)),
        *(row for job in SEQUENTIAL for row in _sequential_rows(job)),
        *(_rate("nbdcopy", "driver", peer, UNJUDGED, "MB/s") for peer in TOOL_PEERS),
        *(_rate(job, "driver", peer, UNJUDGED) for job in QEMU_IMG for peer in TOOL_PEERS),
    ),
    measure=measure,
    missing=missing,
)

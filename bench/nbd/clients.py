"""Programs that make a server work, and what they say about its speed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.case import KIB, MIB
from bench.macro.fio import nbd_job
from bench.macro.senders import Load

BLOCK = 4 * KIB
STEP = 1_060_864  # between two requests of qemu-img: no neighbour, and a whole number of blocks
_FINISHED = re.compile(r"Run completed in ([\d.]+) seconds")


@dataclass(frozen=True)
class Tally:
    """What a client came to."""

    rate: float  # in the unit of the table
    requests: int  # as the client counts them


Client = Callable[[str], Tally]
"""Makes the server of a URI work."""


def by_fio(load: Load, *, in_bytes: bool = False) -> Client:
    """fio's: transfers a second, or megabytes."""

    def run(uri: str) -> Tally:
        job = nbd_job(load, uri)
        scale = load.block / 1e6 if in_bytes else 1
        return Tally(job["iops"] * scale, job["total_ios"])

    return run


def by_nbdcopy(size: int) -> Client:
    """Megabytes a second that nbdcopy takes from a disk, its start included."""

    def run(uri: str) -> Tally:
        start = perf_counter()
        _output("nbdcopy", uri, "null:")
        return Tally(size / 1e6 / (perf_counter() - start), -(-size // (256 * KIB)))

    return run


def by_qemu_img(requests: int, *, writes: bool) -> Client:
    """Requests a second of `qemu-img bench`: blocks of 4 KiB far apart, 32 at once."""

    def run(uri: str) -> Tally:
        printed = _output(
            "qemu-img", "bench", "-f", "raw", "-t", "none", "-c", str(requests), "-d", "32",
            "-s", str(BLOCK), "-S", str(STEP), *(["-w"] if writes else []), uri,
        )  # fmt: skip
        found = _FINISHED.search(printed)
        if found is None:
            raise RuntimeError(f"qemu-img bench says {printed}")
        return Tally(requests / float(found[1]), requests)

    return run


def fill(uri: str, size: int) -> None:
    """Writes the whole disk once: no server then gains by blocks that it does not have."""
    load = Load(Path(), size, MIB, 8, 0, writes=True, sequential=True)
    nbd_job(load, uri)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

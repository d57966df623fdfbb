"""`membuf copy` beside dd, nbdcopy and qemu-img convert: bytes a second, higher is better.

A file of 2 GiB without holes is copied to a new file on the same disk and made durable. Blocks of
1 MiB; page cache bypassed where a program can (nbdcopy cannot: the source is dropped from the cache
before every run). Measured from the start of the program to its end, Python's start included.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from bench.case import Figure, Group, Row, Settings
from bench.macro.senders import make_file

MEMBUF = Path(sys.executable).with_name("membuf")
COMMANDS: dict[str, tuple[str, ...]] = {
    "membuf copy": (str(MEMBUF), "copy", "--direct", "--block-size=1MiB", "{source}", "{target}"),
    "dd": ("dd", "if={source}", "of={target}", "bs=1M", "iflag=direct", "oflag=direct",
           "conv=fsync", "status=none"),
    "nbdcopy": ("nbdcopy", "--flush", "--request-size=1048576", "{source}", "{target}"),
    "qemu-img": ("qemu-img", "convert", "-f", "raw", "-O", "raw", "-T", "none", "-t", "none",
                 "{source}", "{target}"),
}  # fmt: skip


def missing(settings: Settings) -> str | None:
    """Why it is not measured here."""
    return None if MEMBUF.exists() else f"{MEMBUF} is not installed"


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every program once; the processes are the rounds."""
    source = settings.folder / "source.img"
    make_file(source, settings.copy_size)
    figures: dict[str, Figure] = {}
    for name, command in COMMANDS.items():
        if shutil.which(command[0]) is not None:
            figures |= _copied(name, command, source, settings.folder / "target.img")
    return figures


def _copied(name: str, command: tuple[str, ...], source: Path, target: Path) -> dict[str, Figure]:
    target.unlink(missing_ok=True)
    _forget(source)
    filled = [part.format(source=source, target=target) for part in command]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(filled, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    elapsed, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = source.stat().st_size
    if target.stat().st_size != size:
        raise RuntimeError(f"{name} copied {target.stat().st_size} of {size} bytes")
    target.unlink()
    faults = after.ru_minflt - before.ru_minflt
    return {
        name: Figure(size / elapsed / 1e6, faults=faults),
        f"{name}, CPU": Figure(busy * 1e9 / (size / 1e9)),
    }


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


PEERS = ("dd", "nbdcopy", "qemu-img")
GROUP = Group(
    title="Copying a file",
    rows=(
        *(
            Row("copy 2 GiB", "membuf copy", peer, 1.0, 1.2, better="higher", unit="MB/s")
            for peer in PEERS
        ),
        *(
            Row("processor time of a GB", "membuf copy, CPU", f"{peer}, CPU", against=peer)
            for peer in PEERS
        ),
    ),
    measure=measure,
    missing=missing,
)

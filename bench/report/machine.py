"""The machine and the peers, as the heads of the tables name them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.case import MIB

PACKAGES = ("numpy", "pyarrow", "aiofiles")
PROGRAMS = {
    "fio": ("fio", "--version"),
    "dd": ("dd", "--version"),
    "nbdcopy": ("nbdcopy", "--version"),
    "qemu-img": ("qemu-img", "--version"),
    "nbdkit": ("nbdkit", "--version"),
}


@dataclass(frozen=True)
class Machine:
    """Where and with what the figures were measured."""

    processor: str
    cores: int
    memory: int  # bytes
    virtual: bool
    kernel: str
    huge_pages: str
    python: str
    membuf: str
    peers: dict[str, str]
    load: float  # processes that wanted to run when the measurement began, over the last minute

    def __str__(self) -> str:
        where = "virtual machine, " if self.virtual else ""
        peers = ", ".join(f"{name} {found}" for name, found in self.peers.items())
        return (
            f"{where}{self.cores} cores of {self.processor}, {self.memory // MIB} MiB, "
            f"Linux {self.kernel}, transparent huge pages {self.huge_pages}, {self.python}, "
            f"membuf {self.membuf}. Peers: {peers}."
        )


def machine() -> Machine:
    """This machine, now."""
    processors = Path("/proc/cpuinfo").read_text()
    return Machine(
        processor=_first(r"^model name\s*: (.*)", processors) or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        virtual=_first(r"^flags\s*:.*\b(hypervisor)\b", processors) is not None,
        kernel=platform.release(),
        huge_pages=_huge_pages(),
        python=_python(),
        membuf=version("membuf"),
        peers=_peers(),
        load=os.getloadavg()[0],
    )


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return None if found is None else found[1]


def _huge_pages() -> str:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return (_first(r"\[(\w+)\]", setting.read_text()) if setting.exists() else None) or "absent"


def _python() -> str:
    threads = ", free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    tuned = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"CPython {platform.python_version()} ({'with' if tuned else 'without'} PGO{threads})"


def _peers() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    for name, command in PROGRAMS.items():
        found[name] = _program_version(command)
    return found


def _program_version(command: tuple[str, ...]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return _first(r"(\d+\.\d+(?:\.\d+)?)", printed) or "unknown version"

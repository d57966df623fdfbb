"""fio, run for a load, one job."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from bench.macro.senders import Load, Outcome


def installed() -> bool:
    """Whether fio is here."""
    return shutil.which("fio") is not None


def can_nbd() -> bool:
    """Whether the fio that is here was built with its engine for NBD."""
    return (
        installed()
        and subprocess.run(["fio", "--enghelp=nbd"], capture_output=True, check=False).returncode
        == 0
    )


def fio(load: Load, engine: str) -> Outcome:
    """What fio makes of a load, with one of its I/O engines."""
    job = _job(load, [f"--filename={load.path}", "--direct=1", f"--ioengine={engine}"])
    busy = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["runtime"] * 1e6  # ms to ns
    return Outcome(job["iops"], busy / job["total_ios"])


def nbd_job(load: Load, uri: str) -> dict[str, Any]:
    """What fio reports of a load for a server; one of no seconds transfers everything once."""
    return _job(load, ["--ioengine=nbd", f"--uri={uri}"])


def _job(load: Load, where: list[str]) -> dict[str, Any]:
    verb = "write" if load.writes else "read"
    timed = ["--time_based", f"--runtime={max(1, round(load.seconds * 1000))}ms"]
    command = [
        "fio", "--name=bench", *where, f"--size={load.size}",
        f"--rw={verb if load.sequential else 'rand' + verb}",
        f"--bs={load.block}", f"--iodepth={load.depth}", "--numjobs=1", "--thread",
        *(timed if load.seconds else []), "--randrepeat=0",
        "--norandommap", "--group_reporting", "--output-format=json",
    ]  # fmt: skip
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    job = json.loads(printed[printed.index("{") :])["jobs"][0]
    return {**job, **job[verb]}

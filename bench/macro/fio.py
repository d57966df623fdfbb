"""fio, run for a load, one job."""

from __future__ import annotations

import json
import shutil
import subprocess

from bench.macro.senders import Load, Outcome


def installed() -> bool:
    """Whether fio is here."""
    return shutil.which("fio") is not None


def fio(load: Load, engine: str) -> Outcome:
    """What fio makes of a load, with one of its I/O engines."""
    verb = "write" if load.writes else "read"
    command = [
        "fio", "--name=bench", f"--filename={load.path}", f"--size={load.size}", "--direct=1",
        f"--ioengine={engine}", f"--rw={verb if load.sequential else 'rand' + verb}",
        f"--bs={load.block}", f"--iodepth={load.depth}", "--numjobs=1", "--thread",
        "--time_based", f"--runtime={max(1, round(load.seconds * 1000))}ms", "--randrepeat=0",
        "--norandommap", "--group_reporting", "--output-format=json",
    ]  # fmt: skip
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    job = json.loads(printed[printed.index("{") :])["jobs"][0]
    busy = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job[verb]["runtime"] * 1e6  # ms to ns
    return Outcome(job[verb]["iops"], busy / job[verb]["total_ios"])

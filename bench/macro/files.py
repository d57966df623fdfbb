"""Reading and writing a file past the page cache (O_DIRECT), transfers a second; higher is better.

* random: 4 KiB at random places, 32 on their way at once, reads and writes.
* alone: 4 KiB random reads, one at a time.
* sequential: 128 KiB one after the other, 8 on their way, reads.

The file has 1 GiB without holes. Each way runs for a second and a half, in turn with the others in
every process. Ours: callbacks (`read_nowait`, whose callback starts the next), requests (each sent
again by its own completion), await (tasks around `read_async`), batches (`read_many` of 512),
device (tasks that await the reads of a direct device above the file, which forwards each request).
Peers: fio with io_uring, one job (psync for one at a time); asyncio.to_thread over os.preadv;
aiofiles, a file object for each place in the queue.

Faults are those of this process, so fio's are not among them. Processor time is what a transfer
took of it in our process, or fio's, the system's work on its behalf included.

Disks answer at very different rates from one minute to the next: look at ratios alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter

import membuf
from bench.case import KIB, Figure, Group, Row, Settings
from bench.macro import senders
from bench.macro.fio import fio, installed
from bench.macro.senders import Load, Outcome
from bench.timing import page_faults

Run = Callable[[], Outcome]
OURS = {
    "callbacks": senders.callbacks,
    "requests": senders.requests,
    "await": senders.awaits,
    "batches": senders.batches,
    "device": senders.through_device,
}
ALONE = {
    "synchronous": senders.synchronous,
    "device": senders.synchronous_through_device,
}


def _load(settings: Settings, block: int, depth: int, **more: bool) -> Load:
    path = settings.folder / "data.img"
    return Load(path, settings.file_size, block, depth, settings.seconds, **more)


def loads(settings: Settings) -> dict[str, Load]:
    """The loads by name; those of our ways and the peers' are the same."""
    return {
        "random read": _load(settings, 4 * KIB, 32),
        "random write": _load(settings, 4 * KIB, 32, writes=True),
        "alone": _load(settings, 4 * KIB, 1),
        "sequential": _load(settings, 128 * KIB, 8, sequential=True),
    }


def missing(settings: Settings) -> str | None:
    """Why it is not measured here."""
    load = loads(settings)["alone"]
    senders.make_file(load.path, 4 * KIB)
    try:
        senders.target_of(load).close()
    except membuf.MembufError as error:
        return str(error)
    finally:
        load.path.unlink()
    return None


def _peers(name: str, load: Load) -> dict[str, Run]:
    peers: dict[str, Run] = {}
    if installed():
        peers["fio"] = partial(fio, load, "psync" if name == "alone" else "io_uring")
    if name == "alone":
        peers["os.preadv"] = partial(senders.plain_preadv, load)
    if name.startswith("random"):
        peers["to_thread"] = partial(senders.to_thread, load)
        if importlib.util.find_spec("aiofiles") is not None:
            peers["aiofiles"] = partial(senders.by_aiofiles, load)
    return peers


def _measured(run: Run, name: str) -> dict[str, Figure]:
    faults, start = page_faults(), perf_counter()
    outcome = run()
    transfers = outcome.rate * (perf_counter() - start)
    return {
        name: Figure(outcome.rate, (page_faults() - faults) / transfers),
        f"{name}, CPU": Figure(outcome.cpu_ns),
    }


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way of every load once; the processes are the rounds."""
    figures: dict[str, Figure] = {}
    for name, load in loads(settings).items():
        senders.make_file(load.path, load.size)
        ours = ALONE if name == "alone" else OURS
        with senders.target_of(load) as target:
            for way, send in ours.items():
                figures |= _measured(partial(send, load, target), f"{name}, {way}")
        for way, run in _peers(name, load).items():
            figures |= _measured(run, f"{name}, {way}")
    return figures


def _row(load: str, way: str, peer: str, bar: float | None, goal: float | None) -> Row:
    what = f"{load}, {way}"
    figure = f"{load}, {peer}"
    return Row(what, what, figure, bar, goal, better="higher", unit="/s", against=peer)


GROUP = Group(
    title="File I/O, O_DIRECT",
    rows=(
        *(
            row
            for load in ("random read", "random write")
            for row in (
                _row(load, "callbacks", "fio", 0.9, 1.0),
                _row(load, "requests", "fio", 0.9, 1.0),
                _row(load, "await", "fio", 0.75, 0.9),
                _row(load, "batches", "fio", 0.9, 1.0),
                _row(load, "device", "fio", None, None),
                _row(load, "await", "to_thread", 4, 5),
                _row(load, "await", "aiofiles", 5, 8),
            )
        ),
        *(
            Row(
                f"processor time, random read, {way}",
                f"random read, {way}, CPU",
                "random read, fio, CPU",
                against="fio",
            )
            for way in OURS
        ),
        _row("alone", "synchronous", "fio", 0.9, 1.0),
        _row("alone", "synchronous", "os.preadv", None, None),
        _row("alone", "device", "fio", None, None),
        _row("sequential", "callbacks", "fio", 0.95, 1.0),
        _row("sequential", "requests", "fio", 0.95, 1.0),
        _row("sequential", "await", "fio", 0.95, 1.0),
        _row("sequential", "batches", "fio", 0.95, 1.0),
        _row("sequential", "device", "fio", None, None),
    ),
    measure=measure,
    missing=missing,
)

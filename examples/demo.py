#!/usr/bin/env python3
"""The main job on real data: make a disk image, copy it, serve it, race it against dd.

Run by `make demo`, or by hand where `membuf` is installed: `examples/demo.py [--size 1GiB]`.
It needs mke2fs, e2fsck and debugfs (Debian package e2fsprogs), and no root. Everything it makes is
in ./demo-data, and gone at the end.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from membuf.cli.units import format_size, parse_size

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("demo-data")
IMAGE, COPY, RIVAL = FOLDER / "disk.img", FOLDER / "copy.img", FOLDER / "dd.img"
ROUNDS = 3
TOOLS = ("mke2fs", "e2fsck", "debugfs", "dd", "cmp")

console = Console(highlight=False)


def main() -> int:
    """Run the demonstration; the exit code."""
    parser = argparse.ArgumentParser(description="Make a disk image, copy it, race it against dd.")
    parser.add_argument("--size", type=parse_size, default=1 << 30, help="size of the disk image")
    size = parser.parse_args().size
    # Where administrators' programs are: not on the path of every user.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        console.print(f"missing: {', '.join(missing)}; apt-get install e2fsprogs", style="red")
        return 1
    if shutil.disk_usage(".").free < 4 * size:
        console.print(f"needs {format_size(4 * size)} of free space here", style="red")
        return 1
    FOLDER.mkdir(exist_ok=True)
    try:
        make_image(size)
        result = copy_image()
        verify()
        serve()
        race()
        who_held_memory(result)
    except subprocess.CalledProcessError as error:
        what = escape(" ".join(map(str, error.cmd)))
        console.print(f"\n{what} failed: {error.stderr or ''}", style="red")
        return 1
    finally:
        shutil.rmtree(FOLDER)
    return 0


def headline(text: str) -> None:
    """Begin a part of the demonstration."""
    console.print(f"\n[bold cyan]▌[/] [bold]{text}[/]")


def shown(*command: object) -> None:
    """Run a command in full view."""
    console.print(f"  [dim]$[/] [green]{escape(' '.join(map(str, command)))}[/]")
    subprocess.run([str(part) for part in command], check=True)


def answered(*command: object) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    )
    return done.stdout


def make_image(size: int) -> None:
    """An ext4 file system with this project, Python's libraries and random data in it."""
    headline("A disk image with real files on it")
    content = FOLDER / "content"
    shutil.copytree(ROOT / "src", content / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", content)
    unwanted = shutil.ignore_patterns("__pycache__", "test", "*-packages", "config-*", "*.a")
    shutil.copytree(sysconfig.get_path("stdlib"), content / "python", True, unwanted)
    with (content / "noise").open("wb") as noise:
        for _ in range(size * 3 // 8 >> 20):
            noise.write(os.urandom(1 << 20))
    answered("mke2fs", "-q", "-t", "ext4", "-L", "demo", "-d", content, IMAGE, f"{size >> 10}k")
    files = sum(1 for path in content.rglob("*") if path.is_file())
    shutil.rmtree(content)
    status = IMAGE.stat()
    console.print(
        f"  {IMAGE}: ext4, {files} files, {format_size(status.st_size)}, of which "
        f"{format_size(status.st_blocks * 512)} are data and the rest is holes"
    )


def copy_image() -> dict[str, Any]:
    """Copy the image, holes kept, read back and verified."""
    headline("Copied, made durable, read back")
    shown("membuf", "copy", "--verify", IMAGE, COPY)
    answer = answered("membuf", "copy", "--json", "--quiet", "--no-sparse", IMAGE, COPY)
    result: dict[str, Any] = json.loads(answer)
    return result


def verify() -> None:
    """Compare with other people's programs."""
    headline("Verified by others")
    answered("cmp", IMAGE, COPY)
    console.print("  [green]✔[/] cmp: not a byte differs")
    answered("e2fsck", "-f", "-n", COPY)
    console.print("  [green]✔[/] e2fsck: the file system in the copy is clean")
    answered("debugfs", "-R", f"dump /README.md {FOLDER}/README.md", COPY)
    if not filecmp.cmp(FOLDER / "README.md", ROOT / "README.md", shallow=False):
        raise SystemExit("the README in the copied file system is not ours")
    console.print("  [green]✔[/] debugfs: README.md, taken out of the copy, is this project's")


def serve() -> None:
    """Have a disk written in Python hold the image, and bring it back."""
    headline("Through a disk written in Python, over NBD")
    driver, uri = ROOT / "examples" / "ram_disk.py", f"nbd+unix:///?socket={FOLDER}/ram.sock"
    command = ["membuf", "serve", f"{driver}", "--set", f"size={IMAGE.stat().st_size}"]
    console.print(f"  [dim]$[/] [green]{escape(' '.join([*command, '--nbd', uri]))} &[/]")
    server = subprocess.Popen([*command, "--nbd", uri, "--quiet"])
    try:
        while not (FOLDER / "ram.sock").exists() and server.poll() is None:
            time.sleep(0.02)
        shown("membuf", "copy", IMAGE, uri)
        answered("membuf", "copy", "--quiet", uri, COPY)
        answered("cmp", IMAGE, COPY)
    finally:
        server.terminate()
        server.wait()
    console.print("  [green]✔[/] copied back, cmp: not a byte differs")


def race() -> None:
    """Time membuf and dd in turn, both writing every byte and waiting until it is durable."""
    headline(f"Beside dd: {format_size(IMAGE.stat().st_size)}, blocks of 1 MiB, durable at the end")
    table = Table(box=None, padding=(0, 3, 0, 0))
    for name in ("", "dd", "membuf copy", "membuf / dd"):
        table.add_column(name, justify="right" if name else "left")
    for name, ours, theirs in (
        ("  through the page cache", [], []),
        ("  past it (O_DIRECT)", ["--direct"], ["iflag=direct", "oflag=direct"]),
    ):
        if ours and not takes_direct():
            console.print("  this file system has no direct I/O: that row is left out")
            continue
        dd = ["dd", f"if={IMAGE}", f"of={RIVAL}", "bs=1M", "conv=fsync", "status=none", *theirs]
        copy = ["membuf", "copy", "--quiet", "--no-sparse", "--json", *ours, f"{IMAGE}", f"{COPY}"]
        table.add_row(name, *row(*in_turn((dd, RIVAL), (copy, COPY))))
    console.print(table)
    console.print(
        f"  [dim]medians of {ROUNDS} rounds in turn; the start of each program counts. Shared or "
        "virtual\n  disks make such figures swing: `make bench` measures with more care.[/]"
    )


def takes_direct() -> bool:
    """Whether the file system takes direct I/O."""
    try:
        os.close(os.open(IMAGE, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def in_turn(*runs: tuple[list[str], Path]) -> list[float]:
    """The median rate of each command, taken in turn."""
    with console.status("racing ..."):
        rates = [[timed(command, made) for command, made in runs] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*rates, strict=True)]


def timed(command: list[str], made: Path) -> float:
    """Bytes a second of one run, onto a file that is not there yet."""
    made.unlink(missing_ok=True)
    os.sync()
    started = time.perf_counter()
    answered(*command)
    return IMAGE.stat().st_size / (time.perf_counter() - started)


def row(theirs: float, ours: float) -> tuple[str, str, str]:
    """A row of rates and their ratio."""
    ratio = ours / theirs
    colour = "green" if ratio >= 1 else "yellow"
    return f"{format_size(theirs)}/s", f"{format_size(ours)}/s", f"[{colour}]{ratio:.2f} x[/]"


def who_held_memory(result: dict[str, Any]) -> None:
    """Show that every buffer came back."""
    headline("Who held memory")
    pool = result["pool"]
    for tag in pool["tags"]:
        console.print(
            f"  {result['bytes_written'] >> 20} MiB moved through [bold]{tag['allocations']}[/] "
            f"memory objects with the tag [bold]{tag['tag']}[/],\n"
            f"  {tag['hits']} of them recycled, never more than "
            f"[bold]{format_size(tag['peak_bytes'])}[/] at once"
        )
    colour = "green" if pool["outstanding"] == 0 else "red"
    console.print(f"  outstanding at the end: [bold {colour}]{pool['outstanding']}[/]\n")


if __name__ == "__main__":
    sys.exit(main())

"""`membuf copy SRC DST`: the command line of the copy."""

from __future__ import annotations

import enum
from typing import Annotated, Final

import typer

from membuf.cli.units import parse_size

SMALLEST_BLOCK: Final = 512
LARGEST_BLOCK: Final = 1 << 30

HELP: Final = """
Copy SRC to DST, and return when the copy is durable.

A file appears under its name when it is complete: one that was there before is replaced in one
step, or stays what it was. Block devices, disks, pipes and standard output are written in place.
Progress goes to standard error, the result to standard output (to standard error if the copy goes
there).

A name is the URI of a disk if all before its first colon is a scheme, with filters before it or
not: nbd://HOST/NAME, nbd+unix:///NAME?socket=PATH (nbds: with TLS), ram:SIZE, null:, file:PATH,
rate(limit=10MiB/s)+file:PATH. It is so even where a file has that very name: write ./ram:x for one.
"""

EPILOG: Final = """
\b
Examples:
  membuf copy disk.img backup.img             a file, holes kept
  membuf copy --direct /dev/sdb disk.img      a disk, past the page cache
  membuf copy --verify disk.img /dev/sdb      and read back what arrived
  zcat disk.img.gz | membuf copy --sparse - disk.img
  membuf copy disk.img - | ssh host "cat >/dev/sdb"
  membuf copy disk.img nbd://host/disk        to the disk of an NBD server
  membuf copy --verify "nbd+unix:///?socket=/run/disk.sock" disk.img
  membuf copy "nbd://host/disk" null:         how fast it can be read

\b
Exit codes:
    0  copied, and durable                 5  no room in DST
    1  a read or write failed              6  DST holds other bytes
    2  a wrong command line              130  stopped by Ctrl-C (SIGTERM: 143)
    3  SRC or DST cannot be used         141  nobody reads the output any more
    4  SRC changed its length meanwhile
"""


class EngineName(enum.StrEnum):
    """What moves the bytes."""

    AUTO = "auto"
    THREADS = "threads"
    IO_URING = "io_uring"

    @property
    def chosen(self) -> str:
        """The engine that is meant: for whole blocks, threads have measured no slower anywhere."""
        return self.THREADS.value if self is self.AUTO else self.value


def block_size(text: str | int) -> int:
    """The block size that an option says, or its default.

    Raises:
        typer.BadParameter: it is no size, or out of range.
    """
    try:
        size = parse_size(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not SMALLEST_BLOCK <= size <= LARGEST_BLOCK:
        raise typer.BadParameter(f"a block has {SMALLEST_BLOCK} bytes to 1 GiB; got {size} bytes")
    return size


SOURCE: Final = typer.Argument(metavar="SRC", help="File, block device, pipe or URI; - is stdin.")
DESTINATION: Final = typer.Argument(
    metavar="DST", help="File, block device, pipe or URI; - is stdout."
)
BLOCK_SIZE: Final = typer.Option(
    "--block-size",
    "-b",
    metavar="SIZE",
    parser=block_size,
    show_default=False,
    help="Bytes of a memory object: 64KiB, 1M, 4kB (kB counts in 1000).  [default: 1MiB]",
)
QUEUE_DEPTH: Final = typer.Option(
    "--queue-depth", "-q", metavar="N", min=1, max=1024, help="Requests on their way at once."
)
CONNECTIONS: Final = typer.Option(
    "--connections",
    metavar="N",
    min=1,
    max=64,
    show_default=False,
    help="Connections to an NBD server that lets several see the same; 4 unless told.",
)
DIRECT: Final = typer.Option("--direct", help="Bypass the page cache (O_DIRECT).")
SPARSE: Final = typer.Option(
    "--sparse/--no-sparse",
    help="Make holes of zeros, too / write every byte. Without either, the holes of SRC become "
    "holes of DST.",
    show_default=False,
)
VERIFY: Final = typer.Option("--verify", help="Read DST back and compare SHA-256 checksums.")
ENGINE: Final = typer.Option(
    "--engine", "-e", metavar="NAME", help="What moves the bytes: threads, io_uring or auto."
)
JSON: Final = typer.Option("--json", help="Print the result as one object.")
QUIET: Final = typer.Option("--quiet", help="Show no progress.")


def command(
    source: Annotated[str, SOURCE],
    destination: Annotated[str, DESTINATION],
    block_size: Annotated[int, BLOCK_SIZE] = 1 << 20,
    queue_depth: Annotated[int, QUEUE_DEPTH] = 4,
    connections: Annotated[int | None, CONNECTIONS] = None,
    direct: Annotated[bool, DIRECT] = False,
    sparse: Annotated[bool | None, SPARSE] = None,
    verify: Annotated[bool, VERIFY] = False,
    engine: Annotated[EngineName, ENGINE] = EngineName.AUTO,
    json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Run the copy that the command line describes."""
    from membuf.cli.copying.job import Job
    from membuf.cli.copying.running import run

    job = Job(
        source=source,
        destination=destination,
        block_size=block_size,
        queue_depth=queue_depth,
        direct=direct,
        sparse=sparse,
        verify=verify,
        engine=engine.chosen,
        connections=connections,
    )
    raise typer.Exit(run(job, as_json=json, quiet=quiet))

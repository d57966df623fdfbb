"""The server under qemu's programs and fio, and under file systems."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import Server
from tests.cli import make_data, make_sparse
from tests.nbd_serving import KINDS, MIB, libnbd, opened, run, served

SIZE = 16 * MIB


@pytest.fixture(params=list(KINDS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A disk of each kind, served; no command fails that should not."""
    with opened(request.param, tmp_path, SIZE) as disk, served(disk) as one:
        yield one
        # qemu asks whether zeros are made fast that keep their room, and is told that they are not.
        assert one.statistics().errors <= one.statistics().requests["zero"]


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
def stacked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A file under filters, served."""
    with opened("filters", tmp_path, SIZE) as disk, served(disk, tcp=request.param) as one:
        yield one


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image(path: Path) -> None:
    """A raw image of `SIZE` bytes: data, zeros that are written, and holes."""
    dice = random.Random(8)
    parts = {dice.randrange(SIZE - MIB): dice.randbytes(dice.randrange(MIB)) for _ in range(6)}
    make_sparse(path, SIZE, parts | {4 * MIB: bytes(MIB)})


def qemu_io(server: Server, *commands: str, ok: int = 0) -> str:
    """Have qemu-io do something."""
    said = run("qemu-io", "-f", "raw", *(f"-c{command}" for command in commands), server.uri, ok=ok)
    assert "Pattern verification failed" not in said
    return said


# ---- qemu-img ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["raw", "qcow2"])
@pytest.mark.parametrize("options", [[], ["-W", "-m", "8"]], ids=["in order", "out of order"])
def test_qemu_img_converts_to_us_and_back(
    server: Server, tmp_path: Path, format: str, options: list[str]
) -> None:
    image(tmp_path / "raw")
    run("qemu-img", "convert", "-O", format, tmp_path / "raw", tmp_path / "in")
    run(
        "qemu-img",
        "convert",
        *options,
        "-f",
        format,
        "-n",
        "-O",
        "raw",
        tmp_path / "in",
        server.uri,
    )
    run("qemu-img", "convert", *options, "-f", "raw", "-O", format, server.uri, tmp_path / "out")
    for path in (tmp_path / "in", tmp_path / "out"):
        said = run("qemu-img", "compare", "-f", format, "-F", "raw", path, server.uri)
        assert "Images are identical" in said
    run("qemu-img", "convert", "-f", format, "-O", "raw", tmp_path / "out", tmp_path / "back")
    assert digest(tmp_path / "back") == digest(tmp_path / "raw")


def test_a_qcow2_image_lives_in_what_we_serve(server: Server) -> None:
    """Its tables are written in small pieces, with flushes between them."""
    run("qemu-img", "create", "-f", "qcow2", server.uri, "64M")
    writes = [f"write -P {n + 1} {n * 5}M 300k" for n in range(8)]
    reads = [f"read -P {n + 1} {n * 5}M 300k" for n in range(8)]
    run("qemu-io", "-f", "qcow2", *(f"-c{one}" for one in (*writes, "flush", *reads)), server.uri)
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", server.uri)
    assert "64 MiB" in run("qemu-img", "info", "-f", "qcow2", server.uri)
    run("qemu-img", "snapshot", "-c", "one", server.uri)
    said = run("qemu-io", "-f", "qcow2", *(f"-c{one}" for one in reads), server.uri)
    assert "failed" not in said


def test_a_difference_is_found(server: Server, tmp_path: Path) -> None:
    image(tmp_path / "raw")
    run("qemu-img", "convert", "-f", "raw", "-n", "-O", "raw", tmp_path / "raw", server.uri)
    qemu_io(server, "write -P 255 9000000 1")
    said = run("qemu-img", "compare", "-f", "raw", tmp_path / "raw", server.uri, ok=1)
    assert "Content mismatch at offset 8999936" in said or "mismatch at offset 9000000" in said


def test_qemu_img_shows_the_map(tmp_path: Path) -> None:
    make_sparse(tmp_path / "disk.img", SIZE, {MIB: b"x" * 65536})
    with membuf.open_target(f"file:{tmp_path}/disk.img") as target, served(target) as server:
        found = json.loads(run("qemu-img", "map", "-f", "raw", "--output=json", server.uri))
    shown = [(part["start"], part["length"], part["data"], part["zero"]) for part in found]
    assert shown == [
        (0, MIB, False, True),
        (MIB, 65536, True, False),
        (MIB + 65536, SIZE - MIB - 65536, False, True),
    ]


@pytest.mark.parametrize("options", [["-w"], [], ["-w", "--flush-interval=64"]])
def test_qemu_img_bench(server: Server, options: list[str]) -> None:
    run("qemu-img", "bench", "-f", "raw", "-c", "512", "-d", "64", "-s", "4k", *options, server.uri)
    asked = server.statistics()
    assert asked.requests["write" if "-w" in options else "read"] >= 512
    assert asked.peak_in_flight > 8


# ---- qemu-io -------------------------------------------------------------------------------------


def test_patterns(server: Server) -> None:
    qemu_io(
        server,
        "write -P 17 0 64k", "write -P 34 65536 1", "write -P 51 1000001 77777",
        "writev -P 68 4M 4096 512 12288", "aio_write -P 85 5M 256k", "aio_flush",
        "read -P 17 0 64k", "read -P 34 65536 1", "read -P 0 65537 4096",
        "read -P 51 1000001 77777", "readv -P 68 4M 16384 512",
        "aio_read -P 85 5M 256k", "aio_flush", f"write -P 102 {SIZE - 512} 512", "flush",
        f"read -P 102 {SIZE - 512} 512",
    )  # fmt: skip
    assert server.statistics().requests["flush"] >= 1


def test_zeros_and_discards(server: Server) -> None:
    qemu_io(
        server,
        "write -P 255 0 4M", "write -z 64k 64k", "write -z -u 128k 1M", "write -z 5000 3333",
        "read -P 0 64k 64k", "read -P 0 128k 1M", "read -P 0 5000 3333", "read -P 255 0 5000",
        "read -P 255 8333 100", "discard 2M 1M", "read -P 255 3M 1M", "read -P 255 1500000 500000",
    )  # fmt: skip
    asked = server.statistics().requests
    assert asked["zero"] >= 3
    assert asked["trim"] >= 1


def test_a_write_through_is_one(stacked: Server) -> None:
    qemu_io(stacked, "write -f -P 7 0 64k", "write -z -f 64k 64k", "read -P 7 0 64k")
    assert stacked.statistics().errors == 0


def test_a_disk_that_is_only_read(tmp_path: Path) -> None:
    make_data(tmp_path / "disk.img", SIZE)
    target = membuf.open_target(f"file:{tmp_path}/disk.img", access="read")
    with target, served(target) as server:
        qemu_io(server, "read 0 64k", ok=1)  # qemu wants to write, unless told otherwise
        run("qemu-io", "-r", "-f", "raw", "-c", "read 0 64k", server.uri)
        run("qemu-img", "compare", "-f", "raw", tmp_path / "disk.img", server.uri)
        assert server.statistics().bytes_written == 0
    assert (tmp_path / "disk.img").stat().st_size == SIZE


def test_qemu_nbd_serves_what_we_serve(stacked: Server, tmp_path: Path) -> None:
    """A qcow2 image in our disk, its content served on by qemu-nbd, copied by nbdcopy."""
    image(tmp_path / "raw")
    run("qemu-img", "create", "-f", "qcow2", stacked.uri, "16M")
    inner = (
        f"qemu-nbd -f qcow2 {stacked.uri} -k {tmp_path}/inner -t --fork --pid-file={tmp_path}/pid"
    )
    uri = f"nbd+unix:///?socket={tmp_path}/inner"
    copies = f"nbdcopy {tmp_path}/raw '{uri}' && nbdcopy '{uri}' {tmp_path}/out"
    end = f"kill $(cat {tmp_path}/pid); while [ -e {tmp_path}/inner ]; do sleep 0.01; done"
    run(
        "bash",
        "-c",
        f"{inner.replace('?', chr(92) + '?')} && {{ {copies}; s=$?; {end}; exit $s; }}",
    )
    assert digest(tmp_path / "out") == digest(tmp_path / "raw")


# ---- fio -----------------------------------------------------------------------------------------


def fio(server: Server, *options: str) -> dict[str, Any]:
    """Run fio against a server; what it says of its jobs together."""
    said = run(
        "fio", "--name=verify", "--ioengine=nbd", f"--uri={server.uri}", "--output-format=json",
        "--randseed=7", "--group_reporting", "--verify_state_save=0", *options,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(said[said.index("{") :])["jobs"][0]
    assert result["error"] == 0
    return result


@pytest.mark.parametrize("pattern", ["randrw", "randwrite", "write"])
def test_fio_verifies_every_block(server: Server, pattern: str) -> None:
    done = fio(
        server, f"--rw={pattern}", "--bs=4k", "--size=4M", "--iodepth=16", "--verify=crc32c",
        "--verify_fatal=1",
    )  # fmt: skip
    assert done["write"]["total_ios"] > 256
    assert done["read"]["io_bytes"] >= 4 * MIB * (pattern != "randrw")


def test_several_jobs_of_fio(server: Server) -> None:
    done = fio(
        server, "--rw=randrw", "--bsrange=512-64k", "--size=4M", "--numjobs=4",
        "--offset_increment=4M", "--iodepth=8", "--verify=crc32c", "--verify_fatal=1",
        "--fsync=16", "--do_verify=1",
    )  # fmt: skip
    assert done["write"]["total_ios"] > 300
    asked = server.statistics()
    assert asked.connections_total >= 4
    assert asked.requests["flush"] > 0


def test_fio_trims(stacked: Server) -> None:
    fio(stacked, "--rw=randtrim", "--bs=64k", "--size=4M", "--iodepth=4")
    assert stacked.statistics().requests["trim"] == 64


# ---- file systems --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file_system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 file system with files in it."""
    folder = tmp_path_factory.mktemp("ext4")
    content = folder / "content"
    content.mkdir()
    for number in range(40):
        make_data(content / f"file {number}", number * 7168, seed=number)
    run("mke2fs", "-q", "-t", "ext4", "-d", content, folder / "image", "16m")
    return folder / "image"


IN_PIECES = """
import random, sys, nbd
h = nbd.NBD()
h.connect_uri(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    data = file.read()
dice = random.Random(4)
ends = sorted({0, len(data), *(dice.randrange(len(data)) for _ in range(400))})
pieces = list(zip(ends, ends[1:])) * 2
dice.shuffle(pieces)
for number, (begin, end) in enumerate(pieces):
    if number % 50 == 49:
        h.flush()
    buffer = nbd.Buffer.from_bytearray(bytearray(data[begin:end]))
    h.aio_pwrite(buffer, begin, flags=nbd.CMD_FLAG_FUA if number % 9 == 0 else 0)
while h.aio_in_flight():
    h.poll(-1)
    while h.aio_in_flight() and (cookie := h.aio_peek_command_completed()):
        assert h.aio_command_completed(cookie)
h.shutdown()
"""


def test_a_file_system_in_pieces_in_any_order(
    server: Server, file_system: Path, tmp_path: Path
) -> None:
    """Its bytes are written in no order, by commands of all lengths, many at once, all twice."""
    libnbd(IN_PIECES, server.uri, file_system)
    run("nbdcopy", server.uri, tmp_path / "back")
    assert digest(tmp_path / "back") == digest(file_system)
    run("e2fsck", "-f", "-n", tmp_path / "back")


def test_files_are_read_from_a_file_system_in_what_we_serve(
    stacked: Server, file_system: Path, tmp_path: Path
) -> None:
    """nbdkit's filter `ext2` has the file system's own library read it over NBD."""
    run("qemu-img", "convert", "-f", "raw", "-n", "-O", "raw", file_system, stacked.uri)
    copy = ["--run", f"nbdcopy $uri {tmp_path}/out"]
    run(
        "nbdkit", "-r", "-U", "-", "--filter=ext2", "nbd", f"uri={stacked.uri}",
        "ext2file=/file 30", *copy,
    )  # fmt: skip
    assert digest(tmp_path / "out") == digest(file_system.parent / "content" / "file 30")
    assert stacked.statistics().errors == 0

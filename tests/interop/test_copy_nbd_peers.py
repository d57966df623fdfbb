"""`membuf copy` beside nbdcopy and qemu-img, on the same servers: what one writes all read."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import MIB, copied, extents, make_data, make_sparse, refused, start
from tests.nbd_serving import PROGRAMS, run

SIZE = 24 * MIB
PARTS = {0: b"first" * 1000, 3 * MIB: b"x", 5 * MIB + 4096: b"y" * 70_000, SIZE - 1: b"\1"}
PATIENCE = 60.0
WAYS = [(), ("--sparse",), ("--no-sparse",), ("-b", "4KiB", "-q", "16"), ("--connections", "1")]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file with data and holes."""
    path = tmp_path / "image"
    make_sparse(path, SIZE, PARTS)
    return path


class Peer:
    """A server of others at a unix socket, ended with the block.

    Attributes:
        uri: its name.
        process: it.
    """

    def __init__(self, socket: Path, *command: object) -> None:
        self.uri = f"nbd+unix:///?socket={socket}"
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PATH": PROGRAMS},
        )
        end = time.monotonic() + PATIENCE
        while not socket.exists():
            assert self.process.poll() is None, f"{command} ended"
            assert time.monotonic() < end, f"{command} does not listen"
            time.sleep(0.01)


@contextmanager
def ended(peer: Peer) -> Iterator[Peer]:
    """A server, for a block."""
    try:
        yield peer
    finally:
        peer.process.terminate()
        peer.process.wait()


def nbdkit(folder: Path, *arguments: object) -> Peer:
    """nbdkit with a plugin."""
    socket = folder / "kit.sock"
    return Peer(socket, "nbdkit", "-f", "-U", socket, *arguments)


def qemu_nbd(folder: Path, disk: Path, kind: str = "raw") -> Peer:
    """qemu-nbd with an image."""
    socket = folder / "qemu.sock"
    options = ("-t", "-e", 8, "-f", kind, "--discard=unmap", "--detect-zeroes=off", "-k", socket)
    return Peer(socket, "qemu-nbd", *options, disk)


def same(one: object, other: object, *kinds: str) -> bool:
    """Whether qemu-img finds the same bytes in two images or exports."""
    first, second = kinds or ("raw", "raw")
    said = run("qemu-img", "compare", "-f", first, "-F", second, one, other)
    return "Images are identical" in said


def data_bytes(path: Path) -> int:
    """How many bytes of a file are not in holes."""
    return sum(end - first for first, end in extents(path))


# ---- the same bytes as the others ----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("plugin", ["memory", "file"])
def test_nbdkit_as_nbdcopy_copies(
    image: Path, tmp_path: Path, plugin: str, way: tuple[str, ...]
) -> None:
    make_data(tmp_path / "disk", SIZE)
    arguments = {"memory": ("memory", SIZE), "file": ("file", tmp_path / "disk")}[plugin]
    with ended(nbdkit(tmp_path, *arguments)) as peer:
        assert copied(*way, image, peer.uri)["durable"]
        run("nbdcopy", peer.uri, tmp_path / "theirs")
        copied(*way, "--verify", peer.uri, tmp_path / "ours")
        assert same(image, peer.uri)
    assert (tmp_path / "theirs").read_bytes() == image.read_bytes()
    assert (tmp_path / "ours").read_bytes() == image.read_bytes()
    if "--sparse" in way:  # without it the holes are the server's, and nbdcopy looks for zeros
        assert data_bytes(tmp_path / "ours") <= data_bytes(tmp_path / "theirs")


@pytest.mark.parametrize("plugin", ["memory", "file"])
def test_what_nbdcopy_wrote_is_what_we_read(image: Path, tmp_path: Path, plugin: str) -> None:
    make_sparse(tmp_path / "disk", SIZE, {})
    arguments = {"memory": ("memory", SIZE), "file": ("file", tmp_path / "disk")}[plugin]
    with ended(nbdkit(tmp_path, *arguments)) as peer:
        run("nbdcopy", image, peer.uri)
        copied(peer.uri, tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_qemu_nbd_with_a_raw_image(image: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
    make_data(tmp_path / "disk", SIZE)
    with ended(qemu_nbd(tmp_path, tmp_path / "disk")) as peer:
        copied(*way, "--verify", image, peer.uri)
        copied(*way, peer.uri, tmp_path / "ours")
        run("nbdcopy", peer.uri, tmp_path / "theirs")
    assert (tmp_path / "disk").read_bytes() == image.read_bytes()
    assert (tmp_path / "ours").read_bytes() == image.read_bytes()
    assert (tmp_path / "theirs").read_bytes() == image.read_bytes()
    if not way:
        assert extents(tmp_path / "ours") == extents(image)


def test_qemu_nbd_with_a_qcow2_image(image: Path, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk", SIZE)
    with ended(qemu_nbd(tmp_path, tmp_path / "disk", "qcow2")) as peer:
        copied(image, peer.uri)
        copied(peer.uri, tmp_path / "ours")
    assert same(image, tmp_path / "disk", "raw", "qcow2")
    assert (tmp_path / "ours").read_bytes() == image.read_bytes()
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", tmp_path / "disk")


def test_from_one_server_to_another(image: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "disk", SIZE)
    with (
        ended(nbdkit(tmp_path, "file", image)) as first,
        ended(qemu_nbd(tmp_path, tmp_path / "disk")) as second,
    ):
        copied("--verify", first.uri, second.uri)
        assert same(first.uri, second.uri)
    assert (tmp_path / "disk").read_bytes() == image.read_bytes()


# ---- what servers may not have -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "connections"),
    [
        (["--filter=noparallel", "memory", SIZE], 4),
        (["--filter=multi-conn", "memory", SIZE, "multi-conn-mode=disable"], 1),
        (["--filter=nozero", "memory", SIZE], 4),
        (["--filter=noextents", "memory", SIZE], 4),
        (["--no-sr", "memory", SIZE], 4),
        (["--filter=blocksize-policy", "memory", SIZE, "blocksize-minimum=4096",
          "blocksize-maximum=65536", "blocksize-error-policy=error"], 4),
    ],
)  # fmt: skip
def test_a_server_with_less(
    image: Path, tmp_path: Path, arguments: list[object], connections: int
) -> None:
    with ended(nbdkit(tmp_path, *arguments)) as peer:
        result = copied("--verify", image, peer.uri)
        assert result["connections"]["destination"] == connections
        assert result["durable"]
        copied(peer.uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == image.read_bytes()


def test_a_server_that_takes_no_writes(image: Path, tmp_path: Path) -> None:
    with ended(nbdkit(tmp_path, "-r", "memory", SIZE)) as peer:
        assert "read-only" in refused(3, image, peer.uri).lower()


def test_a_server_that_is_too_small(image: Path, tmp_path: Path) -> None:
    with ended(nbdkit(tmp_path, "memory", SIZE // 2)) as peer:
        assert f"{SIZE // 2} bytes" in refused(5, image, peer.uri)


def test_a_server_that_is_full(image: Path, tmp_path: Path) -> None:
    failing = ("--filter=error", "memory", SIZE, "error-pwrite=ENOSPC", "error-rate=100%")
    with ended(nbdkit(tmp_path, *failing)) as peer:
        assert "No space left on device" in refused(5, image, peer.uri)


def test_a_server_that_cannot_read(tmp_path: Path) -> None:
    failing = ("--filter=error", "memory", SIZE, "error-pread=EIO", "error-rate=100%")
    with ended(nbdkit(tmp_path, *failing)) as peer:
        assert "cannot read" in refused(1, "--no-sparse", peer.uri, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_server_without_a_flush(image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    make_sparse(disk, SIZE, {})
    script = (
        "eval", f"get_size=echo {SIZE}", "can_write=exit 0",
        f'pread=dd if={disk} iflag=skip_bytes,count_bytes skip="$4" count="$3"',
        f'pwrite=dd of={disk} oflag=seek_bytes seek="$4" conv=notrunc',
    )  # fmt: skip
    with ended(nbdkit(tmp_path, *script)) as peer:
        result = copied("--verify", image, peer.uri)
    assert (result["durable"], result["verified"]) == (False, True)
    assert result["caveat"] == "the server has no flush"
    assert disk.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("way", [(), ("--no-sparse",)])
def test_an_end_that_is_no_whole_block(tmp_path: Path, way: tuple[str, ...]) -> None:
    policy = ("blocksize-minimum=4096", "blocksize-error-policy=error")
    make_data(tmp_path / "odd", 2 * MIB + 512)
    served = ("--filter=blocksize-policy", "file", tmp_path / "odd", *policy)
    with ended(nbdkit(tmp_path, *served)) as peer:
        said = refused(3, *way, peer.uri, tmp_path / "dst")
        assert "last 512 bytes cannot be read" in said
        assert not (tmp_path / "dst").exists()
        make_data(tmp_path / "src", 2 * MIB + 512)
        assert f"holds {2 * MIB} bytes" in refused(5, *way, tmp_path / "src", peer.uri)


def test_a_server_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    make_data(tmp_path / "src", SIZE)
    # The bytes come as slowly as that, so that the kill is in the middle of them.
    slow = ("--filter=rate", "memory", SIZE, "rate=64M")
    with (
        ended(nbdkit(tmp_path, *slow)) as peer,
        start("copy", "--quiet", tmp_path / "src", peer.uri) as process,
    ):
        until_written(peer)
        peer.process.kill()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"cannot write" in said
    assert b" at offset " in said
    assert b"of the copy" in said
    assert b"Traceback" not in said


def until_written(peer: Peer) -> None:
    """Wait until a memory server has grown by some of the copy."""
    first = resident(peer)
    done = threading.Event()
    end = time.monotonic() + PATIENCE
    while resident(peer) < first + MIB:
        assert time.monotonic() < end, "nothing is written"
        done.wait(0.002)


def resident(peer: Peer) -> int:
    """The bytes of memory that a server has."""
    pages = Path(f"/proc/{peer.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

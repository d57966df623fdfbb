"""`membuf copy` to and from the NBD servers of others: nbdkit and qemu-nbd."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import MIB, copied, extents, make_data, make_sparse, refused
from tests.nbd_serving import PROGRAMS, run

PARTS = {0: b"first" * 1000, 3 * MIB: b"x", 5 * MIB + 4096: b"y" * 70_000, 9 * MIB - 1: b"\1"}
SIZE = 16 * MIB
PATIENCE = 60.0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file with data and holes."""
    path = tmp_path / "image"
    make_sparse(path, SIZE, PARTS)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where servers listen."""
    return tmp_path / "s"


@contextmanager
def running(place: Path, *command: object) -> Iterator[str]:
    """A server of others at a unix socket; its URI."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": PROGRAMS},
    )
    try:
        end = time.monotonic() + PATIENCE
        while not place.exists():
            assert process.poll() is None, f"{command} ended"
            assert time.monotonic() < end, f"{command} does not listen"
            time.sleep(0.01)
        yield f"nbd+unix:///?socket={place}"
    finally:
        process.terminate()
        process.wait()


def nbdkit(place: Path, *arguments: object) -> list[object]:
    """A command line of nbdkit."""
    return ["nbdkit", "-f", "-U", place, *arguments]


@pytest.mark.parametrize(
    ("arguments", "connections"),
    [
        (["memory", SIZE], 4),
        (["--filter=noparallel", "memory", SIZE], 4),
        (["--filter=multi-conn", "memory", SIZE, "multi-conn-mode=disable"], 1),
        (["--filter=nozero", "memory", SIZE], 4),
        (["--filter=noextents", "memory", SIZE], 4),
        (["--no-sr", "memory", SIZE], 4),
        (["--filter=blocksize-policy", "memory", SIZE, "blocksize-minimum=4096",
          "blocksize-maximum=65536", "blocksize-error-policy=error"], 4),
    ],
)  # fmt: skip
def test_nbdkit(
    image: Path, place: Path, tmp_path: Path, arguments: list[object], connections: int
) -> None:
    with running(place, *nbdkit(place, *arguments)) as uri:
        result = copied("--verify", image, uri)
        assert result["connections"]["destination"] == connections
        assert result["durable"]
        copied(uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == image.read_bytes()


def test_qemu_nbd_keeps_the_holes(image: Path, place: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "disk", SIZE)
    command = ["qemu-nbd", "-t", "-e", "8", "-f", "raw", "--discard=unmap", "-k", place]
    with running(place, *command, tmp_path / "disk") as uri:
        copied("--verify", image, uri)
        result = copied(uri, tmp_path / "back")
        assert result["hole_bytes"] > SIZE // 2
    assert (tmp_path / "disk").read_bytes() == image.read_bytes()
    assert extents(tmp_path / "back") == extents(image)


def test_a_qcow2_image(image: Path, place: Path, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk", SIZE)
    command = ["qemu-nbd", "-t", "-e", "8", "-f", "qcow2", "-k", place, tmp_path / "disk"]
    with running(place, *command) as uri:
        copied("--verify", image, uri)
    said = run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", image, tmp_path / "disk")
    assert "identical" in said


def test_nbdkit_that_is_read_only_or_too_small(image: Path, place: Path, tmp_path: Path) -> None:
    with running(place, *nbdkit(place, "-r", "memory", SIZE)) as uri:
        assert "read-only" in refused(3, image, uri).lower()
    other = tmp_path / "t"
    with running(other, *nbdkit(other, "memory", SIZE // 2)) as uri:
        assert f"{SIZE // 2} bytes" in refused(5, image, uri)


def test_nbdkit_that_fails(image: Path, place: Path, tmp_path: Path) -> None:
    script = ["--filter=error", "memory", SIZE, "error-pwrite=ENOSPC", "error-rate=100%"]
    with running(place, *nbdkit(place, *script)) as uri:
        assert "No space left on device" in refused(5, image, uri)
    other = tmp_path / "t"
    script = ["--filter=error", "memory", SIZE, "error-pread=EIO", "error-rate=100%"]
    with running(other, *nbdkit(other, *script)) as uri:
        assert "cannot read" in refused(1, "--no-sparse", uri, tmp_path / "back")
    assert not (tmp_path / "back").exists()

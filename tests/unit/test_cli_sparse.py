"""`membuf copy` and holes: those of the source, those made of zeros, those filled in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli import MIB, copied, extents, make_data, make_sparse, membuf

PARTS = {0: b"first" * 1000, 3 * MIB: b"x", 5 * MIB + 4096: b"y" * 70_000, 9 * MIB - 1: b"\1"}
ZEROS = b"data" * 1024 + bytes(256 * 1024) + b"more" * 1024 + bytes(4096) + b"tail"


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file with data, holes, and a hole at its end."""
    path = tmp_path / "src"
    make_sparse(path, 16 * MIB + 100, PARTS)
    return path


@pytest.mark.parametrize("how", [(), ("--sparse",), ("--direct",), ("--sparse", "-b", "4096")])
def test_holes_stay_holes(sparse: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    result = copied(sparse, tmp_path / "dst", "--verify", *how)
    dst = tmp_path / "dst"
    assert dst.read_bytes() == sparse.read_bytes()
    assert extents(dst) == extents(sparse)
    assert dst.stat().st_blocks <= sparse.stat().st_blocks
    data = sum(end - first for first, end in extents(sparse))
    assert result["bytes_written"] == data
    assert result["hole_bytes"] == 16 * MIB + 100 - data


def test_holes_are_filled_in_when_told_so(sparse: Path, tmp_path: Path) -> None:
    result = copied(sparse, tmp_path / "dst", "--no-sparse")
    assert (tmp_path / "dst").read_bytes() == sparse.read_bytes()
    assert extents(tmp_path / "dst") == [(0, 16 * MIB + 100)]
    assert result["hole_bytes"] == 0


@pytest.mark.parametrize("block", ["4KiB", "64KiB", "1MiB", "100000"])
def test_zeros_become_holes_when_told_so(tmp_path: Path, block: str) -> None:
    (tmp_path / "src").write_bytes(ZEROS)
    copied(tmp_path / "src", tmp_path / "dst", "--sparse", "-b", block)
    assert (tmp_path / "dst").read_bytes() == ZEROS
    held = sum(end - first for first, end in extents(tmp_path / "dst"))
    assert 8192 + 4 <= held < 8192 + 4 * 4096
    copied(tmp_path / "src", tmp_path / "dst", "-b", block)
    assert extents(tmp_path / "dst") == [(0, len(ZEROS))]


def test_a_stream_of_zeros_becomes_a_hole_of_its_length(tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 5 * MIB + 7, {})
    done = membuf("copy", tmp_path / "src", "-", text=False)
    result = copied("-", tmp_path / "dst", "--sparse", input=done.stdout, stdin=None, text=None)
    assert (tmp_path / "dst").stat().st_size == 5 * MIB + 7
    assert (tmp_path / "dst").stat().st_blocks == 0
    assert result["bytes_written"] == 0


def test_holes_arrive_as_zeros_in_a_stream(sparse: Path) -> None:
    assert membuf("copy", sparse, "-", text=False).stdout == sparse.read_bytes()


def test_holes_are_punched_into_what_is_written_in_place(sparse: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "dst", 20 * MIB)
    with (tmp_path / "dst").open("r+b") as file:
        done = membuf("copy", sparse, "-", "--verify", stdout=file)
        assert done.returncode == 0, done.stderr
    written = (tmp_path / "dst").read_bytes()
    assert written[: 16 * MIB + 100] == sparse.read_bytes()
    assert len(written) == 20 * MIB
    assert (tmp_path / "dst").stat().st_blocks * 512 < 8 * MIB


def test_standard_output_grows_by_a_hole_at_the_end(tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 4 * MIB, {0: b"x"})
    with (tmp_path / "dst").open("wb") as file:
        assert membuf("copy", tmp_path / "src", "-", stdout=file).returncode == 0
    assert (tmp_path / "dst").read_bytes() == (tmp_path / "src").read_bytes()
    assert extents(tmp_path / "dst") == extents(tmp_path / "src")


def test_eight_gigabytes_of_holes_take_no_time(tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 8 << 30, {4 << 30: b"x" * MIB})
    started = time.monotonic()
    result = copied(tmp_path / "src", tmp_path / "dst", "--verify")
    assert time.monotonic() - started < 10
    assert result["seconds"] < 5
    assert (tmp_path / "dst").stat().st_size == 8 << 30
    assert extents(tmp_path / "dst") == extents(tmp_path / "src")

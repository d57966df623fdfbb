"""`membuf copy --verify`: corruption is found wherever it happens, and nothing else is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import MIB, copied, extents, make_data, make_sparse, patched
from tests.cli import membuf as run

DIFFERENT = 6

SPOIL_ONE_BYTE = """
from pathlib import Path
from membuf.cli.copying.destination import Destination
flush = Destination.flush
def spoil(self):
    flush(self)
    with Path(self._path).open("r+b") as file:
        file.seek({offset})
        file.write({byte!r})
        file.flush()
Destination.flush = spoil
"""


@pytest.mark.parametrize("offset", [0, 2 * MIB - 1, 2 * MIB, 3 * MIB + 4])
@pytest.mark.parametrize("how", [(), ("--direct",), ("-b", "4KiB")])
def test_one_wrong_byte_is_found(tmp_path: Path, offset: int, how: tuple[str, ...]) -> None:
    data = make_data(tmp_path / "src", 3 * MIB + 5)
    (tmp_path / "dst").write_bytes(b"precious")
    byte = bytes([data[offset] ^ 0x40])
    spoil = SPOIL_ONE_BYTE.format(offset=offset, byte=byte)
    done = patched(spoil, "copy", "--verify", "--json", *how, "src", "dst", cwd=tmp_path)
    assert done.returncode == DIFFERENT
    assert "dst does not hold what was written to it: bytes " in done.stderr
    first = json.loads(done.stdout)["offset"]
    assert first <= offset < first + MIB
    assert (tmp_path / "dst").read_bytes() == b"precious"


def test_a_byte_in_a_hole_is_found(tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 64 * MIB, {0: b"x"})
    spoil = SPOIL_ONE_BYTE.format(offset=40 * MIB + 5, byte=b"\1")
    done = patched(spoil, "copy", "--verify", "src", "dst", cwd=tmp_path)
    assert done.returncode == DIFFERENT
    assert not (tmp_path / "dst").exists()


def test_a_copy_that_lost_its_end_is_found(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 3 * MIB)
    lose = """
import os
from membuf.cli.copying.destination import Destination
flush = Destination.flush
def lose(self):
    flush(self)
    os.truncate(self._path, 5000)
Destination.flush = lose
"""
    done = patched(lose, "copy", "--verify", "src", "dst", cwd=tmp_path)
    assert done.returncode == DIFFERENT
    assert f"bytes 5000 to {MIB - 1} differ" in done.stderr


def test_without_verification_it_would_not_have_been(tmp_path: Path) -> None:
    make_data(tmp_path / "src", MIB)
    spoil = SPOIL_ONE_BYTE.format(offset=5, byte=b"?")
    done = patched(spoil, "copy", "src", "dst", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "dst").read_bytes() != (tmp_path / "src").read_bytes()


def test_a_wrong_byte_in_the_memory_between_read_and_write_is_found(tmp_path: Path) -> None:
    # The checksum is that of what was read, not of what was written from.
    make_data(tmp_path / "src", 4 * MIB)
    spoil = """
from membuf.cli.copying.writer import PlacedWriter
write = PlacedWriter.write
def spoil(self, load):
    if load.offset == 1 << 20:
        load._memories[0].copy_from(b"spoiled", 5000)
    write(self, load)
PlacedWriter.write = spoil
"""
    done = patched(spoil, "copy", "--verify", "src", "dst", cwd=tmp_path)
    assert done.returncode == DIFFERENT, done.stderr


def test_a_good_copy_says_verified(tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 4 * MIB, {MIB: b"x" * 100_000})
    result = copied(tmp_path / "src", tmp_path / "dst", "--verify")
    assert result["verified"] is True
    assert extents(tmp_path / "dst") == extents(tmp_path / "src")
    done = run("copy", tmp_path / "src", tmp_path / "dst", "--verify")
    assert "read back and verified" in done.stdout
